// SPDX-License-Identifier: Apache-2.0

// Package dose measures how far steering moves a model: KL divergence of next tokens, edits against activations, what they are for, and what becomes of the
// text. A [Meter] measures at a strength, [Calibrate] finds the strength that meets a budget, a [Guard] holds a generation to one.
package dose

import "math"

// KL is the divergence Σ p ln(p/q) of next-token distributions, p that of the plain model's logits and q that of the steered model's, in nats.
func KL(plain, steered []float32) float64 { return mixedKL(plain, steered, 1) }

// mixedKL is KL of plain and plain + share·(steered - plain).
func mixedKL(plain, steered []float32, share float64) float64 {
	normP, normQ := logSum(plain, plain, 0), logSum(plain, steered, share)
	sum := 0.0
	for i, z := range plain {
		p := float64(z) - normP
		q := between(z, steered[i], share) - normQ
		if w := math.Exp(p); w > 0 {
			sum += w * (p - q)
		}
	}
	return math.Max(sum, 0) // which rounding may miss; a NaN stays
}

func between(a, b float32, share float64) float64 {
	return float64(a) + share*(float64(b)-float64(a))
}

func logSum(a, b []float32, share float64) float64 {
	most := math.Inf(-1)
	for i, x := range a {
		most = math.Max(most, between(x, b[i], share))
	}
	sum := 0.0
	for i, x := range a {
		sum += math.Exp(between(x, b[i], share) - most)
	}
	return most + math.Log(sum)
}

// holdBack moves steered logits towards the plain ones until their divergence is at most the given one, and returns the share of the way that was left to
// them. KL grows with that share: along a line of logits its second derivative is a variance.
func holdBack(plain, steered []float32, most float64) float64 {
	low, high := 0.0, 1.0
	for range 24 { // to 1e-7
		middle := (low + high) / 2
		if mixedKL(plain, steered, middle) <= most { // of NaN never
			low = middle
		} else {
			high = middle
		}
	}
	for i, z := range plain {
		if low == 0 {
			steered[i] = z
			continue
		}
		steered[i] = float32(between(z, steered[i], low))
	}
	return low
}

// logProb is the natural logarithm of a token's probability.
func logProb(logits []float32, id int32) float64 {
	return float64(logits[id]) - logSum(logits, logits, 0)
}
