// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/chart"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/judge"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering/experts"
)

// expertView is what a chat knows of its experts.
type expertView struct {
	watch  *runtime.Attachment // nil while nobody watches
	usage  map[experts.Expert]int
	tokens int                        // that usage counts
	last   map[experts.Expert]float32 // weights of the last token
	off    []experts.Expert
	mask   *attached       // of off; nil without
	marked map[string]bool // answers that a fit takes as its target
}

// experts is /experts with what may stand behind it.
func (c *Chat) experts(ctx context.Context, arg string) error {
	verb, rest, _ := strings.Cut(arg, " ")
	switch verb {
	case "":
		return c.showExperts()
	case "off":
		return c.switchExperts(rest, true)
	case "on":
		return c.switchExperts(rest, false)
	case "mark":
		return c.markTurn()
	case "fit":
		return c.fitExperts(ctx)
	}
	return fmt.Errorf("experts: want off LAYER/EXPERT,..., on [LAYER/EXPERT,...], mark, fit, or nothing, found %q", verb)
}

// showExperts prints the map of the last token and the usage so far; the first time it begins to watch.
func (c *Chat) showExperts() error {
	v := &c.view
	if v.watch == nil {
		at, err := c.rig.session.Attach(experts.Watch{})
		if err != nil {
			return err
		}
		v.watch, v.usage = at, map[experts.Expert]int{}
		c.screen.note("experts are watched from the next answer on")
		return nil
	}
	if v.tokens == 0 {
		c.screen.println("no token has been chosen since experts are watched")
		return nil
	}
	layers, values := c.expertRows(func(e experts.Expert) float64 { return float64(v.last[e]) })
	c.screen.println("last token: weight, blocks by experts")
	c.screen.print(c.grid(layers, values))
	layers, values = c.expertRows(func(e experts.Expert) float64 { return float64(v.usage[e]) / float64(v.tokens) })
	c.screen.println(fmt.Sprintf("%d tokens: share that chose the expert", v.tokens))
	c.screen.print(c.grid(layers, values))
	c.screen.println("off: " + joinExperts(v.off))
	return nil
}

// expertRows lists the blocks with a router, and a number for each of their experts.
func (c *Chat) expertRows(of func(experts.Expert) float64) (layers []int, values [][]float64) {
	sh := c.model.Shape()
	for i := range sh.Layers {
		if sh.Routers[i] == nil {
			continue
		}
		row := make([]float64, sh.Routers[i].Experts)
		for e := range row {
			row[e] = of(experts.Expert{Layer: i, Expert: e})
		}
		layers, values = append(layers, i), append(values, row)
	}
	return layers, values
}

func (c *Chat) grid(layers []int, values [][]float64) string {
	g := chart.Grid{Values: values}
	for _, l := range layers {
		g.Rows = append(g.Rows, fmt.Sprint(l))
	}
	width := c.screen.width()
	if width == 0 {
		width = 100
	}
	return g.Text(width)
}

// take counts what the tokens of an answer chose.
func (v *expertView) take(a *answer.Answer) {
	if v.watch == nil {
		return
	}
	for _, t := range a.Tokens {
		if len(t.Experts) == 0 {
			continue
		}
		v.tokens++
		v.last = map[experts.Expert]float32{}
		for _, r := range t.Experts {
			if site, err := hooks.ParseSite(r.Site); err == nil {
				e := experts.Expert{Layer: site.Layer, Expert: int(r.Index)}
				v.usage[e]++
				v.last[e] = r.Value
			}
		}
	}
}

// switchExperts takes experts off, as MoTE does, or lets them on again; on without a list means all.
func (c *Chat) switchExperts(list string, off bool) error {
	named, err := parseExperts(list)
	if err != nil {
		return err
	}
	v := &c.view
	next := slices.Clone(v.off)
	switch {
	case off && len(named) == 0:
		return errors.New("experts: want a list behind off, such as /experts off 3/17,5/2")
	case len(named) == 0:
		next = nil
	}
	for _, e := range named {
		next = without(next, e)
		if off {
			next = append(next, e)
		}
	}
	if err := c.maskExperts(next); err != nil {
		return err
	}
	c.screen.note("off from the next answer on: " + joinExperts(v.off))
	return nil
}

// maskExperts replaces the chat's mask; on an error the one before stays.
func (c *Chat) maskExperts(off []experts.Expert) error {
	v := &c.view
	if v.mask != nil && slices.Contains(c.rig.steerings, v.mask) {
		if err := c.rig.unsteer([]*attached{v.mask}); err != nil {
			return err
		}
	}
	v.mask = nil
	if len(off) > 0 {
		mask, err := c.rig.steer("experts:" + experts.Of(experts.OffDrop, 0, off).String())
		if err != nil {
			return errors.Join(err, c.restoreMask())
		}
		v.mask = mask
	}
	v.off = off
	return nil
}

func (c *Chat) restoreMask() (err error) {
	if len(c.view.off) > 0 {
		c.view.mask, err = c.rig.steer("experts:" + experts.Of(experts.OffDrop, 0, c.view.off).String())
	}
	return err
}

func parseExperts(list string) (out []experts.Expert, err error) {
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		e, err := experts.ParseExpert(name)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func joinExperts(list []experts.Expert) string {
	if len(list) == 0 {
		return "none"
	}
	var names []string
	for _, e := range list {
		names = append(names, e.String())
	}
	return strings.Join(names, ",")
}

// markTurn makes the last answer one of those whose experts a fit looks for.
func (c *Chat) markTurn() error {
	if len(c.talk.turns) == 0 {
		return errNothingSaid
	}
	if c.view.marked == nil {
		c.view.marked = map[string]bool{}
	}
	c.view.marked[c.talk.turns[len(c.talk.turns)-1].Content] = true
	c.screen.note("marked: /experts fit looks for the experts of marked answers")
	return nil
}

// fitExperts compares the experts of the conversation's marked answers, where none is marked of its refusals, with those of its other answers. Each answer is
// read once more, as it stands, without steering.
func (c *Chat) fitExperts(ctx context.Context) error {
	s, err := c.model.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	counter := experts.NewCounter(experts.Answer)
	if _, err := s.Attach(counter); err != nil {
		return err
	}
	var target, contrast experts.Map
	rule := judge.Defaults()
	for i, turn := range c.talk.turns {
		if turn.Role != "assistant" {
			continue
		}
		if err := c.readTurn(ctx, s, counter, i); err != nil {
			return err
		}
		if c.view.marked[turn.Content] || len(c.view.marked) == 0 && rule.Refuses(turn.Content) {
			target.Add(counter.Map())
		} else {
			contrast.Add(counter.Map())
		}
	}
	scores, err := experts.Share.Compare(&target, &contrast)
	if err != nil {
		return fmt.Errorf("experts fit: want refused or marked answers (/experts mark) and others: %w", err)
	}
	c.screen.println(fmt.Sprintf("%d answers against %d: share of tokens that chose the expert, a to h where it is lower", target.Prompts, contrast.Prompts))
	c.screen.print(c.grid(target.Layers, scores))
	ranked := experts.Rank(target.Layers, scores)
	var best []experts.Expert
	for _, r := range ranked[:min(4, len(ranked))] {
		c.screen.println(fmt.Sprintf("%-8s %+.3f", r.Entry.Expert, r.Points))
		best = append(best, r.Entry.Expert)
	}
	c.screen.note("to switch them off: /experts off " + joinExperts(best))
	return nil
}

// readTurn runs the conversation up to the end of an answer.
func (c *Chat) readTurn(ctx context.Context, s *runtime.Session, counter *experts.Counter, turn int) error {
	prompt, err := c.prompt(c.talk.turns[:turn])
	if err != nil {
		return err
	}
	reply := c.tok.Encode(nil, c.talk.turns[turn].Content, false)
	counter.Begin(len(prompt))
	s.Forget()
	return s.Read(ctx, append(slices.Clone(prompt), reply...), nil)
}
