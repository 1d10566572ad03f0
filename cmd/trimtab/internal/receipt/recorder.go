// SPDX-License-Identifier: Apache-2.0

package receipt

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/dose"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

// Recorder appends answers to a receipt as they come.
type Recorder struct {
	model       *runtime.Model
	file        *os.File
	digests     digests
	answers     int
	sessions    map[*runtime.Session]int
	attachments map[*runtime.Attachment]int
}

// Attached is a steering on a session.
type Attached struct {
	steering.Hook
	At    *runtime.Attachment
	Probe bool // it only reads, behind all that steers
}

// New begins a receipt for answers of a model and hashes what the model was read from; version is the program's.
func New(path, version string, m *runtime.Model) (*Recorder, error) {
	r := &Recorder{model: m, digests: digests{}, sessions: map[*runtime.Session]int{}, attachments: map[*runtime.Attachment]int{}}
	h, err := r.header(version)
	if err != nil {
		return nil, err
	}
	if r.file, err = os.Create(path); err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	if err := r.write(h); err != nil {
		return nil, errors.Join(err, r.file.Close())
	}
	return r, nil
}

func (r *Recorder) header(version string) (*Header, error) {
	h := newHeader(r.model, version)
	paths, err := modelFiles(h.Model.Path)
	if err != nil {
		return nil, err
	}
	if h.Files, err = r.digests.all("model", paths); err != nil {
		return nil, err
	}
	library, err := r.digests.file("library", r.model.Config().Library)
	h.Files = append(h.Files, library)
	return &h, err
}

// Close ends the receipt; nil is fine.
func (r *Recorder) Close() error {
	if r == nil {
		return nil
	}
	return r.file.Close()
}

func (r *Recorder) write(line any) error {
	data, err := json.Marshal(line)
	if err == nil {
		_, err = r.file.Write(append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	return nil
}

// Asked is how an answer was asked for.
type Asked struct {
	Session  *runtime.Session
	Steering []Attached // in the order in which it was attached
	Limits   dose.Limits
	Settings answer.Settings
	Broken   bool // it was broken off, by the user or an error
}

// Add appends an answer, which must have log-probabilities. One without a token is left out.
func (r *Recorder) Add(asked *Asked, a *answer.Answer) error {
	if len(a.IDs) == 0 && asked.Broken {
		return nil
	}
	r.answers++
	run := Run{
		Number: r.answers, Session: numbered(r.sessions, asked.Session), Sampling: samplingOf(&asked.Settings.Options),
		Steering: []Steered{}, Files: []File{},
		PromptIDs: a.PromptIDs, IDs: a.IDs, LogProbs: make([]Number, len(a.LogProbs)), Text: a.Text, Finish: string(a.Finish), Prompt: a.Prompt, Tokens: a.Tokens,
	}
	run.Sampling.Seed = a.Seed
	if asked.Broken {
		run.Finish = ""
	}
	if asked.Limits.On() {
		run.Guard = &asked.Limits
	}
	for i, c := range a.LogProbs {
		run.LogProbs[i] = Number(c.LogProb)
	}
	for _, s := range asked.Steering {
		if err := r.steered(&run, &s); err != nil {
			return err
		}
	}
	return r.write(&run)
}

// numbered gives each key a number of its own, from 1.
func numbered[K comparable](known map[K]int, key K) int {
	if known[key] == 0 {
		known[key] = len(known) + 1
	}
	return known[key]
}

func (r *Recorder) steered(run *Run, s *Attached) error {
	spec := s.Spec()
	out := Steered{
		Attachment: numbered(r.attachments, s.At), Name: s.Name(), Spec: spec.String(), Strength: Number(s.Strength().Value()), Sites: []string{}, Probe: s.Probe,
	}
	places, err := s.Sites(r.model.Shape())
	if err != nil {
		return fmt.Errorf("receipt: %s: %w", s.Name(), err)
	}
	for _, p := range places {
		out.Sites = append(out.Sites, p.String())
	}
	if reasoning, ok := s.Hook.(*steering.Reasoning); ok {
		out.Rules = reasoning.Program().String()
	}
	files, err := r.digests.all(s.Name(), steering.Files(s.Hook))
	run.Files = append(run.Files, files...)
	run.Steering = append(run.Steering, out)
	return err
}
