// SPDX-License-Identifier: Apache-2.0

// Package proof tries steering out before it is used: on a built-in prompt it measures that each site moved by what was declared, that what is chosen behind it
// moved at all, and that strength 0 is the plain run.
package proof

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/dose"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/receipt"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

// text is what steering is tried out on: short, since it runs three times.
const text = "Tell me about your day."

// longest is how far a prompt is stretched for steering that begins at a later position.
const longest = 256

// Error says that steering does not do what it is attached for.
type Error struct {
	Steering string
	Site     hooks.Site // zero where it is none of one site
	Reason   string
}

func (e *Error) Error() string {
	if e.Site.Point == "" {
		return fmt.Sprintf("steering %s was tried out and refused: %s", e.Steering, e.Reason)
	}
	return fmt.Sprintf("steering %s was tried out and refused: at %s %s", e.Steering, e.Site, e.Reason)
}

// Tester tries steering out on one model.
type Tester struct {
	model *runtime.Model
	plain map[string]*trial // by number of tokens and passes
	sum   func() (string, error)
}

// New returns a tester; what it learns of the plain model it keeps.
func New(m *runtime.Model) *Tester {
	return &Tester{model: m, plain: map[string]*trial{}, sum: hashOf(m.File().Path)}
}

// hashOf hashes a file at the first call; of a folder it is "".
func hashOf(path string) func() (string, error) {
	known := ""
	return func() (string, error) {
		info, err := os.Stat(path)
		if known != "" || err != nil || info.IsDir() {
			return known, err
		}
		known, _, err = receipt.Sum(path)
		return known, err
	}
}

// Check tries a hook out, alone and then together with what is attached already, and says what a user should know. What it refuses it refuses with an *Error,
// or a *steering.MismatchError. The hook's strength is turned while it runs and is afterwards what it was.
func (t *Tester) Check(ctx context.Context, h steering.Hook, others ...steering.Hook) ([]string, error) {
	notes, err := t.identity(h)
	if err != nil {
		return nil, err
	}
	c, err := t.newCheck(ctx, h)
	if err != nil || c == nil {
		return notes, err
	}
	before := h.Strength().Value()
	defer h.Strength().Set(before)
	if before == 0 && c.op != hooks.Rotate {
		h.Strength().Set(1)
		notes = append(notes, h.Name()+": its strength is 0: it changes nothing until it is turned up")
	}
	more, err := c.alone(ctx)
	if err != nil {
		return nil, err
	}
	notes = append(notes, more...)
	if len(others) == 0 || before == 0 {
		return notes, nil
	}
	return notes, c.together(ctx, others)
}

// identity compares what the files say of their model with the model.
func (t *Tester) identity(h steering.Hook) ([]string, error) {
	known, ok := h.(interface {
		CheckFile(sh *hooks.Shape, sum func() (string, error)) ([]string, error)
	})
	if !ok {
		return nil, nil
	}
	notes, err := known.CheckFile(t.model.Shape(), t.sum)
	for i, note := range notes {
		notes[i] = "warning: " + note
	}
	return notes, err
}

// check is one hook under trial.
type check struct {
	*Tester
	hook   steering.Hook
	plan   hooks.Plan
	sites  []hooks.Site
	op     hooks.Op
	ids    []int32
	passes int // over the prompt and over tokens generated behind it
	plain  *trial
	own    *trial // with the hook alone
}

// newCheck returns nil for a hook that changes nothing by itself.
func (t *Tester) newCheck(ctx context.Context, h steering.Hook) (*check, error) {
	sh := t.model.Shape()
	plan, err := h.Bind(sh)
	if err != nil {
		return nil, err
	}
	sites, err := dose.Written(sh, h)
	if err != nil || len(sites) == 0 {
		return nil, err
	}
	c := &check{Tester: t, hook: h, plan: plan, sites: sites, op: hooks.Add, passes: 1}
	if len(plan.Edits) > 0 {
		c.op = plan.Edits[0].Op
	}
	from, always := 0, false
	for _, w := range c.wheres() {
		from, always = max(from, w.From), always || w.Phases != hooks.Decode
	}
	if !always {
		c.passes = 2
	}
	c.ids = t.prompt(from + 2)
	key := fmt.Sprint(len(c.ids), c.passes)
	if t.plain[key] == nil {
		if t.plain[key], err = c.once(ctx); err != nil {
			return nil, err
		}
	}
	c.plain = t.plain[key]
	return c, nil
}

// wheres are the rows that everything in the plan acts on.
func (c *check) wheres() (out []hooks.Where) {
	for i := range c.plan.Edits {
		out = append(out, c.plan.Edits[i].Where)
	}
	for i := range c.plan.Taps {
		out = append(out, c.plan.Taps[i].Where)
	}
	return out
}

// prompt is the built-in text behind the token that begins a text, repeated up to the given number of tokens.
func (t *Tester) prompt(least int) []int32 {
	ids := t.ids()
	one := len(ids)
	for len(ids) < min(least, longest, t.model.Config().Context-1) {
		ids = append(ids, ids[len(ids)%one])
	}
	return ids[:min(len(ids), max(t.model.Config().Context-1, 1))]
}

func (t *Tester) ids() (ids []int32) {
	tok, err := t.model.Tokenizer()
	if err != nil {
		for i := range 8 {
			ids = append(ids, int32((1+7*i)%t.model.Shape().Vocab))
		}
		return ids
	}
	if tok.BOS() >= 0 {
		ids = append(ids, tok.BOS())
	}
	return tok.Encode(ids, text, false)
}

// alone tries the hook without others.
func (c *check) alone(ctx context.Context) (notes []string, err error) {
	g, err := c.stage(c.sites, c.plan.Edits, c.hook)
	if err != nil {
		return nil, err
	}
	defer g.session.Close()
	if c.own, err = g.run(ctx); err != nil {
		return nil, err
	}
	if err := c.declared(); err != nil {
		return nil, err
	}
	if c.own.same(c.plain) {
		return c.still()
	}
	return c.strong(), c.zero(ctx, g)
}

// declared compares what edits did with what they say.
func (c *check) declared() error {
	for i, site := range c.sites {
		switch s := &c.own.sites[i]; {
		case s.broken:
			return &Error{c.hook.Name(), site, "it leaves numbers that are not finite: the strength is too large"}
		case s.off > tolerance:
			return &Error{c.hook.Name(), site, fmt.Sprintf("the activation is not where the edit was to bring it: %.2g of its length away", s.off)}
		}
	}
	return nil
}

// tolerance is how far an edit of the graph and one in Go may be apart, as a share of the activation: single precision, and directions that are not of unit length.
const tolerance = 1e-3

// still judges steering behind which the same is chosen as without it.
func (c *check) still() ([]string, error) {
	name, site := c.hook.Name(), c.own.movedAt(c.sites)
	always, everywhere := c.unconditional()
	switch {
	case !c.own.selected:
		return []string{fmt.Sprintf("%s: acts on no token of the %d that steering is tried out on: it was not tried", name, len(c.ids))}, nil
	case site == (hooks.Site{}) && always:
		return nil, &Error{name, c.sites[0], "it changes nothing: the edit is too small for the activation's precision, or the site is not what the model computes with"}
	case site != (hooks.Site{}) && site.Point != hooks.RouterLogits && (c.own.last || always && everywhere):
		return nil, &Error{name, site, "it moves the activation, but nothing that is chosen behind it: the site is dead, or a fused node reads another value"}
	}
	return []string{name + ": did not fire on the built-in prompt: nothing shows yet that it does anything"}, nil
}

// unconditional tells whether the hook changes every row that it acts on, whatever the activation, and whether those are rows by position and phase alone.
func (c *check) unconditional() (always, everywhere bool) {
	always, everywhere = len(c.plan.Taps) == 0, true
	for i := range c.plan.Edits {
		e := &c.plan.Edits[i]
		everywhere = everywhere && !e.Where.Special && !e.Where.Ordinary
		switch e.Op {
		case hooks.Add, hooks.AddKeepNorm, hooks.Rotate:
		default: // a component that is not there, a range that nothing leaves, experts that were not chosen
			always = false
		}
	}
	return always, everywhere
}

// Beyond these text is likely to break: an edit as long as the activation itself, and a next token that the plain model would hardly choose.
const (
	strongRatio = 1
	strongKL    = 4
)

// strong warns of a strength that is likely to break the text.
func (c *check) strong() []string {
	site, ratio := c.own.longest()
	kl := dose.KL(c.plain.logits[0], c.own.logits[0])
	if ratio <= strongRatio && kl <= strongKL {
		return nil
	}
	return []string{fmt.Sprintf("warning: %s: the text may break at this strength: at %s the edit is %.2g times as long as the activation, and the next token's distribution "+
		"is %.2g nats from the plain one's (trimtab calibrate finds a strength, --max-kl holds to one)", c.hook.Name(), c.sites[site], ratio, kl)}
}

// zero holds that strength 0 is the plain run. Of a rotation it is an angle like others.
func (c *check) zero(ctx context.Context, g *stage) error {
	if c.op == hooks.Rotate && len(c.plan.Edits) > 0 {
		return nil
	}
	now := c.hook.Strength().Value()
	c.hook.Strength().Set(0)
	defer c.hook.Strength().Set(now)
	g.edits = nil
	none, err := g.run(ctx)
	if err != nil {
		return err
	}
	if !none.same(c.plain) {
		return &Error{Steering: c.hook.Name(), Reason: fmt.Sprintf("at strength 0 the model is not the plain one: logits are up to %.3g apart", none.apart(c.plain))}
	}
	return nil
}

// together tries the hook behind what is attached already.
func (c *check) together(ctx context.Context, others []steering.Hook) error {
	if len(c.own.logits) == 0 || c.own.same(c.plain) {
		return nil // it did not fire
	}
	var names []string
	var list []hooks.Hook
	for _, o := range others {
		names, list = append(names, o.Name()), append(list, o)
	}
	all, err := c.once(ctx, append(list, c.hook)...)
	if err != nil {
		return err
	}
	const nothing = 1e-3 // of what it does alone: two that cancel leave what single precision loses
	if left, alone := all.apart(c.plain), c.own.apart(c.plain); left < nothing*alone {
		return &Error{Steering: c.hook.Name(), Reason: fmt.Sprintf("together with %s it changes nothing: they cancel each other (logits move by %.2g, by %.2g without)",
			strings.Join(names, ", "), left, alone)}
	}
	return nil
}

func finite(x float32) bool { return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) }
