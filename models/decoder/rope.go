// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"fmt"
	"math"
)

// Rope describes rotary position embedding (arXiv 2104.09864): pair j of a head turns by position · Base^(-2j/Dims) / Factors[j].
type Rope struct {
	Dims        int       // leading dimensions of a head that turn; 0 is none
	Base        float64   // theta
	Interleaved bool      // pairs are (2j, 2j+1) rather than (j, j+Dims/2)
	Factors     []float32 // nil is 1 everywhere
	LongFactors []float32 // take the place of Factors in sequences of more than Original tokens (LongRoPE, arXiv 2402.13753); nil is none
	Original    int
	Scale       float32 // multiplies cos and sin; 0 is 1
}

func (r *Rope) check(headDim int) error {
	if r == nil {
		return nil
	}
	if r.Dims < 0 || r.Dims > headDim || r.Dims%2 != 0 {
		return fmt.Errorf("decoder: rotary dimensions: want an even number of at most %d, found %d", headDim, r.Dims)
	}
	for _, f := range [][]float32{r.Factors, r.LongFactors} {
		if f != nil && len(f) != r.Dims/2 {
			return fmt.Errorf("decoder: rotary factors: want %d, found %d", r.Dims/2, len(f))
		}
	}
	return nil
}

// Table fills cos and sin for positions from..to-1, Dims/2 numbers a position. Angles are rounded to float32 as the Hugging Face implementations round them.
func (r *Rope) Table(cos, sin []float32, from, to int) {
	half := r.Dims / 2
	scale := r.scale()
	freq := r.frequencies(r.Factors)
	for p := from; p < to; p++ {
		for j, f := range freq {
			angle := float64(float32(p) * f)
			cos[p*half+j] = float32(math.Cos(angle) * scale)
			sin[p*half+j] = float32(math.Sin(angle) * scale)
		}
	}
}

func (r *Rope) scale() float64 {
	if r.Scale == 0 {
		return 1
	}
	return float64(r.Scale)
}

func (r *Rope) frequencies(factors []float32) []float32 {
	freq := make([]float32, r.Dims/2)
	for j := range freq {
		exponent := float32(2*j) / float32(r.Dims)
		freq[j] = float32(1 / float32(math.Pow(r.Base, float64(exponent))))
		if factors != nil {
			freq[j] /= factors[j]
		}
	}
	return freq
}
