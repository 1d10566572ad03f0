// SPDX-License-Identifier: Apache-2.0

package dose

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// Limits is how far steering may go; the zero value is no limit.
type Limits struct {
	KL    float64 `json:"max_kl,omitempty"`    // nats between plain and steered next-token distributions, at every token
	Ratio float64 `json:"max_ratio,omitempty"` // length of an edit over that of the activation, at every token and site
	Stop  bool    `json:"stop,omitempty"`      // end the answer rather than hold back
}

// On tells whether there is a limit.
func (l Limits) On() bool { return l.KL > 0 || l.Ratio > 0 }

// Check refuses limits that make no sense.
func (l Limits) Check() error {
	for _, x := range []float64{l.KL, l.Ratio} {
		if !(x >= 0) || math.IsInf(x, 0) {
			return fmt.Errorf("guard: want limits of at least 0, found %g", x)
		}
	}
	if l.Stop && !l.On() {
		return errors.New("guard: want --max-kl or --max-ratio with --guard stop")
	}
	return nil
}

// Names that a guard's gauges have.
const (
	GuardName = "guard"
	LabelKL   = "kl"        // divergence at the token that is chosen next, as steering left it
	LabelHeld = "held back" // the same where it was beyond its limit
	LabelLong = "cut"       // length of an edit over that of the activation, where it was beyond its limit
)

// Guard holds the steering of a session to limits. An edit that is too long is shortened in its own direction; a next-token distribution that is too far from
// the plain model's is brought back along the line between their logits. Each is measured at every token, on the very text that is being generated: the plain
// model runs beside the steered one, which doubles the time of a token. What it does comes as gauges with the tokens.
type Guard struct {
	limits Limits
	plain  *runtime.Session
	logits []float32 // of the plain model
	tokens []int32   // of the sequence so far
}

// NewGuard returns a guard for one session at a time of a model.
func NewGuard(m *runtime.Model, limits Limits) (*Guard, error) {
	g := &Guard{limits: limits}
	if limits.KL == 0 {
		return g, nil
	}
	var err error
	if g.plain, err = m.NewSession(); err != nil {
		return nil, err
	}
	if _, err = g.plain.Attach(Reader(hooks.Once(hooks.Logits), func(row []float32) { g.logits = append(g.logits[:0], row...) })); err != nil {
		g.plain.Close()
		return nil, err
	}
	return g, nil
}

// Close ends the plain model's session; nil is fine.
func (g *Guard) Close() {
	if g != nil {
		g.plain.Close()
	}
}

// Around returns what stands in front of the steering and what stands behind it.
func (g *Guard) Around(sh *hooks.Shape, steering ...hooks.Hook) (first, last hooks.Hook, err error) {
	m := &Moves{See: g.shorten}
	if g.limits.Ratio > 0 {
		if m.Sites, err = Written(sh, steering...); err != nil {
			return nil, nil, err
		}
	}
	before, after := m.First(), m.Last()
	first = hooks.HookFunc(func(sh *hooks.Shape) (hooks.Plan, error) { return g.with(sh, before, true) })
	last = hooks.HookFunc(func(sh *hooks.Shape) (hooks.Plan, error) { return g.with(sh, after, false) })
	return first, last, nil
}

// with adds what watches next tokens.
func (g *Guard) with(sh *hooks.Shape, h hooks.Hook, first bool) (hooks.Plan, error) {
	plan, err := h.Bind(sh)
	if err != nil || g.limits.KL == 0 {
		return plan, err
	}
	if first {
		plan.Taps = append(plan.Taps, hooks.Tap{Name: GuardName, Site: hooks.At(hooks.ResidPost, 0), ReadOnly: true, Func: func(a *hooks.Activation) error {
			if a.First > len(g.tokens) {
				return fmt.Errorf("guard: want all tokens from the first one on, found position %d behind %d tokens", a.First, len(g.tokens))
			}
			g.tokens = append(g.tokens[:a.First], a.Tokens...)
			return nil
		}})
		return plan, nil
	}
	plan.Taps = append(plan.Taps, hooks.Tap{Name: GuardName, Site: hooks.Once(hooks.Logits), Func: g.hold})
	return plan, nil
}

// shorten cuts edits that are too long for their activations.
func (g *Guard) shorten(_ int, a *hooks.Activation, before []float32) error {
	worst := 0.0
	for i := range a.Rows {
		row, old := a.Row(i), before[i*a.Width:(i+1)*a.Width]
		change, length := Moved(row, old)
		if change <= g.limits.Ratio*length {
			continue
		}
		ratio := change / length
		worst = math.Max(worst, ratio)
		if share := g.limits.Ratio / ratio; !g.limits.Stop {
			for k, x := range old {
				row[k] = x + float32(share*(float64(row[k])-float64(x)))
			}
		}
	}
	if worst > 0 || math.IsNaN(worst) {
		g.report(a, LabelLong, worst)
	}
	return nil
}

// hold compares the next token with the plain model's.
func (g *Guard) hold(a *hooks.Activation) error {
	if a.Rest > 0 { // nothing is chosen behind this pass
		return nil
	}
	row := lastRow(a)
	if err := g.run(a.First + len(a.Rows)); err != nil {
		return err
	}
	kl := KL(g.logits, row)
	if kl <= g.limits.KL {
		a.Run.Report(hooks.Reading{Hook: GuardName, Site: a.Site, Kind: hooks.Gauge, Position: a.First + len(a.Rows) - 1, Label: LabelKL, Value: float32(kl)})
		return nil
	}
	if !g.limits.Stop {
		holdBack(g.logits, row, g.limits.KL)
	}
	g.report(a, LabelHeld, kl)
	return nil
}

// run brings the plain model to the end of the first n tokens.
func (g *Guard) run(n int) error {
	if n > len(g.tokens) {
		return fmt.Errorf("guard: want %d tokens, found %d", n, len(g.tokens))
	}
	for _, err := range g.plain.Generate(context.Background(), g.tokens[:n], runtime.Options{MaxTokens: 1}) {
		if err != nil {
			return fmt.Errorf("guard: plain model: %w", err)
		}
	}
	return nil
}

// Attach puts hooks on a session with the guard around them, and returns all attachments in order; those of the hooks are the ones in between.
func (g *Guard) Attach(s *runtime.Session, steering ...hooks.Hook) ([]*runtime.Attachment, error) {
	first, last, err := g.Around(s.Model().Shape(), steering...)
	if err != nil {
		return nil, err
	}
	return s.AttachAll(append(append([]hooks.Hook{first}, steering...), last)...)
}

// report says that a limit was passed, and ends the answer where that was asked for.
func (g *Guard) report(a *hooks.Activation, label string, value float64) {
	if math.IsNaN(value) || value > math.MaxFloat32 {
		value = math.MaxFloat32 // which JSON can hold
	}
	a.Run.Report(hooks.Reading{Hook: GuardName, Site: a.Site, Kind: hooks.Gauge, Position: a.First + len(a.Rows) - 1, Label: label, Value: float32(value)})
	if g.limits.Stop {
		a.Run.Stop()
	}
}
