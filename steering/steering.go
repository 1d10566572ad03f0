// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/trimtab/trimtab/hooks"
)

// Steering is a [hooks.Hook] that acts with directions; it may be attached to several sessions, which then share its strength.
type Steering struct {
	spec     Spec
	name     string
	op       hooks.Op
	vectors  []*Vector // one, for Rotate two
	whens    []*Vector // of the conditions
	knob     *hooks.Knob
	warnings []string
}

// loadDirections reads the vectors of a spec of directions.
func loadDirections(spec *Spec) (Hook, error) {
	vectors := make([]*Vector, 0, 2)
	sources := spec.Sources
	if spec.rotates() && len(sources) == 1 { // a file of a plane
		path := sources[0].Path
		sources = []Source{{path, firstDirection}, {path, secondDirection}}
	}
	for _, src := range sources {
		v, err := ReadVector(src)
		if err != nil {
			return nil, err
		}
		vectors = append(vectors, v)
	}
	return New(*spec, vectors...)
}

// New returns the hook that a spec describes, with vectors in place of its sources: one, for rotate two.
func New(spec Spec, vectors ...*Vector) (*Steering, error) {
	op, ok := spec.Kind.op()
	if !ok {
		return nil, fmt.Errorf("steering: kind %q: want one of %v", spec.Kind, Kinds())
	}
	want := 1
	if op == hooks.Rotate {
		want = 2
	}
	if len(vectors) != want {
		return nil, fmt.Errorf("steering: %s: want %d vectors, found %d", spec.Kind, want, len(vectors))
	}
	if op == hooks.Rotate && spec.Strength == nil {
		return nil, fmt.Errorf("steering: %s: want degrees as its strength, found none", spec.Kind)
	}
	s := &Steering{spec: spec, op: op, vectors: vectors}
	if err := s.followFile(); err != nil {
		return nil, err
	}
	if v := vectors[0]; spec.Kind == KindAblate && v.Single() == nil {
		return nil, &VectorError{File: v.File, Want: "one direction to remove everywhere, chosen as FILE:TENSOR such as " + v.Tensor(v.Layers()[0]), Got: fmt.Sprintf("%d", len(v.Layers()))}
	}
	if err := s.readConditions(); err != nil {
		return nil, err
	}
	s.knob = hooks.NewKnob(s.startStrength())
	s.name = shortName(vectors)
	for _, v := range vectors {
		for _, w := range v.Warnings {
			s.warnings = append(s.warnings, v.Name+": "+w)
		}
	}
	return s, nil
}

// followFile lets a file that is to be projected out have its way under vector:, and keeps it from being added by norm:.
func (s *Steering) followFile() error {
	v := s.vectors[0]
	if v.Op != hooks.Project {
		return nil
	}
	switch s.op {
	case hooks.Add:
		s.op = hooks.Project
		s.warnings = append(s.warnings, v.Name+": the file asks to be projected out (glp.mode=project): its component is removed, nothing is added")
	case hooks.AddKeepNorm:
		return &VectorError{File: v.File, Tensor: "glp.mode", Want: "add, since norm: adds (use project:)", Got: "project"}
	}
	return nil
}

func (s *Steering) startStrength() float32 {
	switch {
	case s.spec.Strength != nil:
		return *s.spec.Strength
	case s.op == s.vectors[0].Op:
		return s.vectors[0].Alpha
	}
	return 1
}

// shortName joins the names of vectors into one word, as a command line can take it.
func shortName(vectors []*Vector) string {
	var names []string
	for _, v := range vectors {
		names = append(names, v.Name)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return '-'
		}
		return r
	}, strings.Join(names, "+"))
}

// vectorName is what a source is called for short: the file's name without folder and extension, and the family.
func vectorName(src Source) string {
	name := filepath.Base(src.Path)
	for _, ext := range []string{".gguf", ".safetensors", ".svec", ".npy", ".pt"} {
		name = strings.TrimSuffix(name, ext)
	}
	if src.Family != "" {
		name += ":" + src.Family
	}
	return name
}

// Name returns a short name without spaces, made from the file's; two steerings may have the same.
func (s *Steering) Name() string { return s.name }

// Strength returns the one knob that all edits of the steering share, on every session; for rotate it stands at degrees.
func (s *Steering) Strength() *hooks.Knob { return s.knob }

// Spec returns the spec the steering was made from, with the strength where the knob stands now.
func (s *Steering) Spec() Spec {
	spec := s.spec
	now := s.knob.Value()
	spec.Strength = &now
	return spec
}

// Warnings lists what the files' readers accepted but a user should know.
func (s *Steering) Warnings() []string { return slices.Clone(s.warnings) }

// Bind returns one edit a site, or an error: a *MismatchError for another model's vector, a *hooks.SiteError for a missing site,
// a *PlaceError for a site without a direction, a *hooks.EditError for a wrong width.
func (s *Steering) Bind(sh *hooks.Shape) (hooks.Plan, error) {
	places, err := s.Sites(sh)
	if err != nil {
		return hooks.Plan{}, err
	}
	var plan hooks.Plan
	for _, p := range places {
		edit := hooks.Edit{
			Name: s.name, Site: p.Site, Op: s.op, Directions: p.directions, Strength: s.knob,
			Low: s.spec.Low, High: s.spec.High, Where: s.spec.Where,
		}
		if err := edit.Check(sh); err != nil {
			return hooks.Plan{}, fmt.Errorf("steering: %w", err)
		}
		plan.Edits = append(plan.Edits, edit)
	}
	if s.gated() {
		return s.gate(sh, plan.Edits)
	}
	return plan, nil
}
