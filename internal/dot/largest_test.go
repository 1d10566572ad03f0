// SPDX-License-Identifier: Apache-2.0

package dot

import (
	"math"
	"math/rand/v2"
	"testing"
)

func largestPlain(v []float32) int {
	best, at := float32(math.Inf(-1)), 0
	for i, x := range v {
		if x > best {
			best, at = x, i
		}
	}
	return at
}

func TestLargest(t *testing.T) {
	odd := []float32{float32(math.NaN()), float32(math.Inf(-1)), float32(math.Inf(1)), 0, float32(math.Copysign(0, -1)), 1, -1}
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 140 {
		for range 40 {
			v := random(r.Uint64(), n)
			for i := range v {
				if r.IntN(3) > 0 { // many equals, and what is no number
					v[i] = odd[r.IntN(len(odd))]
				}
			}
			if got, want := Largest(v), largestPlain(v); got != want {
				t.Fatalf("Largest(%v) = %d, want %d", v, got, want)
			}
		}
	}
	for _, x := range []float32{float32(math.NaN()), float32(math.Inf(-1))} {
		v := make([]float32, 40)
		for i := range v {
			v[i] = x
		}
		if got := Largest(v); got != 0 {
			t.Errorf("Largest of nothing but %v = %d, want 0", x, got)
		}
	}
}

func BenchmarkLargest(b *testing.B) {
	v := random(1, 49152)
	for name, f := range map[string]func([]float32) int{"": Largest, "-plain": largestPlain} {
		b.Run("n=49152"+name, func(b *testing.B) {
			for b.Loop() {
				f(v)
			}
		})
	}
}
