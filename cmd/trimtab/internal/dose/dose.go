// SPDX-License-Identifier: Apache-2.0

package dose

import (
	"context"
	"fmt"
	"math"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering"
)

// Dose is what steering does at the strength that meets a budget, and whether that is what it is for.
type Dose struct {
	Spec    string   `json:"spec"` // with the strength that was found
	Sites   string   `json:"sites"`
	Result  *Result  `json:"result"`
	Text    *Reading `json:"text,omitempty"`
	Broken  string   `json:"broken,omitempty"`
	Verdict string   `json:"verdict"`
	Works   *bool    `json:"works,omitempty"` // nil without a measure
}

// most is the largest strength that makes sense for a kind: 0 is no limit, and 1 is all that there is to do.
func most(k steering.Kind) float64 {
	switch k {
	case steering.KindVector, steering.KindNorm, steering.KindRules:
		return 0
	}
	return 1
}

// Find calibrates a hook and, where tokens is not 0, lets it write so many behind every prompt; plain is what the plain model writes. The strength is left where
// it was found.
func (m *Meter) Find(ctx context.Context, h steering.Hook, budget float64, tokens int, plain *Reading) (*Dose, error) {
	spec := h.Spec()
	if spec.Kind == steering.KindRotate {
		return nil, fmt.Errorf("dose: %s: want steering with a strength to look for, found degrees", h.Name())
	}
	s, err := m.Steer(h)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	kind := actual(m.model.Shape(), h, spec.Kind)
	search := Search{Budget: budget, Start: 1, Most: most(kind), Sign: 1, Curve: true}
	if now := float64(h.Strength().Value()); now != 0 {
		search.Start, search.Sign = math.Abs(now), math.Copysign(1, now)
	}
	at := func(strength float64) (Point, error) {
		h.Strength().Set(float32(strength))
		return s.At(ctx, strength)
	}
	d := &Dose{Sites: where(h, m.model.Shape())}
	if d.Result, err = Calibrate(search, at); err != nil {
		return nil, err
	}
	h.Strength().Set(float32(d.Result.At.Strength))
	spec = h.Spec()
	d.Spec = spec.String()
	if tokens > 0 {
		if d.Text, err = s.Write(ctx, tokens); err != nil {
			return nil, err
		}
		d.Broken = d.Text.Broken(plain)
	}
	d.judge(m, wanted(kind, search.Sign))
	return d, nil
}

// actual is the kind of what is carried out: a file may ask to be projected out.
func actual(sh *hooks.Shape, h steering.Hook, kind steering.Kind) steering.Kind {
	plan, err := h.Bind(sh)
	if err == nil && len(plan.Edits) > 0 && plan.Edits[0].Op == hooks.Project {
		return steering.KindProject
	}
	return kind
}

// where names the first and the last site.
func where(h steering.Hook, sh *hooks.Shape) string {
	places, err := h.Sites(sh)
	if err != nil || len(places) == 0 {
		return ""
	}
	first, last := places[0].Site, places[len(places)-1].Site
	switch {
	case first == last:
		return first.String()
	case first.Point == last.Point:
		return fmt.Sprintf("%s-%d", first, last.Layer)
	}
	return fmt.Sprintf("%s ... %s", first, last)
}

// Write continues every prompt without steering.
func (m *Meter) Write(ctx context.Context, tokens int) (*Reading, error) {
	s, err := m.Steer()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Write(ctx, tokens)
}

// Standard errors that an effect must be away from nothing.
const clearly = 2

// neverFired is said of steering that left every bit of every prompt's logits.
const neverFired = "changes nothing on these prompts: it never fired"

// Verdict says what a point means for steering at the strength that it has; broken is what is wrong with its texts.
func (m *Meter) Verdict(h steering.Hook, p *Point, broken string) string {
	kind := actual(m.model.Shape(), h, h.Spec().Kind)
	words := broken
	switch {
	case !p.Moved:
		return neverFired
	case m.measure != nil:
		words = p.effect(m.Measured(), wanted(kind, math.Copysign(1, float64(h.Strength().Value()))))
		if broken != "" {
			words += "; " + broken
		}
	}
	return words
}

// judge says whether the steering works.
func (d *Dose) judge(m *Meter, sign float64) {
	moved := false
	for i := range d.Result.Points {
		moved = moved || d.Result.Points[i].Moved
	}
	p := &d.Result.At
	switch {
	case !moved:
		d.Verdict = neverFired
		d.works(m, false)
	case m.measure == nil:
		d.Verdict = d.Broken
	default:
		d.Verdict = p.effect(m.Measured(), sign)
		d.works(m, p.works(sign))
		if d.Broken != "" {
			d.Verdict += "; " + d.Broken
		}
	}
	if !d.Result.Met && moved {
		if d.Verdict != "" {
			d.Verdict = "; " + d.Verdict
		}
		d.Verdict = "the budget cannot be met: " + d.Result.Why + d.Verdict
	}
}

func (d *Dose) works(m *Meter, yes bool) {
	if m.measure != nil {
		d.Works = &yes
	}
}

// wanted is the sign that an effect is to have: that of the strength of what is added, below 0 where something is taken out; 0 where it may have either.
func wanted(k steering.Kind, strength float64) float64 {
	switch k {
	case steering.KindVector, steering.KindNorm:
		return strength
	case steering.KindProject, steering.KindProjectPositive:
		return -1
	}
	return 0
}

// works tells whether an effect is clear, and has the sign that is wanted.
func (p *Point) works(sign float64) bool {
	if sign == 0 {
		return math.Abs(p.Effect) > clearly*p.Error
	}
	return sign*p.Effect > clearly*p.Error
}

func (p *Point) effect(measure string, sign float64) string {
	switch {
	case p.works(sign):
		return fmt.Sprintf("works: %s %+.3g", measure, p.Effect)
	case p.works(-sign):
		return fmt.Sprintf("does not work: it moves the %s the wrong way, %+.3g (error %.2g)", measure, p.Effect, p.Error)
	}
	return fmt.Sprintf("does not work: its effect on the %s is not clear, %+.3g (error %.2g)", measure, p.Effect, p.Error)
}
