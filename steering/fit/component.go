// SPDX-License-Identifier: Apache-2.0

package fit

import (
	"errors"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// Lanczos iterations stop at this many, or where the residual of the first component is so small a share of its eigenvalue.
const (
	lanczosSteps = 200
	lanczosRest  = 1e-8
)

// component is the first principal component of the pairs' differences, with their mean taken off first where centred.
func (v *view) component(centred bool) (*Direction, error) {
	mean := make([]float64, v.width)
	n := 0
	err := v.pairs(func(p, q []float32) {
		n++
		for i := range p {
			mean[i] += float64(p[i]) - float64(q[i])
		}
	})
	if err != nil {
		return nil, err
	}
	for i := range mean {
		mean[i] = mean[i] / float64(n)
		if !centred {
			mean[i] = 0
		}
	}
	d := make([]float64, v.width)
	first, err := lanczos(v.width, min(v.width, n), func(y, x []float64) error {
		clear(y)
		return v.pairs(func(p, q []float32) {
			for i := range p {
				d[i] = float64(p[i]) - float64(q[i]) - mean[i]
			}
			floats.AddScaled(y, floats.Dot(d, x), d)
		})
	})
	if err != nil {
		return nil, err
	}
	sign, err := v.sign(first)
	return &Direction{Vector: narrow(first, sign)}, err
}

// sign is -1 where more pairs have their negative end further along a direction than their positive one, as repeng decides it.
func (v *view) sign(w []float64) (float64, error) {
	below, above := 0, 0
	err := v.pairs(func(p, n []float32) {
		switch a, b := product(p, w), product(n, w); {
		case a < b:
			below++
		case a > b:
			above++
		}
	})
	if below > above {
		return -1, err
	}
	return 1, err
}

// errFlat says that there is no direction in which the pairs differ.
var errFlat = errors.New("fit: want pairs that differ in different ways, found differences that are all the same")

// lanczos returns the unit eigenvector of the largest eigenvalue of a symmetric positive matrix of some rank, given by its product with a vector:
// Golub and Van Loan, Matrix Computations, 10.1, with every vector orthogonalised against all before it.
func lanczos(width, rank int, multiply func(y, x []float64) error) ([]float64, error) {
	r := rand.New(rand.NewPCG(7, 11))
	q := make([]float64, width)
	for i := range q {
		q[i] = r.NormFloat64()
	}
	floats.Scale(1/length(q), q)
	basis := [][]float64{q}
	var diagonal, beside []float64
	for {
		y := make([]float64, width)
		if err := multiply(y, basis[len(basis)-1]); err != nil {
			return nil, err
		}
		diagonal = append(diagonal, floats.Dot(y, basis[len(basis)-1]))
		for range 2 {
			for _, b := range basis {
				floats.AddScaled(y, -floats.Dot(y, b), b)
			}
		}
		value, top, err := topOf(diagonal, beside)
		if err != nil {
			return nil, err
		}
		rest := length(y)
		if rest*math.Abs(top[len(top)-1]) <= lanczosRest*value || len(basis) > rank || len(basis) == min(width, lanczosSteps) {
			return combine(basis, top, value)
		}
		floats.Scale(1/rest, y)
		beside = append(beside, rest)
		basis = append(basis, y)
	}
}

// topOf returns the largest eigenvalue of a symmetric tridiagonal matrix and its eigenvector.
func topOf(diagonal, beside []float64) (float64, []float64, error) {
	n := len(diagonal)
	t := mat.NewSymDense(n, nil)
	for i, x := range diagonal {
		t.SetSym(i, i, x)
	}
	for i, x := range beside {
		t.SetSym(i, i+1, x)
	}
	var e mat.EigenSym
	if !e.Factorize(t, true) {
		return 0, nil, errors.New("fit: component: want eigenvalues, found that they do not converge")
	}
	var vectors mat.Dense
	e.VectorsTo(&vectors)
	return e.Values(nil)[n-1], mat.Col(nil, n-1, &vectors), nil
}

func combine(basis [][]float64, weights []float64, value float64) ([]float64, error) {
	if !(value > 0) {
		return nil, errFlat
	}
	out := make([]float64, len(basis[0]))
	for i, b := range basis {
		floats.AddScaled(out, weights[i], b)
	}
	floats.Scale(1/length(out), out)
	return out, nil
}
