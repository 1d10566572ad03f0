// SPDX-License-Identifier: Apache-2.0

package itda

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

func gaussian(seed uint64, n, d int) *Samples {
	r := rand.New(rand.NewPCG(seed, 3))
	m := mat.NewDense(n, d, nil)
	for i := range n {
		for j := range d {
			m.Set(i, j, r.NormFloat64()*math.Pow(0.8, float64(j)))
		}
	}
	return &Samples{x: m}
}

// turned multiplies by a random rotation.
func (s *Samples) turned(seed uint64) *Samples {
	_, d := s.x.Dims()
	var qr mat.QR
	qr.Factorize(gaussian(seed, d, d).x)
	var q, out mat.Dense
	qr.QTo(&q)
	out.Mul(s.x, &q)
	return &Samples{x: &out}
}

func (s *Samples) noisy(seed uint64, share float64) *Samples {
	n, d := s.x.Dims()
	var out mat.Dense
	noise := gaussian(seed, n, d)
	noise.x.Scale(share, noise.x)
	out.Add(s.x, noise.x)
	return &Samples{x: &out}
}

// TestMeasuresByAlgebra: each measure is 1 between a thing and itself, keeps that where it should not see a difference, is small between unrelated things, and
// falls as noise rises.
func TestMeasuresByAlgebra(t *testing.T) {
	a := gaussian(1, 600, 12)
	other := gaussian(2, 600, 12)
	for _, m := range Measures() {
		of := func(a, b *Samples) float64 {
			v, err := m.Of(a, b)
			if err != nil {
				t.Fatalf("%s: %v", m.Name, err)
			}
			return v
		}
		// Double precision; the ridge of the regression is 1e-9 of the variance.
		if v := of(a, a); math.Abs(v-1) > 1e-6 {
			t.Errorf("%s of a thing and itself = %v, want 1", m.Name, v)
		}
		if m.Name != "linear CKA" { // whose columns are scaled one by one
			if v := of(a, a.turned(5)); math.Abs(v-1) > 1e-6 {
				t.Errorf("%s of a thing and the same turned = %v, want 1", m.Name, v)
			}
		}
		near, far, none := of(a, a.noisy(3, 0.3)), of(a, a.noisy(3, 1.5)), of(a, other)
		if near < far+0.05 || far < none+0.02 {
			t.Errorf("%s: %v with little noise, %v with much, %v of unrelated things; want them to fall", m.Name, near, far, none)
		}
	}
}

// TestCKAEqualsItsDefinition compares with the kernel form: <KL> / sqrt(<KK> <LL>) of centred Gram matrices.
func TestCKAEqualsItsDefinition(t *testing.T) {
	a, b := gaussian(1, 40, 7), gaussian(1, 40, 7).noisy(4, 0.5)
	got, err := CKA(a, b)
	if err != nil {
		t.Fatal(err)
	}
	x, y := a.centered(true), b.centered(true)
	var k, l, kl, kk, ll mat.Dense
	k.Mul(x, x.T())
	l.Mul(y, y.T())
	kl.Mul(&k, &l)
	kk.Mul(&k, &k)
	ll.Mul(&l, &l)
	want := mat.Trace(&kl) / math.Sqrt(mat.Trace(&kk)*mat.Trace(&ll))
	if math.Abs(got-want) > 1e-10 { // double precision
		t.Errorf("CKA = %v, want %v", got, want)
	}
}

func TestMeasuresRefuse(t *testing.T) {
	for _, m := range Measures() {
		if _, err := m.Of(gaussian(1, 9, 3), gaussian(1, 8, 3)); err == nil {
			t.Errorf("%s of 9 and 8 tokens = nil error", m.Name)
		}
	}
	if _, err := Regression(gaussian(1, 9, 12), gaussian(1, 9, 12)); err == nil {
		t.Error("Regression of fewer tokens than the width = nil error")
	}
	flat := &Samples{x: mat.NewDense(5, 2, nil)}
	if _, err := SVCCA(flat, flat); err == nil {
		t.Error("SVCCA of equal activations = nil error")
	}
}

func TestMatched(t *testing.T) {
	m := Matrix{{0.9, 0.1, 0}, {0.3, 0.2, 0.1}, {0, 0.1, 0.4}}
	if got := m.Matched(); math.Abs(got-2.0/3) > 1e-12 {
		t.Errorf("Matched() = %v, want 2/3 (best %v)", got, m.Best())
	}
}
