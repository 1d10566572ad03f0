// SPDX-License-Identifier: Apache-2.0

package tasks

import "github.com/trimtab/trimtab/cmd/trimtab/internal/judge"

// Share is how often something was right, with its 95 % confidence interval.
type Share struct {
	Right int     `json:"right"`
	Of    int     `json:"of"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Add counts one case.
func (s *Share) Add(right bool) {
	s.Of++
	if right {
		s.Right++
	}
	s.Low, s.High = judge.Interval(s.Right, s.Of)
}

// Value is the share itself, 0 of none.
func (s *Share) Value() float64 { return float64(s.Right) / float64(max(s.Of, 1)) }

// Result is one line of a task.
type Result struct {
	Task     string `json:"task"`
	Chance   string `json:"chance"`
	Plain    Share  `json:"plain"`    // the model alone
	Read     Share  `json:"read"`     // propositions read from the text by its grammar, conclusion pushed: what rules and lever allow
	Reasoned Share  `json:"reasoned"` // propositions detected in activations, conclusion pushed
	Detected Share  `json:"detected"` // propositions detected right
}
