// SPDX-License-Identifier: Apache-2.0

package concepts

import (
	"cmp"
	"math"
	"slices"
)

// Case is one text or token with its score and what is true of it.
type Case struct {
	Score float64
	Is    bool
}

// Threshold returns the score from which on cases count as the concept's: of the distinct scores from the highest down, the first with the largest balanced
// accuracy, (share of positives found + share of negatives left out) / 2. Where none is better than chance it is +Inf, as the first of a ROC curve is.
func Threshold(cases []Case) (threshold, balanced float64) {
	sorted := slices.SortedFunc(slices.Values(cases), func(a, b Case) int { return cmp.Compare(b.Score, a.Score) })
	is, not := count(cases)
	threshold, balanced = math.Inf(1), 0.5
	hits, alarms := 0, 0
	for i, c := range sorted {
		if c.Is {
			hits++
		} else {
			alarms++
		}
		if i+1 < len(sorted) && sorted[i+1].Score == c.Score {
			continue
		}
		if now := accuracy(hits, is, alarms, not); now > balanced {
			threshold, balanced = c.Score, now
		}
	}
	return threshold, balanced
}

func count(cases []Case) (is, not int) {
	for _, c := range cases {
		if c.Is {
			is++
		} else {
			not++
		}
	}
	return is, not
}

func accuracy(hits, is, alarms, not int) float64 {
	return (float64(hits)/float64(max(is, 1)) + 1 - float64(alarms)/float64(max(not, 1))) / 2
}

// Balanced is the balanced accuracy of a threshold.
func Balanced(cases []Case, threshold float64) float64 {
	is, not := count(cases)
	hits, alarms := 0, 0
	for _, c := range cases {
		switch {
		case c.Score < threshold:
		case c.Is:
			hits++
		default:
			alarms++
		}
	}
	return accuracy(hits, is, alarms, not)
}

// AUROC is the chance that a positive case scores higher than a negative one, equal ones counting half; NaN where either is missing.
func AUROC(cases []Case) float64 {
	sorted := slices.SortedFunc(slices.Values(cases), func(a, b Case) int { return cmp.Compare(a.Score, b.Score) })
	is, not := count(cases)
	below, sum := 0, 0.0
	for i := 0; i < len(sorted); {
		j, ties, positive := i, 0, 0
		for ; j < len(sorted) && sorted[j].Score == sorted[i].Score; j++ {
			if sorted[j].Is {
				positive++
			} else {
				ties++
			}
		}
		sum += float64(positive) * (float64(below) + float64(ties)/2)
		below += ties
		i = j
	}
	return sum / (float64(is) * float64(not))
}
