// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/trimtab/trimtab/hooks"
)

// Atom says where an atom of an ITDA dictionary comes from.
type Atom struct {
	Text     int    `json:"text"`              // number of the text or sequence; -1 where it is not known
	Position int    `json:"position"`          // of the token in it; -1 where it is not known
	Token    string `json:"token,omitempty"`   // as it is written
	Context  string `json:"context,omitempty"` // the text around it
}

// Known tells whether the atom's source is known.
func (a Atom) Known() bool { return a.Text >= 0 && a.Position >= 0 }

// Facts are what an ITDA dictionary keeps beside its atoms and their address.
type Facts struct {
	Rule       string         `json:"rule,omitempty"`       // by which an activation becomes an atom: cos, mse or square
	Threshold  float64        `json:"threshold,omitempty"`  // of that rule
	Definition string         `json:"definition,omitempty"` // of that rule, in words
	Rounds     int            `json:"rounds,omitempty"`     // of the pursuit that the rule judged by; 0 where it is not known
	Distinct   float64        `json:"distinct,omitempty"`   // cosine above which an atom was left out for an earlier one; 0 is none
	Seed       int            `json:"seed,omitempty"`
	Sources    map[int]string `json:"sources,omitempty"`   // what each text is, by its number
	Texts      string         `json:"texts,omitempty"`     // a name for the collection and tokenisation, the same where two dictionaries can be compared
	Digest     string         `json:"digest,omitempty"`    // of the token ids of all sequences, in order; equal where texts and tokenisation are
	Sequences  int            `json:"sequences,omitempty"` // that were read
	Tokens     int            `json:"tokens,omitempty"`    // whose activations were looked at
	LeftOut    int            `json:"left_out,omitempty"`  // of these, for massive activations
}

const defaultITDAK = 40 // davidkaczer/itda train.py

// itda reads the layout of davidkaczer/itda: atoms.pt, atom_indices.pt, metadata.yaml; the tensors may also be in itda.safetensors.
func (r *reader) itda() error {
	r.format = "ITDA"
	meta := config{path: r.file("metadata.yaml")}
	if r.firstOf("metadata.yaml") != "" {
		var err error
		if meta, err = readFlatYAML(r.file("metadata.yaml")); err != nil {
			return err
		}
	} else {
		r.warn("metadata.yaml is missing: k is %d, and the files do not say where the dictionary belongs", defaultITDAK)
	}
	indices, err := r.itdaTensors()
	if err != nil {
		return err
	}
	if err := meta.agrees("activation_dim", r.form.In); err != nil {
		return err
	}
	if err := r.pursue(meta); err != nil {
		return err
	}
	if err := r.trace(indices); err != nil {
		return err
	}
	r.itdaPlace(meta)
	return r.itdaTexts()
}

// itdaTensors reads the atoms and the tensor of their sources, which may lie in a file of its own.
func (r *reader) itdaTensors() (indices []int64, err error) {
	name := r.firstOf("itda.safetensors", "atoms.pt")
	if err := r.load(name); err != nil {
		return nil, err
	}
	r.w.rename("", "atoms")
	f := r.form
	if f.N, f.In, err = r.w.dims("atoms"); err != nil {
		return nil, err
	}
	f.Out = f.In
	if f.Dec, _, err = r.w.matrix("atoms", f.N, f.In, false); err != nil {
		return nil, err
	}
	unitRows(f.Dec, f.In) // half-precision files lose it
	if r.w.has("atom_indices") {
		return r.sourceTensor(r.w, "atom_indices")
	}
	file := r.firstOf("atom_indices.pt")
	if name == "itda.safetensors" || file == "" {
		return nil, nil
	}
	w, err := openWeights(r.file(file))
	if err != nil {
		return nil, err
	}
	indices, err = r.sourceTensor(w, "")
	if e := w.close(); err == nil {
		err = e
	}
	return indices, err
}

func (r *reader) sourceTensor(w *weights, name string) ([]int64, error) {
	rows, cols, err := w.dims(name)
	if err != nil {
		return nil, err
	}
	if rows != r.form.N || cols != 2 {
		return nil, w.fault(name, fmt.Sprintf("shape [%d 2]: text and position of each atom", r.form.N), fmt.Sprintf("[%d %d]", rows, cols))
	}
	v, err := w.m[name].ints()
	if err != nil {
		return nil, fmt.Errorf("dictionary: %s: %w", w.path, err)
	}
	return v, nil
}

func (r *reader) pursue(meta config) (err error) {
	rule := PursuitRule{Method: Matching}
	rule.K, err = meta.integer("k", 1, defaultITDAK)
	r.form.Act = Activation{Kind: Pursuit, Pursuit: rule}
	return err
}

// trace makes atoms of (text, position) pairs.
func (r *reader) trace(indices []int64) error {
	for i := 0; i+1 < len(indices); i += 2 {
		a := Atom{Text: int(indices[i]), Position: int(indices[i+1])}
		if indices[i] < -1 || indices[i+1] < -1 || indices[i] > math.MaxInt32 || indices[i+1] > math.MaxInt32 {
			return r.fault("atom_indices", "numbers from -1 on", fmt.Sprintf("(%d, %d) for atom %d", indices[i], indices[i+1], i/2), "")
		}
		r.atoms = append(r.atoms, a)
	}
	return nil
}

func (r *reader) itdaPlace(meta config) {
	a := &r.address
	a.Model = meta.str("lm_name")
	a.setHook(meta.str("submodule_name"))
	layer, err := meta.integer("layer", 0, -1)
	if err == nil && layer >= 0 && a.Site.Point == "" {
		a.Site = hooks.At(hooks.ResidPost, layer) // the library hooks the output of whole blocks
		a.Out = a.Site
	}
	a.PrependBOS = Unknown
	if n, err := meta.integer("seq_len", 0, 0); err == nil {
		a.Context = n
	}
	facts := Facts{Rule: "mse"}
	if rule, ok := meta.m["loss_threshold_definition"].(string); ok {
		facts.Definition = rule
		for _, known := range []string{"cos", "square"} {
			if strings.HasPrefix(rule, known) {
				facts.Rule = known
			}
		}
	}
	if v, err := meta.float("loss_threshold", 0); err == nil {
		facts.Threshold = v
	}
	if v, err := meta.integer("seed", 0, 0); err == nil {
		facts.Seed = v
	}
	facts.Texts = meta.str("dataset")
	r.facts = &facts
}

// itdaTexts reads the tokens and contexts that atoms_text.json lists, where it is there.
func (r *reader) itdaTexts() error {
	const name = "atoms_text.json"
	if r.firstOf(name) == "" {
		return nil
	}
	text, err := readText(r.file(name))
	if err != nil {
		return err
	}
	var list []struct {
		Atom, Sequence, Position int
		Token                    string
		Context                  string `json:"left_context"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return &FormatError{Path: r.file(name), What: "file", Want: "a list of atoms with token and left_context", Found: err.Error()}
	}
	for len(r.atoms) < r.form.N {
		r.atoms = append(r.atoms, Atom{Text: -1, Position: -1})
	}
	for _, t := range list {
		if t.Atom < 0 || t.Atom >= len(r.atoms) {
			return &FormatError{Path: r.file(name), What: "atom", Want: fmt.Sprintf("0 to %d", len(r.atoms)-1), Found: fmt.Sprint(t.Atom)}
		}
		r.atoms[t.Atom] = Atom{Text: t.Sequence, Position: t.Position, Token: t.Token, Context: t.Context}
	}
	return nil
}
