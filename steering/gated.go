// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/internal/dot"

	"github.com/trimtab/trimtab/hooks"
)

// gated tells whether a graph cannot decide on which rows the hook acts, so that its edits are carried out in Go.
func (s *Steering) gated() bool {
	return s.spec.Answer || len(s.spec.When.Terms) > 0 || s.spec.Kind == KindRotatePositive
}

// gatedTap is one tap of a gated plan.
type gatedTap struct {
	tap  hooks.Tap
	call func(tap int, a *hooks.Activation) error
}

// gate makes taps of edits and of the conditions on them, in the order of the forward pass.
func (s *Steering) gate(sh *hooks.Shape, edits []hooks.Edit) (hooks.Plan, error) {
	g := &gate{name: s.name, any: s.spec.When.Any, tap: -1, first: -1}
	if s.spec.Answer {
		g.answer = &answerGate{}
		if sh.Turn != nil {
			g.answer.marker = sh.Turn()
		}
	}
	stages, err := s.conditions(sh, g)
	if err != nil {
		return hooks.Plan{}, err
	}
	for i := range edits {
		stages = append(stages, s.gatedEdit(g, &edits[i]))
	}
	slices.SortStableFunc(stages, func(a, b gatedTap) int { return hooks.Compare(a.tap.Site, b.tap.Site) })
	if first := stages[0].tap; len(g.terms) > 0 && !first.ReadOnly {
		start := hooks.Tap{Name: s.name + " when", Site: first.Site, Where: hooks.Where{Phases: hooks.Prefill}, ReadOnly: true}
		stages = slices.Insert(stages, 0, gatedTap{start, func(i int, a *hooks.Activation) error {
			g.start(i, a)
			return nil
		}})
	}
	var plan hooks.Plan
	for i, one := range stages {
		one.tap.Func = func(a *hooks.Activation) error { return one.call(i, a) }
		plan.Taps = append(plan.Taps, one.tap)
	}
	return plan, nil
}

// gatedEdit is an edit as a tap that asks the gate.
func (s *Steering) gatedEdit(g *gate, e *hooks.Edit) gatedTap {
	tap := e.Tap()
	edit := tap.Func
	if s.spec.Kind == KindRotatePositive {
		along := e.Directions[0]
		edit = func(a *hooks.Activation) error {
			for i := range a.Rows {
				a.Rows[i] = a.Rows[i] && dot.Sum64(a.Row(i), along) > 0
			}
			return tap.Func(a)
		}
	}
	return gatedTap{
		hooks.Tap{Name: e.Name, Site: e.Site, Where: e.Where, Strength: e.Strength},
		func(i int, a *hooks.Activation) error { return g.act(i, a, edit) },
	}
}

// conditions places the condition vectors.
func (s *Steering) conditions(sh *hooks.Shape, g *gate) (stages []gatedTap, err error) {
	for i := range s.spec.When.Terms {
		c := &s.spec.When.Terms[i]
		t := &term{condition: c}
		g.terms = append(g.terms, t)
		probe := &Steering{spec: Spec{Kind: KindVector, Sites: c.Sites}, vectors: []*Vector{s.whens[i]}, name: s.name}
		places, err := probe.Sites(sh)
		if err != nil {
			return nil, err
		}
		for _, p := range places {
			if want := sh.Widths[p.Site]; len(p.directions[0]) != want {
				return nil, fmt.Errorf("steering: %s: condition %s at %s: want a vector of the site's width %d, found one of width %d",
					s.name, c, p.Site, want, len(p.directions[0]))
			}
			one := newCondition(c, p)
			t.places = append(t.places, one)
			stages = append(stages, gatedTap{
				hooks.Tap{Name: s.name + " when", Site: p.Site, Where: hooks.Where{Phases: hooks.Prefill}, ReadOnly: true},
				func(i int, a *hooks.Activation) error {
					g.look(i, a, t, one, s.spec.Massive)
					return nil
				},
			})
		}
	}
	return stages, nil
}

// readConditions reads the vectors of the conditions.
func (s *Steering) readConditions() error {
	for _, c := range s.spec.When.Terms {
		v := c.Vector
		if v == nil {
			var err error
			if v, err = ReadVector(c.Source); err != nil {
				return err
			}
		}
		s.whens = append(s.whens, v)
		for _, w := range v.Warnings {
			s.warnings = append(s.warnings, v.Name+": "+w)
		}
	}
	return nil
}

// Files returns the files of the conditions; those of the directions stand in the spec.
func (s *Steering) Files() (out []string) {
	for i, c := range s.spec.When.Terms {
		if path := c.Source.Path; path != "" && c.Vector == nil && s.whens[i].File != "" {
			out = append(out, path)
		}
	}
	return out
}

// When returns the hook under a condition; the strength of both is one knob. The vectors of the conditions stand in their field Vector, or are read from their sources.
func (s *Steering) When(w When) (*Steering, error) {
	out := *s
	out.spec.When, out.whens, out.warnings = w, nil, slices.Clone(s.warnings)
	return &out, out.readConditions()
}

// BehindInstruction returns the hook for positions behind the end of the last instruction alone, as CAA steers (arXiv 2312.06681): the last token of a prompt that
// ends with its instruction is left as it is. Where the instruction ends the model's template says; without a template every position is behind it. The
// strength of both is one knob.
func (s *Steering) BehindInstruction() *Steering {
	out := *s
	out.spec.Answer = true
	return &out
}

// ablationSites are the places where refusal_direction (arXiv 2406.11717) removes a direction: the input of every block, and what attention and the MLP put out.
func ablationSites(sh *hooks.Shape) string {
	var list []string
	for _, p := range []hooks.Point{hooks.ResidPre, hooks.AttnOut, hooks.MLPOut} {
		for layer := range sh.Layers {
			if sh.Widths[hooks.At(p, layer)] > 0 {
				list = append(list, string(p)+".*")
				break
			}
		}
	}
	return strings.Join(list, ",")
}
