// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/trimtab/trimtab/internal/dot"
)

// mixture is a sum of some atoms of random weight and a little of everything.
func mixture(seed uint64, m []float32, d, parts int) []float32 {
	r := rand.New(rand.NewPCG(seed, 17))
	x := make([]float32, d)
	for i := range x {
		x[i] = float32(r.NormFloat64()) * 0.5
	}
	for range parts {
		j := r.IntN(len(m) / d)
		addScaled(x, float32(20*r.NormFloat64()), m[j*d:(j+1)*d])
	}
	return x
}

// roughened returns products that are off by up to slack times the length of x, as those of rows in 8 bits are; it fills slack with about one percent.
func roughened(seed uint64, products, slack, x []float32) []float32 {
	r := rand.New(rand.NewPCG(seed, 23))
	out := slices.Clone(products)
	length := dot.Length(x)
	for i := range out {
		slack[i] = 0.005 + 0.01*float32(i%7)/7
		out[i] += float32((2*r.Float64() - 1) * 0.999 * float64(slack[i]) * length)
	}
	return out
}

// TestPursuitOfRoughProducts holds that rough products give the code of exact ones, bit for bit.
func TestPursuitOfRoughProducts(t *testing.T) {
	const d, n = 40, 300
	rows := unitDictionary(9, n, d)
	for method := Matching; method <= GradientKeep; method++ {
		for _, k := range []int{1, 8, 40} {
			dict := pursueFlat(t, rows, d, PursuitRule{Method: method, K: k})
			plain, coder, slack := dict.NewCoder(), dict.NewProductCoder(), make([]float32, n)
			for seed := range uint64(40) {
				x := mixture(seed, rows, d, 5)
				want := plain.Encode(nil, x)
				if got := coder.Encode(nil, x, roughened(seed, plain.Products(x), slack, x), slack); !slices.Equal(got, want) {
					t.Fatalf("%s, k %d, seed %d: code %v, want %v", method, k, seed, got, want)
				}
			}
		}
	}
}

// TestPursuitOfRoughRealActivations does the same with rows in 8 bits over 3,246 real atoms, and counts what is computed anew.
func TestPursuitOfRoughRealActivations(t *testing.T) {
	dict, x := realITDA(t, 40)
	d, n := dict.Form.In, dict.Form.N
	plain, coder, slack := dict.NewCoder(), dict.NewProductCoder(), make([]float32, n)
	anew := 0
	for i := 0; i < len(x); i += d {
		row := x[i : i+d]
		want := plain.Encode(nil, row)
		got := coder.Encode(nil, row, roughened(uint64(i), plain.Products(row), slack, row), slack)
		for _, r := range coder.c.chase.rough[:n] {
			if r == 0 {
				anew++
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("row %d: rough products give another code", i/d)
		}
	}
	t.Logf("%.0f of %d products computed anew for an activation", float64(anew)/float64(len(x)/d), n)
}

// TestPrepareChangesNothing compares rows of the table that are computed one by one with those computed together.
func TestPrepareChangesNothing(t *testing.T) {
	const d, n = 32, 200
	rows := unitDictionary(3, n, d)
	one, all := pursueFlat(t, rows, d, PursuitRule{K: 9}), pursueFlat(t, rows, d, PursuitRule{K: 9})
	one.gram.products(7)
	one.Prepare()
	all.Prepare()
	for j := range n {
		got, want := *one.gram.rows[j].Load(), *all.gram.rows[j].Load()
		if !slices.Equal(got, want) || math.Abs(float64(got[j])-1) > 1e-6 {
			t.Fatalf("row %d of the table differs, or its product with itself is not 1 but %v", j, got[j])
		}
	}
	if full := pursueFlat(t, rows, d, PursuitRule{K: 9}); full.gram.used.Load() != 0 {
		t.Error("a new table has rows")
	}
}
