// SPDX-License-Identifier: Apache-2.0

package quant

import (
	"math"
	"testing"
)

func TestQuantiseQ8_0(t *testing.T) {
	src := make([]float32, 96)
	for i := range 32 {
		src[i] = float32(i) - 15.5
		src[32+i] = float32(math.Sin(float64(i))) * 2
	}
	stored := make([]byte, 3*34) // the third block is zero
	QuantiseQ8_0(stored, src)
	got := make([]float32, 96)
	expandQ8_0(got, stored)
	for i, v := range src {
		amax := 15.5
		if i >= 32 {
			amax = 2
		}
		// Half a step, and the scale's own rounding to half precision (2^-11) over at most 127 steps.
		if bound := amax/127*0.5 + amax*math.Pow(2, -11); math.Abs(float64(got[i]-v)) > bound {
			t.Errorf("value %d: %v becomes %v, want within %v", i, v, got[i], bound)
		}
	}
	// By hand: the first block's largest value is 15.5, so its scale is 15.5/127 and -14.5 is -118.8 steps.
	if q := int8(stored[3]); q != -119 {
		t.Errorf("-14.5 of 15.5 is %d steps, want -119", q)
	}
}
