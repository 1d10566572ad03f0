// SPDX-License-Identifier: Apache-2.0

package itda

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
)

// Samples are activations of the same tokens at one site, [tokens, width], as the measures below want them. Two sites may differ in width. What a measure
// needs of one site alone is computed once. One goroutine at a time may use it.
type Samples struct {
	x        *mat.Dense
	unit     *mat.Dense    // columns of mean 0 and length 1
	own      float64       // ‖XᵀX‖ of these
	basis    *mat.Dense    // of the largest singular directions
	relation *mat.Dense    // cosines with the anchors
	mean0    *mat.Dense    // columns of mean 0
	solver   *mat.Cholesky // of their products with each other
}

// NewSamples copies rows of a width.
func NewSamples(rows []float32, width int) *Samples {
	wide := make([]float64, len(rows))
	for i, v := range rows {
		wide[i] = float64(v)
	}
	return &Samples{x: mat.NewDense(len(rows)/width, width, wide)}
}

// Measure is a way to compare two sites by the activations of the same tokens: 1 is equal, 0 unrelated.
type Measure struct {
	Name string
	Of   func(a, b *Samples) (float64, error)
}

// Measures are what the Jaccard index of sources is measured against (arXiv 2505.17769, section 5).
func Measures() []Measure {
	return []Measure{{"linear CKA", CKA}, {"SVCCA", SVCCA}, {"relative representations", Relative}, {"linear regression", Regression}}
}

func check(what string, a, b *Samples) error {
	n, _ := a.x.Dims()
	if m, _ := b.x.Dims(); n != m || n < 2 {
		return fmt.Errorf("itda: %s: want the activations of the same tokens, at least two, found %d and %d", what, n, m)
	}
	return nil
}

// centered returns a copy whose columns have mean 0, and with unit length 1 as well; columns of zeros stay.
func (s *Samples) centered(unit bool) *mat.Dense {
	out := mat.DenseCopyOf(s.x)
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
func CKA(a, b *Samples) (float64, error) {
	if err := check("CKA", a, b); err != nil {
		return 0, err
	}
	x, y := a.columns(), b.columns()
	if a.own*b.own == 0 {
		return 0, nil
	}
	var both mat.Dense
	both.Mul(y.T(), x)
	return mat.Norm(&both, 2) * mat.Norm(&both, 2) / (a.own * b.own), nil
}

func (s *Samples) columns() *mat.Dense {
	if s.unit == nil {
		s.unit = s.centered(true)
		var own mat.Dense
		own.Mul(s.unit.T(), s.unit)
		s.own = mat.Norm(&own, 2)
	}
	return s.unit
}

// svccaRank is how many singular directions SVCCA keeps (davidkaczer/itda: svd_lowrank with q = 20).
const svccaRank = 20

// SVCCA is the mean canonical correlation of the largest singular directions (arXiv 1706.05806).
func SVCCA(a, b *Samples) (float64, error) {
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
func (s *Samples) directions() (*mat.Dense, error) {
	if s.basis != nil {
		return s.basis, nil
	}
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
	s.basis = mat.DenseCopyOf(u.Slice(0, n, 0, rank))
	return s.basis, nil
}

const (
	anchors    = 300 // of relative representations, as davidkaczer/itda has it
	anchorSeed = 42
)

// Relative is the mean cosine between the relative representations of the tokens: the cosines of a token's activation with those of the same randomly chosen
// tokens (arXiv 2209.15430).
func Relative(a, b *Samples) (float64, error) {
	if err := check("relative representations", a, b); err != nil {
		return 0, err
	}
	n, _ := a.x.Dims()
	x, y := a.relative(), b.relative()
	sum := 0.0
	for i := range n {
		u, v := x.RowView(i), y.RowView(i)
		sum += cosine(mat.Dot(u, v), mat.Dot(u, u), mat.Dot(v, v))
	}
	return sum / float64(n), nil
}

func (s *Samples) relative() *mat.Dense {
	if s.relation != nil {
		return s.relation
	}
	unit := mat.DenseCopyOf(s.x)
	n, d := unit.Dims()
	chosen := rand.New(rand.NewPCG(anchorSeed, 0)).Perm(n)[:min(anchors, n)]
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
	s.relation = &out
	return s.relation
}

// Regression is the share of the variance of b that a linear map of a explains, R², found by least squares on the same tokens and at least 0.
func Regression(a, b *Samples) (float64, error) {
	if err := check("linear regression", a, b); err != nil {
		return 0, err
	}
	n, d := a.x.Dims()
	if n <= d {
		return 0, fmt.Errorf("itda: linear regression: want more tokens than the width %d, found %d", d, n)
	}
	x, y := a.centre(), b.centre()
	if a.solver == nil {
		if err := a.factorise(); err != nil {
			return 0, err
		}
	}
	var target, weights mat.Dense
	target.Mul(x.T(), y)
	if err := a.solver.SolveTo(&weights, &target); err != nil {
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

func (s *Samples) centre() *mat.Dense {
	if s.mean0 == nil {
		s.mean0 = s.centered(false)
	}
	return s.mean0
}

// factorise prepares the normal equations, with a trace of ridge, since directions of little variance leave them singular.
func (s *Samples) factorise() error {
	var gram mat.SymDense
	gram.SymOuterK(1, s.centre().T())
	_, d := s.x.Dims()
	ridge := 1e-9 * mat.Trace(&gram) / float64(d)
	for i := range d {
		gram.SetSym(i, i, gram.At(i, i)+ridge)
	}
	s.solver = &mat.Cholesky{}
	if !s.solver.Factorize(&gram) {
		return fmt.Errorf("itda: linear regression: want activations that differ, found a singular matrix of their products")
	}
	return nil
}
