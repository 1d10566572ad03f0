// SPDX-License-Identifier: Apache-2.0

package train

import (
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// Products multiplies matrices for a trainer. One goroutine at a time uses it.
type Products interface {
	// Floats returns n zeroed numbers in memory that Multiply can work on; it belongs to the Products.
	Floats(n int) ([]float32, error)
	// Multiply is Y = X · Wᵀ, with X [rows, width], W [features, width] and Y [rows, features], row-major, each the beginning of what Floats returned.
	Multiply(y, x, w []float32, rows, features, width int) error
}

// Plain multiplies with gonum's BLAS, in Go alone.
type Plain struct{}

// Floats returns memory of Go's.
func (Plain) Floats(n int) ([]float32, error) { return make([]float32, n), nil }

// Multiply is Y = X · Wᵀ.
func (Plain) Multiply(y, x, w []float32, rows, features, width int) error {
	gonum.Implementation{}.Sgemm(blas.NoTrans, blas.Trans, rows, features, width, 1, x, width, w, width, 0, y, features)
	return nil
}

// each calls work for pieces of 0 to n, on several goroutines; what it does for one number must not depend on another.
func each(n, threads, piece int, work func(from, to int)) {
	var next sync.Mutex
	at := 0
	var group sync.WaitGroup
	for range min(threads, (n+piece-1)/piece) {
		group.Go(func() {
			for {
				next.Lock()
				from := at
				at = min(at+piece, n)
				to := at
				next.Unlock()
				if from == to {
					return
				}
				work(from, to)
			}
		})
	}
	group.Wait()
}

func dot(a, b []float32) float32 { return gonum.Implementation{}.Sdot(len(a), a, 1, b, 1) }

// addScaled is y += a v.
func addScaled(y []float32, a float32, v []float32) {
	gonum.Implementation{}.Saxpy(len(v), a, v, 1, y, 1)
}
