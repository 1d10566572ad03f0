// SPDX-License-Identifier: Apache-2.0

package dot

import (
	"math"
	"slices"
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
	upper, tops := make([]float32, n), make([]float32, n/Group)
	wantUpper, wantTops := make([]float32, n), make([]float32, n/Group)
	Reach(upper, tops, v, offset, slack, a, long, mask)
	reachPlain(wantUpper, wantTops, v, offset, slack, a, long, mask)
	size := 8 * (1 + math.Abs(float64(a)) + math.Abs(float64(long)))
	for i := range upper {
		if math.Abs(float64(upper[i]-wantUpper[i])) > 1e-6*size {
			t.Fatalf("Reach: number %d is at most %v, want %v", i, upper[i], wantUpper[i])
		}
	}
	for g, top := range tops {
		want := float32(math.Inf(-1))
		for i := First(g); i < First(g)+Chunk; i += Lanes {
			want = max(want, upper[i])
		}
		if top != want {
			t.Fatalf("Reach: the top of group %d is %v, want %v", g, top, want)
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

func TestCollect(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 64, 203} {
		v := random(uint64(n), n)
		if n > 3 {
			v[1], v[2], v[3] = float32(math.NaN()), float32(math.Inf(1)), v[n-1]
		}
		floors := append([]float32{float32(math.Inf(-1)), -0.5, 1.5, float32(math.Inf(1)), float32(math.NaN())}, v[max(n-1, 0):]...)
		for _, floor := range floors {
			var want []int32
			for i, x := range v {
				if x >= floor {
					want = append(want, int32(i))
				}
			}
			if got := Collect(make([]int32, 0, n), v, floor); !slices.Equal(got, want) {
				t.Errorf("Collect of %d numbers from %v on = %v, want %v", n, floor, got, want)
			}
		}
	}
}

// TestRows holds that rows picked out of a matrix give the products that they give alone, bit for bit.
func TestRows(t *testing.T) {
	for _, width := range []int{1, 8, 24, 30, 576} {
		m, x := random(1, 20*width), random(2, width)
		for n := range 11 {
			var rows []int32
			for j := range n {
				rows = append(rows, int32(j*7%20))
			}
			dst := make([]float32, n)
			Rows(dst, m, rows, x)
			for j, r := range rows {
				if want := Pair(m[int(r)*width:][:width], x); dst[j] != want {
					t.Errorf("Rows: row %d of width %d is %v, want %v", r, width, dst[j], want)
				}
			}
		}
	}
}
