// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"slices"

	"github.com/trimtab/trimtab/hooks"
)

// gate decides, row by row, where the edits of one session act that a graph cannot decide on: by what the prompt is like, and by where its instruction ends.
// One goroutine at a time calls it, since a session runs one pass at a time.
type gate struct {
	name   string
	terms  []*term
	any    bool
	answer *answerGate
	view   hooks.Activation // of the edit that is being carried out

	// The pass under way, told from the one before by its rows and by the order of the taps.
	tap   int
	first int
	phase hooks.Phase
	rest  int

	prompts []decided // in rising order
}

// decided is what was decided of a prompt.
type decided struct {
	first int // its first position
	on    bool
}

// begin is called by every tap, in forward order in each pass, and tells whether the pass begins a prompt.
func (g *gate) begin(tap int, a *hooks.Activation) (prompt bool) {
	if tap > g.tap && a.First == g.first && a.Phase == g.phase {
		g.tap = tap
		return false
	}
	follows := a.Phase == hooks.Prefill && g.phase == hooks.Prefill && g.rest > 0 && a.First > g.first
	g.tap, g.first, g.phase, g.rest = tap, a.First, a.Phase, a.Rest
	if g.answer != nil {
		g.answer.pass(a, follows)
	}
	return a.Phase == hooks.Prefill && !follows
}

// start is what the first tap of a plan with conditions does: a prompt is not decided yet. Taps that act are called again for passes of the past where a graph has
// no cache; those that only read are not, and they alone begin prompts.
func (g *gate) start(tap int, a *hooks.Activation) {
	if !g.begin(tap, a) {
		return
	}
	for n := len(g.prompts); n > 0 && g.prompts[n-1].first >= a.First; n-- {
		g.prompts = g.prompts[:n-1]
	}
	g.prompts = append(g.prompts, decided{first: a.First})
	for _, t := range g.terms {
		for _, c := range t.places {
			c.restart()
		}
	}
}

// look is what a condition's tap does: it takes a prompt's rows in and decides anew.
func (g *gate) look(tap int, a *hooks.Activation, t *term, c *condition, all bool) {
	g.start(tap, a)
	value := c.see(a, t.condition.Last, all)
	c.holds = value > float64(t.condition.Threshold)
	if t.condition.Below {
		c.holds = value < float64(t.condition.Threshold)
	}
	g.decide()
	label := c.label[0]
	if c.holds {
		label = c.label[1]
	}
	a.Run.Report(hooks.Reading{Hook: g.name, Site: c.site, Kind: hooks.Gauge, Position: a.First + len(a.Rows) - 1, Label: label, Value: float32(value)})
}

// decide puts the terms together for the latest prompt.
func (g *gate) decide() {
	holds := func(t *term) bool {
		return slices.ContainsFunc(t.places, func(c *condition) bool { return c.holds })
	}
	on := slices.ContainsFunc(g.terms, holds)
	if !g.any {
		on = !slices.ContainsFunc(g.terms, func(t *term) bool { return !holds(t) })
	}
	g.prompts[len(g.prompts)-1].on = on
}

// act carries an edit out on the rows that are open.
func (g *gate) act(tap int, a *hooks.Activation, edit func(*hooks.Activation) error) error {
	g.begin(tap, a)
	g.view.Rows = append(g.view.Rows[:0], a.Rows...)
	open := false
	for i := range g.view.Rows {
		g.view.Rows[i] = g.view.Rows[i] && g.open(a.First+i) && (g.answer == nil || g.answer.open(i))
		open = open || g.view.Rows[i]
	}
	if !open {
		return nil
	}
	rows := g.view.Rows
	g.view = *a
	g.view.Rows = rows
	return edit(&g.view)
}

// open tells what was decided of the prompt that a position belongs to, or whose answer it is in.
func (g *gate) open(position int) bool {
	if len(g.terms) == 0 {
		return true
	}
	for i := len(g.prompts) - 1; i >= 0; i-- {
		if g.prompts[i].first <= position {
			return g.prompts[i].on
		}
	}
	return false
}
