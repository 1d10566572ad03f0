// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestRemainder makes errors of a known linear part and noise of a known size, and finds both again.
func TestRemainder(t *testing.T) {
	const d, rows = 12, 6000
	r := rand.New(rand.NewPCG(1, 2))
	m := make([]float64, d*d)
	for i := range m {
		m[i] = 0.1 * r.NormFloat64()
	}
	row := func(noise float64) (x, recon []float32, linear, rest float64) {
		x, recon = make([]float32, d), make([]float32, d)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		for i := range x {
			e := 0.0
			for j := range x {
				e += m[i*d+j] * float64(x[j])
			}
			n := noise * r.NormFloat64()
			recon[i] = float32(float64(x[i]) - e - n)
			linear, rest = linear+e*e, rest+n*n
		}
		return x, recon, linear, rest
	}
	for _, noise := range []float64{0, 0.2} {
		s := NewRemainder(d)
		for range rows {
			x, recon, _, _ := row(noise)
			s.Learn(x, recon)
		}
		if err := s.Solve(); err != nil {
			t.Fatal(err)
		}
		var linear, rest float64
		for range rows {
			x, recon, l, n := row(noise)
			s.Judge(x, recon)
			linear, rest = linear+l, rest+n
		}
		got := s.Split()
		// Variance of x is 1 a dimension, but for the sample's own: 1 %. The estimate of m is off by noise²·d/rows.
		want := Split{FVU: (linear + rest) / (rows * d), Linear: linear / (rows * d), Nonlinear: rest / (rows * d), R2: linear / (linear + rest)}
		for _, c := range []struct {
			name      string
			got, want float64
		}{{"FVU", got.FVU, want.FVU}, {"Linear", got.Linear, want.Linear}, {"Nonlinear", got.Nonlinear, want.Nonlinear}} {
			if math.Abs(c.got-c.want) > 0.02*want.FVU {
				t.Errorf("noise %g: %s = %.4f, want %.4f", noise, c.name, c.got, c.want)
			}
		}
		// Dimensions differ in how much of their error is linear, so the average over them is not the ratio of sums.
		if math.Abs(got.R2-want.R2) > 0.05 || got.Rows != rows {
			t.Errorf("noise %g: R2 = %.3f on %d rows, want about %.3f on %d", noise, got.R2, got.Rows, want.R2, rows)
		}
	}
}

func TestRemainderOfLengths(t *testing.T) {
	const d = 4
	r := rand.New(rand.NewPCG(3, 4))
	s := NewRemainder(d)
	row := func(see func(x, recon []float32)) {
		x := []float32{1, r.Float32(), r.Float32(), r.Float32()}
		recon := []float32{1, x[1], x[2], x[3] - float32(math.Sqrt(float64(2+x[1]-x[2])))}
		see(x, recon) // ‖e‖² = 2 + x1 - x2, which is linear in x for its first number is 1
	}
	for range 500 {
		row(s.Learn)
	}
	if err := s.Solve(); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		row(s.Judge)
	}
	if got := s.Split().R2Length; math.Abs(got-1) > 1e-4 {
		t.Errorf("R2Length = %g, want 1", got)
	}
}

func TestRemainderNeedsRows(t *testing.T) {
	s := NewRemainder(8)
	for range 7 {
		s.Learn(randomVector(1, 8), randomVector(2, 8))
	}
	if err := s.Solve(); err == nil || !strings.Contains(err.Error(), "want at least 8 rows") {
		t.Errorf("Solve() after 7 rows = %v, want a refusal", err)
	}
}
