// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"math"
)

// Weighting is how much a concept's features count by their rank, as ActivationReasoning weighs them (ar/utils.py).
type Weighting string

// Weightings of the rank i = 0 … k-1, before they are scaled.
const (
	LogDecay    Weighting = "log_decay"   // 1 - ln(i+1)/ln(k+1)
	Linear      Weighting = "linear"      // 1 - i/(k-1)
	Exponential Weighting = "exponential" // exp(-i)
	Inverse     Weighting = "inverse"     // 1/(i+1)
	Softmax     Weighting = "softmax"     // softmax of -i/2
	Sigmoid     Weighting = "sigmoid"     // 1/(1+exp(2(i-k/2)))
	Power       Weighting = "power"       // 1/(i+1)²
	Cosine      Weighting = "cosine"      // cos(πi/2k)
	Uniform     Weighting = "uniform"     // 1
)

// Weightings returns every weighting.
func Weightings() []Weighting {
	return []Weighting{LogDecay, Linear, Exponential, Inverse, Softmax, Sigmoid, Power, Cosine, Uniform}
}

// RankWeights returns k weights, none negative, scaled to a mean: 1/k for steering, where they sum to 1, and 1 for detection.
func RankWeights(w Weighting, k int, mean float64) ([]float64, error) {
	f := w.formula(float64(k))
	if f == nil {
		return nil, fmt.Errorf("rules: rank weights: want one of %v, found %q", Weightings(), w)
	}
	out := make([]float64, max(k, 0))
	sum := 0.0
	for i := range out {
		out[i] = f(float64(i))
		sum += out[i]
	}
	for i := range out {
		out[i] = max(0, out[i]*float64(k)/sum*mean)
	}
	return out, nil
}

// formula is the weight of rank i among k; of softmax without its denominator, which the scaling cancels.
func (w Weighting) formula(k float64) func(i float64) float64 {
	switch w {
	case LogDecay:
		return func(i float64) float64 { return 1 - math.Log(i+1)/math.Log(k+1) }
	case Linear:
		return func(i float64) float64 { return 1 - i/max(k-1, 1) }
	case Exponential:
		return func(i float64) float64 { return math.Exp(-i) }
	case Inverse:
		return func(i float64) float64 { return 1 / (i + 1) }
	case Softmax:
		return func(i float64) float64 { return math.Exp(-i / 2) }
	case Sigmoid:
		return func(i float64) float64 { return 1 / (1 + math.Exp(2*(i-k/2))) }
	case Power:
		return func(i float64) float64 { return 1 / ((i + 1) * (i + 1)) }
	case Cosine:
		return func(i float64) float64 { return math.Cos(math.Pi * i / (2 * k)) }
	case Uniform:
		return func(float64) float64 { return 1 }
	}
	return nil
}
