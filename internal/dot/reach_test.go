// SPDX-License-Identifier: Apache-2.0

package dot

import (
	"math"
	"testing"
)

// checkReach compares with the twin: both round a few times in sums of two products.
func checkReach(t *testing.T, chunks int, a, long float32, mask uint32, seed uint64) {
	t.Helper()
	n := chunks * Chunk
	v, offset, slack := random(seed, n), random(seed+1, n), random(seed+2, n)
	for i := range slack {
		slack[i] = magnitude(slack[i])
	}
	high, low := make([]float32, n/Group), make([]float32, n/Group)
	wantHigh, wantLow := make([]float32, n/Group), make([]float32, n/Group)
	Reach(high, low, v, offset, slack, a, long, mask)
	reachPlain(wantHigh, wantLow, v, offset, slack, a, long, mask)
	size := 8 * (1 + math.Abs(float64(a)) + math.Abs(float64(long)))
	for g := range high {
		if math.Abs(float64(high[g]-wantHigh[g])) > 1e-6*size || math.Abs(float64(low[g]-wantLow[g])) > 1e-6*size {
			t.Fatalf("Reach: group %d is %v to %v, want %v to %v", g, low[g], high[g], wantLow[g], wantHigh[g])
		}
	}
}

func TestReach(t *testing.T) {
	for chunks := range 4 {
		for _, mask := range []uint32{Whole, Unsigned} {
			for _, a := range []float32{0, 1, -0.25, 300} {
				checkReach(t, chunks, a, 0.1, mask, uint64(chunks))
			}
		}
	}
}

func FuzzReach(f *testing.F) {
	f.Add(uint8(3), float32(-0.5), float32(0.1), true, uint64(1))
	f.Fuzz(func(t *testing.T, chunks uint8, a, long float32, signed bool, seed uint64) {
		mask := uint32(Whole)
		if signed {
			mask = Unsigned
		}
		if math.Abs(float64(a)) < 1e6 && long >= 0 && long < 1e6 {
			checkReach(t, int(chunks%20), a, long, mask, seed)
		}
	})
}
