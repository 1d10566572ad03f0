// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"math"
)

// Rope describes rotary position embedding (arXiv 2104.09864): pair j of a head turns by position · Base^(-2j/Dims) / Factors[j].
type Rope struct {
	Dims        int     // leading dimensions of a head that turn; 0 is none
	Base        float64 // theta
	Interleaved bool    // pairs are (2j, 2j+1) rather than (j, j+Dims/2)
	Factors     []float32
	Scale       float32 // multiplies cos and sin; 0 is 1
}

// Table fills cos and sin for positions from..to-1, Dims/2 numbers a position. Angles are rounded to float32 as the Hugging Face implementations round them.
func (r *Rope) Table(cos, sin []float32, from, to int) {
	half := r.Dims / 2
	scale := float64(r.Scale)
	if scale == 0 {
		scale = 1
	}
	freq := r.frequencies()
	for p := from; p < to; p++ {
		for j, f := range freq {
			angle := float64(float32(p) * f)
			cos[p*half+j] = float32(math.Cos(angle) * scale)
			sin[p*half+j] = float32(math.Sin(angle) * scale)
		}
	}
}

func (r *Rope) frequencies() []float32 {
	freq := make([]float32, r.Dims/2)
	for j := range freq {
		exponent := float32(2*j) / float32(r.Dims)
		freq[j] = float32(1 / float32(math.Pow(r.Base, float64(exponent))))
		if r.Factors != nil {
			freq[j] /= r.Factors[j]
		}
	}
	return freq
}
