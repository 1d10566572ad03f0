// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/trimtab/trimtab/internal/dot"
)

// growthBudget is the most that the table of a growing dictionary may take, in bytes: all products of 16,384 atoms.
const growthBudget = 1 << 30

// Growth is a dictionary of kind Pursuit to which atoms are added. Its memory grows with the atoms alone. One goroutine at a time may use it.
type Growth struct {
	g       *gram
	rule    PursuitRule
	workers []*pursuer
}

// NewGrowth returns a dictionary without atoms, for activations of width numbers.
func NewGrowth(width int, rule PursuitRule) (*Growth, error) {
	if err := rule.check(); err != nil {
		return nil, fmt.Errorf("dictionary: %w", err)
	}
	if width < 1 {
		return nil, fmt.Errorf("dictionary: want a width of at least 1, found %d", width)
	}
	g := newGram(nil, 0, width)
	g.budget = growthBudget
	return &Growth{g: g, rule: rule}, nil
}

// Len returns the number of atoms.
func (w *Growth) Len() int { return w.g.n }

// Atoms returns the atoms, Len rows of unit length. They are shared until the next Add.
func (w *Growth) Atoms() []float32 { return w.g.m }

// Add makes atoms of rows, scaled to unit length where they are not of it already. None of them may be zero.
func (w *Growth) Add(rows []float32) {
	if len(rows) == 0 {
		return
	}
	from := w.g.n
	w.g.m = append(w.g.m, rows...)
	for i := from * w.g.d; i < len(w.g.m); i += w.g.d {
		// Scaling anew what is of unit length in single precision would change its last bits: what was saved and read again must stay.
		if row := w.g.m[i : i+w.g.d]; math.Abs(dot.Length(row)-1) > 1e-6 {
			unitRows(row, w.g.d)
		}
	}
	w.g.n = len(w.g.m) / w.g.d
	for len(w.g.rows) < w.g.n {
		w.g.rows = append(w.g.rows, &atomic.Pointer[[]float32]{})
	}
	if blocks(w.g.n) > w.g.stride {
		w.g.widen(max(blocks(w.g.n), 2*w.g.stride))
		w.workers = nil
	}
	for i := from; i < w.g.n; i += dot.Block {
		w.g.extend(i, min(i+dot.Block, w.g.n))
	}
}

// widen makes room for the products with more atoms.
func (g *gram) widen(stride int) {
	g.stride = stride
	g.used.Store(0)
	for _, at := range g.rows {
		old := at.Load()
		if old == nil {
			continue
		}
		if !g.reserve(1) {
			at.Store(nil)
			continue
		}
		row := make([]float32, stride)
		copy(row, *old)
		at.Store(&row)
	}
}

// extend puts the products with the new atoms from to to into the table: rows of their own, and the ends of the rows of those before.
func (g *gram) extend(from, to int) {
	flat := make([]float32, (to-from)*g.n)
	dot.Products(flat, g.m[from*g.d:to*g.d], g.m[:g.n*g.d], g.d)
	for i := from; i < to; i++ {
		own := flat[(i-from)*g.n : (i-from+1)*g.n]
		for j, at := range g.rows[:from] {
			if row := at.Load(); row != nil {
				(*row)[i] = own[j]
			}
		}
		if g.reserve(1) {
			row := make([]float32, g.stride)
			copy(row, own)
			g.rows[i].Store(&row)
		}
	}
}

// Encode decomposes every row of x and calls each with its number and code, which is borrowed until each returns. Several goroutines do so at a time, on rows
// of their own; a code does not depend on how many there are.
func (w *Growth) Encode(x []float32, each func(row int, code []Feature)) {
	rows, n := len(x)/w.g.d, w.g.n
	workers := min(runtime.GOMAXPROCS(0), (rows+dot.Block-1)/dot.Block)
	for len(w.workers) < workers {
		w.workers = append(w.workers, newPursuer(w.g, w.rule))
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	for _, p := range w.workers[:workers] {
		wait.Go(func() {
			products := make([]float32, dot.Block*n)
			var code []Feature
			for {
				from := int(next.Add(dot.Block)) - dot.Block
				if from >= rows {
					return
				}
				to := min(from+dot.Block, rows)
				u := products[:(to-from)*n]
				dot.Products(u, x[from*w.g.d:to*w.g.d], w.g.m, w.g.d)
				for i := from; i < to; i++ {
					code = p.run(code[:0], x[i*w.g.d:(i+1)*w.g.d], u[(i-from)*n:(i-from+1)*n], nil)
					each(i, code)
				}
			}
		})
	}
	wait.Wait()
}

// Reconstruct writes the sum of a code's atoms to dst.
func (w *Growth) Reconstruct(dst []float32, code []Feature) {
	clear(dst)
	for _, z := range code {
		addScaled(dst, z.Value, w.g.row(int(z.Index)))
	}
}

// Dictionary returns the dictionary as it stands; it shares nothing with w.
func (w *Growth) Dictionary() (*Dictionary, error) {
	m := append([]float32(nil), w.g.m...)
	return New(&Form{In: w.g.d, Out: w.g.d, N: w.g.n, Dec: m, Act: Activation{Kind: Pursuit, Pursuit: w.rule}})
}
