// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"fmt"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
	linear "gonum.org/v1/gonum/mat"
)

// Remainder splits what a dictionary leaves of activations, e = x - x̂, into the part that is linear in x and the rest, by least squares without an
// intercept (arXiv 2410.14670; JoshEngels/SAE-Dark-Matter). Show it the rows of some texts with Learn, call Solve, and the rows of other texts with Judge.
// Its memory does not grow with the rows. One goroutine at a time may use it.
type Remainder struct {
	d        int
	x, e     []float64 // a block of rows; e has ‖e‖² behind each
	held     int
	xx, xe   []float64 // xᵀx [d, d], xᵀe [d, d+1]
	learnt   int
	solution []float64 // [d, d+1]
	judged   judged
}

// judged sums over the rows of Judge.
type judged struct {
	rows           int
	guess          []float64 // of one row
	sum, square    []float64 // of e and ‖e‖², by dimension
	miss           []float64 // squares of what the prediction lacks, by dimension
	whole, squares []float64 // of x, by dimension
}

// Split is what a Remainder found on the judged rows.
type Split struct {
	Rows      int     `json:"rows"`
	R2        float64 `json:"r2"`        // of e predicted from x, averaged over dimensions
	R2Length  float64 `json:"r2_length"` // of ‖e‖² predicted from x
	FVU       float64 `json:"fvu"`       // of the error as a whole
	Linear    float64 `json:"linear"`    // of it, what the prediction takes away
	Nonlinear float64 `json:"nonlinear"` // what is left: FVU - Linear
}

// learnBlock is how many rows enter a product at once.
const learnBlock = 64

// NewRemainder returns one for activations of the given width.
func NewRemainder(width int) *Remainder {
	zeros := func(n int) []float64 { return make([]float64, n) }
	return &Remainder{
		d: width, x: zeros(learnBlock * width), e: zeros(learnBlock * (width + 1)), xx: zeros(width * width), xe: zeros(width * (width + 1)),
		judged: judged{guess: zeros(width + 1), sum: zeros(width + 1), square: zeros(width + 1), miss: zeros(width + 1), whole: zeros(width), squares: zeros(width)},
	}
}

// Learn takes an activation with its reconstruction into the least squares.
func (r *Remainder) Learn(x, reconstruction []float32) {
	r.errorOf(r.e[r.held*(r.d+1):(r.held+1)*(r.d+1)], x, reconstruction)
	for i, v := range x {
		r.x[r.held*r.d+i] = float64(v)
	}
	r.learnt++
	if r.held++; r.held == learnBlock {
		r.flush()
	}
}

// errorOf writes e and ‖e‖².
func (r *Remainder) errorOf(dst []float64, x, reconstruction []float32) {
	if len(x) != r.d || len(reconstruction) != r.d {
		panic("dictionary: Remainder: x or its reconstruction has another length than the width")
	}
	sum := 0.0
	for i, v := range x {
		dst[i] = float64(v) - float64(reconstruction[i])
		sum += dst[i] * dst[i]
	}
	dst[r.d] = sum
}

func (r *Remainder) flush() {
	if r.held == 0 {
		return
	}
	var b gonum.Implementation
	b.Dgemm(blas.Trans, blas.NoTrans, r.d, r.d, r.held, 1, r.x, r.d, r.x, r.d, 1, r.xx, r.d)
	b.Dgemm(blas.Trans, blas.NoTrans, r.d, r.d+1, r.held, 1, r.x, r.d, r.e, r.d+1, 1, r.xe, r.d+1)
	r.held = 0
}

// Solve ends learning; fewer rows than the activations have numbers are refused.
func (r *Remainder) Solve() error {
	r.flush()
	if r.learnt < r.d {
		return fmt.Errorf("dictionary: predict errors from activations: want at least %d rows to learn from, the activations' width, found %d", r.d, r.learnt)
	}
	// So little is added to the diagonal that a direction without variance, and only that, makes a difference: below rounding of the others.
	trace := 0.0
	for i := range r.d {
		trace += r.xx[i*r.d+i]
	}
	for i := range r.d {
		r.xx[i*r.d+i] += 1e-13 * trace
	}
	var factor linear.Cholesky
	if !factor.Factorize(linear.NewSymDense(r.d, r.xx)) {
		return fmt.Errorf("dictionary: predict errors from activations: the %d rows span too few directions", r.learnt)
	}
	var solution linear.Dense
	if err := factor.SolveTo(&solution, linear.NewDense(r.d, r.d+1, r.xe)); err != nil {
		return fmt.Errorf("dictionary: predict errors from activations: %w", err)
	}
	r.solution = solution.RawMatrix().Data
	return nil
}

// Judge predicts the error of an activation that was not learnt from; Solve must have succeeded.
func (r *Remainder) Judge(x, reconstruction []float32) {
	j := &r.judged
	e := r.e[:r.d+1]
	r.errorOf(e, x, reconstruction)
	for i, v := range x {
		r.x[i] = float64(v)
		j.whole[i] += r.x[i]
		j.squares[i] += r.x[i] * r.x[i]
	}
	gonum.Implementation{}.Dgemv(blas.Trans, r.d, r.d+1, 1, r.solution, r.d+1, r.x[:r.d], 1, 0, j.guess, 1)
	for i, v := range e {
		j.sum[i] += v
		j.square[i] += v * v
		j.miss[i] += (v - j.guess[i]) * (v - j.guess[i])
	}
	j.rows++
}

// Split returns what was found on the judged rows.
func (r *Remainder) Split() Split {
	j, n := &r.judged, float64(r.judged.rows)
	s := Split{Rows: j.rows}
	if j.rows == 0 {
		return s
	}
	explained := func(i int) float64 {
		if variance := j.square[i] - j.sum[i]*j.sum[i]/n; variance > 0 {
			return 1 - j.miss[i]/variance
		}
		return 0
	}
	variance, errors, misses := 0.0, 0.0, 0.0
	for i := range r.d {
		s.R2 += explained(i) / float64(r.d)
		variance += j.squares[i] - j.whole[i]*j.whole[i]/n
		errors += j.square[i]
		misses += j.miss[i]
	}
	s.R2Length = explained(r.d)
	if variance > 0 {
		s.FVU, s.Nonlinear = errors/variance, misses/variance
		s.Linear = s.FVU - s.Nonlinear
	}
	return s
}
