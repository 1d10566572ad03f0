// SPDX-License-Identifier: Apache-2.0

package concepts

import (
	"fmt"
	"math"

	"github.com/trimtab/trimtab/steering/dictionary"
	"github.com/trimtab/trimtab/steering/rules"
)

// Lever is what a concept is pushed along: rows of the dictionary's decoder, or a direction. What is added to an activation h is
// factor · ‖h‖ · s/‖s‖ with s the combination of the weights times rows/‖rows‖ (rules.Shift).
type Lever struct {
	Features  []int32   `json:"features,omitempty"`
	Weights   []float64 `json:"weights,omitempty"`
	Combine   string    `json:"combine,omitempty"` // sum, mean or max of the weighted rows
	Norm      float64   `json:"norm"`              // p of the p-norm: 2 or 1
	Direction []float32 `json:"direction,omitempty"`
	Effect    *Effect   `json:"effect,omitempty"` // as measured; nil where it was not
}

// Effect is what a push does to the tokens of some answers, averaged over them and both signs, for each unit of the factor.
type Effect struct {
	Factor  float64 `json:"factor"`       // that was measured at
	KL      float64 `json:"kl"`           // divergence of the next token's distribution from the unsteered one, in nats
	Logit   float64 `json:"logit"`        // how much further the concept's own words rise above other words when promoted than when suppressed, half of it
	Spread  float64 `json:"random_logit"` // the same for directions drawn at random: their standard deviation from 0
	Prompts int     `json:"prompts"`
}

// Weak tells whether the push moves the concept's own words no further than chance: two standard deviations of what random directions do.
func (e *Effect) Weak() bool { return e.Logit < 2*e.Spread }

// String says what was measured in one line.
func (e *Effect) String() string {
	return fmt.Sprintf("KL %.3g, own words %+.3g (random directions ±%.2g) per unit at factor %g", e.KL, e.Logit, e.Spread, e.Factor)
}

func (l *Lever) check(n, width int) error {
	if l.Norm != 1 && l.Norm != 2 {
		return fmt.Errorf("want the norm 1 or 2, found %g", l.Norm)
	}
	if l.Direction != nil {
		if len(l.Direction) != width {
			return fmt.Errorf("want a direction of width %d, found one of %d", width, len(l.Direction))
		}
		return nil
	}
	if _, err := l.combine(); err != nil {
		return err
	}
	return checkWeights(l.Features, l.Weights, n)
}

func (l *Lever) combine() (rules.Combine, error) {
	for i, name := range []string{"sum", "mean", "max"} {
		if l.Combine == name {
			return rules.Combine(i), nil
		}
	}
	return 0, fmt.Errorf("want sum, mean or max, found %q", l.Combine)
}

// Push returns s/‖s‖: what is added for a factor of 1 to an activation of norm 1. The lever must have passed Set.Check.
func (l *Lever) Push(d *dictionary.Dictionary) []float32 {
	rows, weights, combine := [][]float32{l.Direction}, []float64{1}, rules.Sum
	if l.Direction == nil {
		rows, weights = make([][]float32, len(l.Features)), l.Weights
		for i, f := range l.Features {
			rows[i] = d.Row(int(f))
		}
		combine, _ = l.combine()
	}
	width := len(rows[0])
	one, out := make([]float64, width), make([]float64, width)
	one[0] = 1 // of norm 1, whatever the norm
	wide := make([][]float64, len(rows))
	for i, row := range rows {
		wide[i] = make([]float64, width)
		for j, v := range row {
			wide[i][j] = float64(v)
		}
	}
	rules.Shift(out, one, wide, weights, rules.Steer{Combine: combine, Norm: l.Norm, Factor: 1})
	push := make([]float32, width)
	for i, v := range out {
		push[i] = float32(v)
	}
	return push
}

// Length is the norm of an activation that a push is scaled by.
func (l *Lever) Length(h []float32) float64 {
	sum := 0.0
	for _, v := range h {
		if l.Norm == 1 {
			sum += math.Abs(float64(v))
		} else {
			sum += float64(v) * float64(v)
		}
	}
	if l.Norm == 1 {
		return sum
	}
	return math.Sqrt(sum)
}
