// SPDX-License-Identifier: Apache-2.0

package dot

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func random(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// check compares with sums in double precision.
func check(t *testing.T, na, nb, width int, seed uint64) {
	t.Helper()
	a, b := random(seed, na*width), random(seed+1, nb*width)
	got := make([]float32, na*nb)
	Products(got, a, b, width)
	for i := range na {
		for j := range nb {
			want, size := 0.0, 0.0
			for k := range width {
				p := float64(a[i*width+k]) * float64(b[j*width+k])
				want += p
				size += math.Abs(p)
			}
			// A sum in single precision: 2^-24 of the terms' sizes for each addition of a lane, and for the last three that fold the lanes.
			if off := math.Abs(float64(got[i*nb+j]) - want); off > size*float64(width/lanes+8)*0x1p-24 {
				t.Fatalf("Products(%d x %d rows of %d)[%d, %d] = %v, want %v", na, nb, width, i, j, got[i*nb+j], want)
			}
		}
	}
}

func TestProducts(t *testing.T) {
	for _, width := range []int{1, 7, 8, 16, 24, 30, 576} {
		for _, na := range []int{0, 1, 2, 3, 4, 5, 8, 65, 130} {
			for _, nb := range []int{0, 1, 2, 3, 4, 6, 7, 11} {
				check(t, na, nb, width, uint64(na+100*nb))
			}
		}
	}
}

func FuzzProducts(f *testing.F) {
	f.Add(uint8(4), uint8(3), uint8(2), uint64(1))
	f.Add(uint8(1), uint8(13), uint8(1), uint64(2))
	f.Fuzz(func(t *testing.T, na, nb, eighths uint8, seed uint64) {
		check(t, int(na%80), int(nb%40), 8*(1+int(eighths%12)), seed)
	})
}

func TestProductsDoNotDependOnOtherRows(t *testing.T) {
	const width = 40
	a, b := random(1, 9*width), random(2, 10*width)
	whole := make([]float32, 90)
	Products(whole, a, b, width)
	one := make([]float32, 1)
	for i := range 9 {
		for j := range 10 {
			if Products(one, a[i*width:(i+1)*width], b[j*width:(j+1)*width], width); one[0] != whole[10*i+j] {
				t.Fatalf("Products of rows %d and %d alone = %v, among others %v", i, j, one[0], whole[10*i+j])
			}
		}
	}
}

// checkDescend compares with the twin, one block at a time.
func checkDescend(t *testing.T, blocks int, a float32, signed bool, seed uint64) {
	t.Helper()
	n := blocks * Block
	c, rough, g := random(seed, n), random(seed+1, n), random(seed+2, n)
	for i := range min(n, 9) {
		rough[n-1-i] = float32(math.Inf(-1))
	}
	tops, wantTops, want := make([]float32, blocks), make([]float32, blocks), append([]float32(nil), c...)
	Descend(tops, c, rough, a, g, signed)
	mask := uint32(math.MaxUint32)
	if signed {
		mask >>= 1
	}
	descendPlain(wantTops, want, rough, a, g, mask)
	for i, w := range want {
		// One rounding more in the twin, of a g.
		if off := math.Abs(float64(c[i] - w)); off > 0x1p-23*(math.Abs(float64(a*g[i]))+math.Abs(float64(w))) {
			t.Fatalf("Descend: c[%d] = %v, want %v", i, c[i], w)
		}
	}
	for b, w := range wantTops {
		if off := math.Abs(float64(tops[b] - w)); off > 1e-6*(1+math.Abs(float64(w))+math.Abs(float64(a))) {
			t.Fatalf("Descend: top %d = %v, want %v", b, tops[b], w)
		}
	}
}

func TestDescend(t *testing.T) {
	for blocks := range 5 {
		for _, signed := range []bool{false, true} {
			for _, a := range []float32{0, 1, -0.25, 300} {
				checkDescend(t, blocks, a, signed, uint64(blocks))
			}
		}
	}
}

func FuzzDescend(f *testing.F) {
	f.Add(uint8(3), float32(-0.5), true, uint64(1))
	f.Fuzz(func(t *testing.T, blocks uint8, a float32, signed bool, seed uint64) {
		if math.Abs(float64(a)) < 1e6 {
			checkDescend(t, int(blocks%20), a, signed, seed)
		}
	})
}

func TestPair(t *testing.T) {
	if got := Pair([]float32{1, 2, 3}, []float32{4, 5, 6}); got != 32 {
		t.Errorf("Pair = %v, want 32", got)
	}
}

func TestProductsRefusesOtherLengths(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Products with a short dst did not panic")
		}
	}()
	Products(make([]float32, 3), make([]float32, 4), make([]float32, 4), 2)
}

func BenchmarkProducts(b *testing.B) {
	const width, nb = 576, 4096
	m := random(1, nb*width)
	for _, na := range []int{1, 64, 512} {
		x, dst := random(2, na*width), make([]float32, na*nb)
		for name, f := range map[string]func(dst, a, b []float32, width int){"": Products, "-plain": plain} {
			b.Run(fmt.Sprintf("rows=%d%s", na, name), func(b *testing.B) {
				for b.Loop() {
					f(dst, x, m, width)
				}
				b.ReportMetric(float64(na*nb*width)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gmul/s")
			})
		}
	}
}

func ExampleProducts() {
	dst := make([]float32, 2)
	Products(dst, []float32{1, 2}, []float32{3, 4, 5, 6}, 2)
	fmt.Println(dst)
	// Output: [11 17]
}
