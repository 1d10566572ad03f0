// SPDX-License-Identifier: Apache-2.0

package itda

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
)

// Samples are activations of the same tokens at one site, [tokens, width], as the measures below want them. Two sites may differ in width.
type Samples struct{ *mat.Dense }

// NewSamples copies rows of a width.
func NewSamples(rows []float32, width int) Samples {
	wide := make([]float64, len(rows))
	for i, v := range rows {
		wide[i] = float64(v)
	}
	return Samples{mat.NewDense(len(rows)/width, width, wide)}
}

// Measure is a way to compare two sites by the activations of the same tokens: 1 is equal, 0 unrelated.
type Measure struct {
	Name string
	Of   func(a, b Samples) (float64, error)
}

// Measures are what the Jaccard index of sources is measured against (arXiv 2505.17769, section 5).
func Measures() []Measure {
	return []Measure{{"linear CKA", CKA}, {"SVCCA", SVCCA}, {"relative representations", Relative}, {"linear regression", Regression}}
}

func check(what string, a, b Samples) error {
	n, _ := a.Dims()
	if m, _ := b.Dims(); n != m || n < 2 {
		return fmt.Errorf("itda: %s: want the activations of the same tokens, at least two, found %d and %d", what, n, m)
	}
	return nil
}

// centered returns a copy whose columns have mean 0, and with unit length 1 as well; columns of zeros stay.
func (s Samples) centered(unit bool) *mat.Dense {
	out := mat.DenseCopyOf(s)
	n, d := out.Dims()
	for j := range d {
		mean, sum := 0.0, 0.0
		for i := range n {
			mean += out.At(i, j) / float64(n)
		}
		for i := range n {
			v := out.At(i, j) - mean
			out.Set(i, j, v)
			sum += v * v
		}
		if !unit || sum == 0 {
			continue
		}
		for i := range n {
			out.Set(i, j, out.At(i, j)/math.Sqrt(sum))
		}
	}
	return out
}

// CKA is linear centred kernel alignment of columns of unit length: ‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖) (arXiv 1905.00414, section 3; columns as in davidkaczer/itda).
func CKA(a, b Samples) (float64, error) {
	if err := check("CKA", a, b); err != nil {
		return 0, err
	}
	x, y := a.centered(true), b.centered(true)
	var xy, xx, yy mat.Dense
	xy.Mul(y.T(), x)
	xx.Mul(x.T(), x)
	yy.Mul(y.T(), y)
	den := mat.Norm(&xx, 2) * mat.Norm(&yy, 2)
	if den == 0 {
		return 0, nil
	}
	return mat.Norm(&xy, 2) * mat.Norm(&xy, 2) / den, nil
}

// svccaRank is how many singular directions SVCCA keeps (davidkaczer/itda: svd_lowrank with q = 20).
const svccaRank = 20

// SVCCA is the mean canonical correlation of the largest singular directions (arXiv 1706.05806).
func SVCCA(a, b Samples) (float64, error) {
	if err := check("SVCCA", a, b); err != nil {
		return 0, err
	}
	u, err := a.directions()
	if err != nil {
		return 0, err
	}
	v, err := b.directions()
	if err != nil {
		return 0, err
	}
	// Between orthonormal bases the canonical correlations are the singular values of their products.
	var product mat.Dense
	product.Mul(u.T(), v)
	var svd mat.SVD
	if !svd.Factorize(&product, mat.SVDNone) {
		return 0, fmt.Errorf("itda: SVCCA: the singular values of %v products were not found", product.RawMatrix().Rows)
	}
	values := svd.Values(nil)
	sum := 0.0
	for _, s := range values {
		sum += min(s, 1)
	}
	return sum / float64(len(values)), nil
}

// directions returns an orthonormal basis of the largest singular directions over the tokens, [tokens, at most svccaRank].
func (s Samples) directions() (*mat.Dense, error) {
	x := s.centered(false)
	n, d := x.Dims()
	var svd mat.SVD
	if !svd.Factorize(x, mat.SVDThinU) {
		return nil, fmt.Errorf("itda: SVCCA: the singular values of %d x %d activations were not found", n, d)
	}
	values := svd.Values(nil)
	rank := 0
	for rank < min(svccaRank, len(values)) && values[rank] > 1e-10*values[0] {
		rank++
	}
	if rank == 0 {
		return nil, fmt.Errorf("itda: SVCCA: want activations that differ, found %d equal ones", n)
	}
	var u mat.Dense
	svd.UTo(&u)
	return mat.DenseCopyOf(u.Slice(0, n, 0, rank)), nil
}

const (
	anchors    = 300 // of relative representations, as davidkaczer/itda has it
	anchorSeed = 42
)

// Relative is the mean cosine between the relative representations of the tokens: the cosines of a token's activation with those of the same randomly chosen
// tokens (arXiv 2209.15430).
func Relative(a, b Samples) (float64, error) {
	if err := check("relative representations", a, b); err != nil {
		return 0, err
	}
	n, _ := a.Dims()
	chosen := rand.New(rand.NewPCG(anchorSeed, 0)).Perm(n)[:min(anchors, n)]
	x, y := a.relative(chosen), b.relative(chosen)
	sum := 0.0
	for i := range n {
		u, v := x.RowView(i), y.RowView(i)
		sum += cosine(mat.Dot(u, v), mat.Dot(u, u), mat.Dot(v, v))
	}
	return sum / float64(n), nil
}

func (s Samples) relative(chosen []int) *mat.Dense {
	unit := mat.DenseCopyOf(s)
	n, d := unit.Dims()
	for i := range n {
		row := unit.RawRowView(i)
		if length := mat.Norm(unit.RowView(i), 2); length > 0 {
			for k := range row {
				row[k] /= length
			}
		}
	}
	picked := mat.NewDense(len(chosen), d, nil)
	for i, c := range chosen {
		picked.SetRow(i, unit.RawRowView(c))
	}
	var out mat.Dense
	out.Mul(unit, picked.T())
	return &out
}

// Regression is the share of the variance of b that a linear map of a explains, R², found by least squares on the same tokens and at least 0.
func Regression(a, b Samples) (float64, error) {
	if err := check("linear regression", a, b); err != nil {
		return 0, err
	}
	x, y := a.centered(false), b.centered(false)
	n, d := x.Dims()
	if n <= d {
		return 0, fmt.Errorf("itda: linear regression: want more tokens than the width %d, found %d", d, n)
	}
	// The normal equations with a trace of ridge, since directions of little variance leave them singular.
	var gram, target, weights mat.Dense
	gram.Mul(x.T(), x)
	ridge := 1e-9 * mat.Trace(&gram) / float64(d)
	for i := range d {
		gram.Set(i, i, gram.At(i, i)+ridge)
	}
	target.Mul(x.T(), y)
	if err := weights.Solve(&gram, &target); err != nil {
		return 0, fmt.Errorf("itda: linear regression: %w", err)
	}
	var rest mat.Dense
	rest.Mul(x, &weights)
	rest.Sub(y, &rest)
	all, missed := mat.Norm(y, 2), mat.Norm(&rest, 2)
	if all == 0 {
		return 0, nil
	}
	return max(0, 1-missed*missed/(all*all)), nil
}
