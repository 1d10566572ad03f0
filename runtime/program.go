// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/hooks"
)

// step is one thing that a session wants done at a site: an edit, or a tap where edit is nil.
type step struct {
	site hooks.Site
	edit *hooks.Edit
	tap  *hooks.Tap

	encoder *heldEncoder // of the tap; nil where it has none
}

// program is the steps of a session in the order in which a pass reaches them. Edits and taps are numbered in that order.
type program struct {
	steps []step
	edits []*hooks.Edit
	taps  []*hooks.Tap
}

// compile orders the plans of a session's attachments: by site in forward order, at one site in the order of attachment, edits of a plan before its taps.
func compile(plans []hooks.Plan) program {
	var p program
	for i := range plans {
		for j := range plans[i].Edits {
			e := &plans[i].Edits[j]
			p.steps = append(p.steps, step{site: e.Site, edit: e})
		}
		for j := range plans[i].Taps {
			t := &plans[i].Taps[j]
			p.steps = append(p.steps, step{site: t.Site, tap: t})
		}
	}
	slices.SortStableFunc(p.steps, func(a, b step) int { return hooks.Compare(a.site, b.site) })
	for _, s := range p.steps {
		if s.edit != nil {
			p.edits = append(p.edits, s.edit)
		} else {
			p.taps = append(p.taps, s.tap)
		}
	}
	return p
}

// hold takes the encoders of all taps into use, in the order of taps; nil stands for a tap without one.
func (p *program) hold(m *Model) (held []*heldEncoder, err error) {
	for i := range p.steps {
		if p.steps[i].tap == nil {
			continue
		}
		h, err := m.hold(p.steps[i].tap)
		if err != nil {
			m.release(held)
			return nil, err
		}
		p.steps[i].encoder = h
		held = append(held, h)
	}
	return held, nil
}

// at returns the steps of one site.
func (p *program) at(s hooks.Site) []step {
	i, _ := slices.BinarySearchFunc(p.steps, s, func(x step, s hooks.Site) int { return hooks.Compare(x.site, s) })
	j := i
	for j < len(p.steps) && p.steps[j].site == s {
		j++
	}
	return p.steps[i:j]
}

// behindBlocks tells whether a step stands where only the rows are computed whose logits are asked for.
func (p *program) behindBlocks() bool {
	return slices.ContainsFunc(p.steps, func(s step) bool { return s.site.Point == hooks.FinalNorm || s.site.Point == hooks.Logits })
}

// signature says which graph the program needs: programs of one signature share a variant. Strengths, directions and rows are no part of it;
// whether a tap only reads is where such taps stand aside.
func (p *program) signature(aside bool) string {
	var b strings.Builder
	for _, s := range p.steps {
		what := "tap"
		switch {
		case s.edit != nil:
			what = s.edit.Op.String()
		case s.encoder != nil:
			what = fmt.Sprintf("tap of %d, packed %t", s.encoder.of.Rows, s.encoder.packed)
		}
		if aside && s.tap != nil && s.tap.ReadOnly {
			what += " aside"
		}
		fmt.Fprintf(&b, "%s:%s;", s.site, what)
	}
	return b.String()
}
