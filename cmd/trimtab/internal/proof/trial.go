// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"context"
	"math"
	"slices"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/dose"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// trial is what one run showed.
type trial struct {
	logits   [][]float32 // by pass
	chosen   []int32     // tokens behind each
	sites    []siteTrial
	selected bool // an edit was to act on a token
	last     bool // the token behind which the next one is chosen was moved
}

// siteTrial is what happened at one site.
type siteTrial struct {
	change float64 // largest of a row, as a share of its length
	off    float64 // largest distance from what the edits were to do, likewise
	broken bool    // a number is not finite
	sum    float64 // of the changes of rows, as shares of their lengths
	rows   int
}

// stage is a session with hooks on it, to run more than once.
type stage struct {
	check   *check
	session *runtime.Session
	edits   []hooks.Edit
	now     *trial
}

// stage puts hooks on a session of their own. What is written by sites is seen, and compared with the edits.
func (c *check) stage(sites []hooks.Site, edits []hooks.Edit, list ...hooks.Hook) (*stage, error) {
	s, err := c.model.NewSession()
	if err != nil {
		return nil, err
	}
	g := &stage{check: c, session: s, edits: edits}
	m := &dose.Moves{Sites: sites, ReadOnly: true, See: g.see}
	all := append(append([]hooks.Hook{m.First()}, list...), m.Last(), dose.Reader(hooks.Once(hooks.Logits), func(row []float32) {
		g.now.logits = append(g.now.logits, slices.Clone(row))
	}))
	if _, err := s.AttachAll(all...); err != nil {
		s.Close()
		return nil, err
	}
	return g, nil
}

// run runs the prompt from an empty context.
func (g *stage) run(ctx context.Context) (*trial, error) {
	g.now = &trial{sites: make([]siteTrial, len(g.check.sites))}
	g.session.Forget()
	for token, err := range g.session.Generate(ctx, g.check.ids, runtime.Options{MaxTokens: g.check.passes, IgnoreEOS: true}) {
		if err != nil {
			return nil, err
		}
		g.now.chosen = append(g.now.chosen, token.ID)
	}
	return g.now, nil
}

// once runs the prompt once with hooks attached.
func (c *check) once(ctx context.Context, list ...hooks.Hook) (*trial, error) {
	g, err := c.stage(nil, nil, list...)
	if err != nil {
		return nil, err
	}
	defer g.session.Close()
	return g.run(ctx)
}

// see notes what was done to the rows of a site in one pass.
func (g *stage) see(site int, a *hooks.Activation, before []float32) error {
	t := g.now
	s := &t.sites[site]
	want, known := t.wanted(g.check, g.check.sites[site], a, before, g.edits)
	for i := range a.Rows {
		row, old := a.Row(i), before[i*a.Width:(i+1)*a.Width]
		s.broken = s.broken || !slices.ContainsFunc(old, func(x float32) bool { return !finite(x) }) && slices.ContainsFunc(row, func(x float32) bool { return !finite(x) })
		change, length := dose.Moved(row, old)
		s.change = math.Max(s.change, share(change, length))
		t.last = t.last || change > 0 && a.Rest == 0 && i == len(a.Rows)-1
		if known {
			off, _ := dose.Moved(row, want[i*a.Width:(i+1)*a.Width])
			s.off = math.Max(s.off, share(off, math.Max(length, change)))
		}
		if change > 0 && length > 0 && (a.First+i > 0 || s.rows == 0) { // position 0 is far longer than all others in many models
			s.sum, s.rows = s.sum+change/length, s.rows+1
		}
	}
	return nil
}

// longest returns the site at which edits are longest against the activation, by the mean over rows.
func (t *trial) longest() (site int, ratio float64) {
	for i := range t.sites {
		if s := &t.sites[i]; s.rows > 0 && s.sum/float64(s.rows) > ratio {
			site, ratio = i, s.sum/float64(s.rows)
		}
	}
	return site, ratio
}

func share(part, whole float64) float64 {
	if part == 0 {
		return 0
	}
	return part / math.Max(whole, math.SmallestNonzeroFloat32)
}

// wanted carries the edits of a site out in Go on what was in front of them. Of a site that a tap writes too, or of a mask, nothing is known.
func (t *trial) wanted(c *check, site hooks.Site, a *hooks.Activation, before []float32, edits []hooks.Edit) ([]float32, bool) {
	for i := range c.plan.Taps {
		if at, err := c.model.Shape().Resolve(c.plan.Taps[i].Site); err == nil && at == site && !c.plan.Taps[i].ReadOnly {
			t.selected = true // its rows are for it to say
			return nil, false
		}
	}
	tok, err := c.model.Tokenizer()
	want := slices.Clone(before)
	for i := range edits {
		e := &edits[i]
		if at, err := c.model.Shape().Resolve(e.Site); err != nil || at != site {
			continue
		}
		if e.Op == hooks.Route {
			t.selected = true
			return nil, false
		}
		one := hooks.Activation{Site: site, Phase: a.Phase, First: a.First, Tokens: a.Tokens, Width: a.Width, Data: want}
		for k, id := range a.Tokens[len(a.Tokens)-len(a.Rows):] {
			on := e.Where.Selects(hooks.Row{Position: a.First + k, Phase: a.Phase, Special: err == nil && tok.Special(id)})
			one.Rows = append(one.Rows, on)
			t.selected = t.selected || on
		}
		tap := e.Tap()
		if tap.Func(&one) != nil {
			return nil, false
		}
	}
	return want, true
}

// movedAt returns the last site that was changed, or none.
func (t *trial) movedAt(sites []hooks.Site) hooks.Site {
	for i := len(sites) - 1; i >= 0; i-- {
		if t.sites[i].change > 0 {
			return sites[i]
		}
	}
	return hooks.Site{}
}

// same tells whether two runs have the same logits, bit by bit.
func (t *trial) same(o *trial) bool { return t.apart(o) == 0 }

// apart is the largest distance of two logits, as far as both runs chose the same tokens; of what is not finite, infinite.
func (t *trial) apart(o *trial) float64 {
	far := 0.0
	for i := range min(len(t.logits), len(o.logits)) {
		for k, x := range t.logits[i] {
			if y := o.logits[i][k]; x != y {
				d := math.Abs(float64(x) - float64(y))
				if math.IsNaN(d) {
					d = math.Inf(1)
				}
				far = math.Max(far, d)
			}
		}
		if t.chosen[i] != o.chosen[i] {
			break
		}
	}
	return far
}
