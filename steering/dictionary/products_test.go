// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/trimtab/trimtab/internal/dot"
)

// rough returns the products of x that are off by as much as slack allows, in a random direction.
func rough(d *Dictionary, x []float32, share float64, seed uint64) (products, slack []float32) {
	f := d.Form
	r := rand.New(rand.NewPCG(seed, 5))
	m, long := d.Matrix(), dot.Length(x)
	products, slack = make([]float32, f.N), make([]float32, f.N)
	for i := range products {
		row := m[i*f.In : (i+1)*f.In]
		sum := 0.0
		for j, w := range row {
			sum += float64(w) * float64(x[j])
		}
		slack[i] = float32(share * dot.Length(row))
		products[i] = float32(sum + (2*r.Float64()-1)*float64(slack[i])*long)
	}
	return products, slack
}

// TestProductCoderEqualsCoder: whatever the products lose within their slack, the code is the coder's own, for every kind and norm.
func TestProductCoderEqualsCoder(t *testing.T) {
	for kind := ReLU; kind <= Pursuit; kind++ {
		for norm := NoNorm; norm <= LayerNorm; norm++ {
			if kind == Pursuit && norm != NoNorm {
				continue
			}
			for _, share := range []float64{0, 1e-5, 1e-3, 0.05} {
				t.Run(fmt.Sprintf("%s norm %d slack %g", kind, norm, share), func(t *testing.T) {
					d, err := New(example(kind, norm))
					if err != nil {
						t.Fatal(err)
					}
					plain, coder := d.NewCoder(), d.NewProductCoder()
					for seed := range uint64(20) {
						x := randomVector(100+seed, d.Form.In)
						want := plain.Encode(nil, x)
						products, slack := rough(d, x, share, seed)
						got := coder.Encode(nil, x, products, slack)
						if !sameCode(got, want) {
							t.Fatalf("row %d: code %v, want %v", seed, got, want)
						}
					}
				})
			}
		}
	}
}

// sameCode compares supports exactly and values to 1e-5: products of single rows and of a whole matrix are summed in another order.
func sameCode(a, b []Feature) bool {
	return slices.EqualFunc(a, b, func(x, y Feature) bool {
		return x.Index == y.Index && abs(x.Value-y.Value) <= 1e-5*(1+abs(y.Value))
	})
}

// TestFewFindWhatTheCoderFinds is the same for the quick way, with equal rows and thresholds that nothing reaches among the features.
func TestFewFindWhatTheCoderFinds(t *testing.T) {
	for _, kind := range []Kind{ReLU, TanhReLU, JumpReLU, TopK, RawTopK, AbsTopK} {
		for norm := NoNorm; norm < LayerNorm; norm++ {
			for _, share := range []float64{0, 1e-5, 1e-3, 0.05} {
				checkFew(t, kind, norm, share)
			}
		}
	}
}

func checkFew(t *testing.T, kind Kind, norm Norm, share float64) {
	t.Helper()
	f := exampleOf(kind, norm, 192)
	copy(f.Enc[100*f.In:], f.Enc[:20*f.In])
	copy(f.EncBias[100:], f.EncBias[:20])
	if kind == JumpReLU {
		f.Act.Threshold[3], f.Act.Threshold[4] = float32(math.Inf(1)), 0
	}
	d, err := New(f)
	if err != nil {
		t.Fatal(err)
	}
	plain, coder := d.NewCoder(), d.NewProductCoder()
	if coder.few == nil {
		t.Fatalf("%s: no quick way", kind)
	}
	for seed := range uint64(20) {
		x := randomVector(100+seed, f.In)
		want := plain.Encode(nil, x)
		products, slack := rough(d, x, share, seed)
		if got := coder.Encode(nil, x, products, slack); !sameCode(got, want) {
			t.Fatalf("%s norm %d slack %g, row %d: code %v, want %v", kind, norm, share, seed, got, want)
		}
		if share == 0 && kind == TopK && coder.Fresh() > 3*f.Act.K {
			t.Errorf("%d features computed again for the %d largest", coder.Fresh(), f.Act.K)
		}
	}
}

func TestProductCoderAllocatesNothing(t *testing.T) {
	for kind := ReLU; kind <= Pursuit; kind++ {
		d, err := New(example(kind, NoNorm))
		if err != nil {
			t.Fatal(err)
		}
		coder, x := d.NewProductCoder(), randomVector(1, d.Form.In)
		products, slack := rough(d, x, 1e-3, 1)
		code := coder.Encode(nil, x, products, slack)
		if n := testing.AllocsPerRun(20, func() { code = coder.Encode(code[:0], x, products, slack) }); n != 0 {
			t.Errorf("%s: %v allocations a row, want 0", kind, n)
		}
	}
}
