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

func TestQuantiseQ6_0(t *testing.T) {
	src := make([]float32, 128)
	for i := range 32 {
		src[i] = float32(i) - 32 // of -32 to -1 every number is a code
		src[32+i] = float32(math.Sin(float64(i))) * 2
		src[64+i] = 0x1p-120 // below half precision
	}
	stored := make([]byte, 4*26) // the last block is zero
	QuantiseQ6_0(stored, src)
	got := make([]float32, 128)
	if err := Dequantize(got, Q6_0, stored); err != nil {
		t.Fatal(err)
	}
	for i, v := range src {
		// Half a step of 2/32 that the fit may shift by as much, and the largest code above, 31, a whole one.
		bound := map[int]float64{0: 0, 1: 2.0 / 32, 2: 0x1p-24, 3: 0}[i/32]
		if off := math.Abs(float64(got[i] - v)); !(off <= bound) {
			t.Errorf("value %d: %v becomes %v, want within %v", i, v, got[i], bound)
		}
	}
	// By hand from block_q6_0 of ik_llama.cpp: scale 1, then the upper two bits of elements 0, 16, 8 and 24 (codes 0, 16, 8, 24), then their lower four.
	if stored[0] != 0 || stored[1] != 0x3c || stored[2] != 0<<0|1<<2|0<<4|1<<6 || stored[10] != 0 || stored[18] != 8|8<<4 {
		t.Errorf("stored block % x", stored[:26])
	}
}
