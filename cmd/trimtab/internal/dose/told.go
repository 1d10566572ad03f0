// SPDX-License-Identifier: Apache-2.0

package dose

import (
	"fmt"
	"math"
)

// Held sums up what a guard did while an answer came.
type Held struct {
	Tokens  int // at which a limit was passed
	KL      float64
	Ratio   float64
	Of      int // tokens
	Highest float64
}

// Add takes a gauge of the guard; fresh says that it is the first one of its token beyond a limit.
func (h *Held) Add(label string, value float64) (beyond bool) {
	switch label {
	case LabelHeld:
		h.KL = math.Max(h.KL, value)
		return true
	case LabelLong:
		h.Ratio = math.Max(h.Ratio, value)
		return true
	case LabelKL:
		h.Highest = math.Max(h.Highest, value)
	}
	return false
}

// Words says what the guard did, "" where it had nothing to do.
func (h *Held) Words(l Limits) string {
	if h.Tokens == 0 {
		return ""
	}
	what := "held steering back"
	if l.Stop {
		what = "stopped the answer: steering went too far"
	}
	out := fmt.Sprintf("guard: %s at %d of %d tokens", what, h.Tokens, h.Of)
	if h.KL > 0 {
		out += fmt.Sprintf("; KL up to %.3g, the limit is %g", h.KL, l.KL)
	}
	if h.Ratio > 0 {
		out += fmt.Sprintf("; edits up to %.3g of the activation's length, the limit is %g", h.Ratio, l.Ratio)
	}
	return out
}
