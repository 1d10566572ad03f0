// SPDX-License-Identifier: Apache-2.0

package experts

import (
	"cmp"
	"fmt"
	"slices"
)

// Score compares two classes, expert by expert.
type Score string

// The scores. All are a mean over the target class minus the mean over the contrast class.
const (
	Share  Score = "share"  // of a prompt's tokens that chose the expert: every prompt counts the same
	Risk   Score = "risk"   // of a class's tokens that chose the expert: SteerMoE's risk difference, long prompts count more
	Count  Score = "count"  // tokens of a prompt that chose the expert: MoTE's activation maps, averaged by class
	Weight Score = "weight" // the weight of the expert in a token's output, 0 where it was not chosen
)

// ParseScore reads a score by its name.
func ParseScore(name string) (Score, error) {
	switch s := Score(name); s {
	case Share, Risk, Count, Weight:
		return s, nil
	}
	return "", fmt.Errorf("experts: score %q: want share, risk, count or weight", name)
}

// Compare returns the scores by row and expert, or an error where a class is empty.
func (s Score) Compare(target, contrast *Map) ([][]float64, error) {
	for i, m := range []*Map{target, contrast} {
		if m.Tokens == 0 {
			return nil, fmt.Errorf("experts: the %s class: want at least one prompt with a token that is counted, found none", []string{"target", "contrast"}[i])
		}
	}
	out := make([][]float64, len(target.Counts))
	for i := range out {
		out[i] = make([]float64, len(target.Counts[i]))
		for e := range out[i] {
			out[i][e] = s.mean(target, i, e) - s.mean(contrast, i, e)
		}
	}
	return out, nil
}

func (s Score) mean(m *Map, i, e int) float64 {
	switch s {
	case Risk:
		return m.Counts[i][e] / float64(m.Tokens)
	case Count:
		return m.Counts[i][e] / float64(m.Prompts)
	case Weight:
		return m.Weights[i][e] / float64(m.Tokens)
	}
	return m.Shares[i][e] / float64(m.Prompts)
}

// Rank lists every expert, the highest score first; layers name the rows.
func Rank(layers []int, scores [][]float64) []Ranked {
	var out []Ranked
	for i, row := range scores {
		for e, x := range row {
			out = append(out, Ranked{Entry{Expert: Expert{layers[i], e}}, x})
		}
	}
	slices.SortStableFunc(out, func(a, b Ranked) int { return cmp.Compare(b.Points, a.Points) })
	return out
}
