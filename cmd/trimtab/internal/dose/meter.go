// SPDX-License-Identifier: Apache-2.0

package dose

import (
	"context"
	"fmt"
	"math"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// Point is what steering does at one strength, over all prompts of a meter.
type Point struct {
	Strength float64   `json:"strength"`
	KL       float64   `json:"kl"`    // mean over prompts
	KLs      []float64 `json:"kls"`   // by prompt
	Ratio    float64   `json:"ratio"` // of an edit's length and the activation's, mean over tokens and sites; 0 where the sites cannot show it
	Value    float64   `json:"value"` // of the measure, mean over prompts
	Values   []float64 `json:"values,omitempty"`
	Effect   float64   `json:"effect"` // Value less that of the plain model
	Error    float64   `json:"effect_error"`
	Moved    bool      `json:"moved"` // anything is different from the plain model at all
}

// Meter compares a steered model with the plain one on prompts, at the token behind each.
type Meter struct {
	model   *runtime.Model
	prompts [][]int32
	measure *Measure // nil: none

	logits [][]float32 // of the plain model, by prompt
	values []float64
}

// NewMeter runs the plain model over the prompts.
func NewMeter(ctx context.Context, m *runtime.Model, prompts [][]int32, measure *Measure) (*Meter, error) {
	if len(prompts) == 0 {
		return nil, fmt.Errorf("dose: want one prompt or more, found none")
	}
	out := &Meter{model: m, prompts: prompts, measure: measure}
	s, err := out.Steer()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for i, ids := range prompts {
		row, err := s.run(ctx, ids)
		if err != nil {
			return nil, fmt.Errorf("dose: prompt %d: %w", i+1, err)
		}
		out.logits = append(out.logits, append([]float32(nil), row...))
		out.values = append(out.values, s.value())
	}
	return out, nil
}

// Plain is the measure's mean over prompts without steering.
func (m *Meter) Plain() float64 { return mean(m.values) }

// Measured names the measure, "" where there is none.
func (m *Meter) Measured() string {
	if m.measure == nil {
		return ""
	}
	return m.measure.Words
}

// Steered is a session with steering on it that a meter reads.
type Steered struct {
	meter   *Meter
	session *runtime.Session
	logits  []float32
	moves   Moves
	change  float64 // sum of ratios
	rows    int
}

// Steer puts hooks on a session of their own. It is to be closed.
func (m *Meter) Steer(list ...hooks.Hook) (*Steered, error) {
	sh := m.model.Shape()
	sites, err := Written(sh, list...)
	if err != nil {
		return nil, err
	}
	s := &Steered{meter: m}
	s.moves = Moves{Sites: sites, See: s.see, ReadOnly: true}
	if s.session, err = m.model.NewSession(); err != nil {
		return nil, err
	}
	all := append(append([]hooks.Hook{s.moves.First()}, list...), s.moves.Last())
	if m.measure != nil && m.measure.hook != nil {
		all = append(all, m.measure.hook)
	}
	all = append(all, Reader(hooks.Once(hooks.Logits), func(row []float32) { s.logits = append(s.logits[:0], row...) }))
	if _, err := s.session.AttachAll(all...); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close gives the session back.
func (s *Steered) Close() { s.session.Close() }

// see measures what was done to the rows of a site.
func (s *Steered) see(_ int, a *hooks.Activation, before []float32) error {
	for i := range a.Rows {
		change, length := Moved(a.Row(i), before[i*a.Width:(i+1)*a.Width])
		if length > 0 {
			s.change += change / length
			s.rows++
		}
	}
	return nil
}

// run reads a prompt from an empty context and returns the logits behind it, BORROWED until the next call.
func (s *Steered) run(ctx context.Context, ids []int32) ([]float32, error) {
	s.session.Forget()
	for _, err := range s.session.Generate(ctx, ids, runtime.Options{MaxTokens: 1}) {
		if err != nil {
			return nil, err
		}
	}
	return s.logits, nil
}

func (s *Steered) value() float64 {
	if s.meter.measure == nil {
		return 0
	}
	return s.meter.measure.value(s.logits)
}

// At measures all prompts with the strengths as they stand; strength is only written down.
func (s *Steered) At(ctx context.Context, strength float64) (Point, error) {
	p := Point{Strength: strength}
	s.change, s.rows = 0, 0
	var effects []float64
	for i, ids := range s.meter.prompts {
		row, err := s.run(ctx, ids)
		if err != nil {
			return p, fmt.Errorf("dose: prompt %d: %w", i+1, err)
		}
		plain := s.meter.logits[i]
		for k, x := range plain {
			p.Moved = p.Moved || x != row[k]
		}
		p.KLs = append(p.KLs, finite(KL(plain, row)))
		if s.meter.measure != nil {
			p.Values = append(p.Values, finite(s.value()))
			effects = append(effects, p.Values[i]-s.meter.values[i])
		}
	}
	p.KL, p.Value, p.Effect, p.Error = mean(p.KLs), mean(p.Values), mean(effects), errorOf(effects)
	if s.rows > 0 {
		p.Ratio = finite(s.change / float64(s.rows))
	}
	return p, nil
}

// unbounded stands for what is no number, or none that JSON can hold: divergences and lengths of activations that a strength took beyond all bounds.
const unbounded = 1e9

func finite(x float64) float64 {
	if math.IsNaN(x) || math.Abs(x) > unbounded {
		return unbounded
	}
	return x
}

func mean(list []float64) float64 {
	sum := 0.0
	for _, x := range list {
		sum += x
	}
	return sum / math.Max(float64(len(list)), 1)
}

// errorOf is the standard error of a mean; of fewer than two numbers it is not known, and 0.
func errorOf(list []float64) float64 {
	if len(list) < 2 {
		return 0
	}
	m, sum := mean(list), 0.0
	for _, x := range list {
		sum += (x - m) * (x - m)
	}
	return math.Sqrt(sum / float64(len(list)-1) / float64(len(list)))
}

// Prompts is how many prompts the meter reads.
func (m *Meter) Prompts() int { return len(m.prompts) }
