// SPDX-License-Identifier: Apache-2.0

package itda

import (
	"encoding/json"
	"fmt"

	"github.com/trimtab/trimtab/models/safetensors"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// state is what an unfinished trainer keeps beside its atoms.
type state struct {
	Settings Settings          `json:"settings"`
	Note     string            `json:"note"`
	Next     int               `json:"next"`
	Tokens   int               `json:"tokens"`
	LeftOut  int               `json:"left_out"`
	Atoms    []dictionary.Atom `json:"atoms"`
}

// stateKey is the entry of the file's metadata that has the state.
const stateKey = "trimtab-itda-unfinished"

// Save writes an unfinished trainer to a file. next is the caller's place in the texts, and note tells this fit from others: [Resume] wants the same. A
// trainer that is still seeding cannot be saved.
func (t *Trainer) Save(path string, next int, note string) error {
	if t.Seeding() {
		return fmt.Errorf("itda: save %s: want the first %d atoms before anything is saved, found %d", path, min(t.s.Width, t.s.Most), t.Len())
	}
	text, err := json.Marshal(state{t.s, note, next, t.tokens, t.leftOut, t.atoms})
	if err != nil {
		return fmt.Errorf("itda: save %s: %w", path, err)
	}
	atoms := safetensors.Float32Tensor("atoms", t.growth.Atoms(), t.Len(), t.s.Width)
	return safetensors.Write(path, []safetensors.Tensor{atoms}, map[string]string{stateKey: string(text)})
}

// Resume reads what Save wrote and returns the trainer with the caller's place. It goes on as if it had not been interrupted.
func Resume(path, note string, s Settings) (t *Trainer, next int, err error) {
	if t, err = New(s); err != nil {
		return nil, 0, err
	}
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	var was state
	if err := json.Unmarshal([]byte(f.Metadata[stateKey]), &was); err != nil {
		return nil, 0, fmt.Errorf("itda: resume %s: want a file that an interrupted fit left: %w", path, err)
	}
	if was.Settings != s || was.Note != note {
		return nil, 0, fmt.Errorf("itda: resume %s: want the settings it was begun with, %+v %q, found %+v %q; remove the file to begin anew",
			path, was.Settings, was.Note, s, note)
	}
	atoms, err := f.Float32("atoms", len(was.Atoms), s.Width)
	if err != nil {
		return nil, 0, err
	}
	if len(was.Atoms) < min(s.Width, s.Most) || len(was.Atoms) > s.Most || was.Next < 0 {
		return nil, 0, fmt.Errorf("itda: resume %s: want %d to %d atoms and a place in the texts, found %d and %d", path, min(s.Width, s.Most), s.Most, len(was.Atoms), was.Next)
	}
	t.growth.Add(atoms)
	t.atoms, t.tokens, t.leftOut, t.seeds = was.Atoms, was.Tokens, was.LeftOut, nil
	return t, was.Next, nil
}
