// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/trimtab/trimtab/internal/dot"
)

// gramBudget is the most that the table of products between atoms may take, in bytes: all of them for 8,192 atoms.
const gramBudget = 256 << 20

// gram has the atoms and, as far as the budget goes and as they are asked for, the products between them. With those a
// round of a pursuit costs n additions instead of n·d. Any number of goroutines may use it.
type gram struct {
	m        []float32 // [n, d]
	n, d     int
	stride   int     // numbers of a row of the table, in whole blocks
	rounding float64 // bounds the error of a product in single precision, as a share of the vectors' lengths
	budget   int64
	rows     []*atomic.Pointer[[]float32]
	used     atomic.Int64
}

func newGram(m []float32, n, d int) *gram {
	g := &gram{m: m, n: n, d: d, stride: blocks(n), budget: gramBudget, rows: make([]*atomic.Pointer[[]float32], n)}
	table := make([]atomic.Pointer[[]float32], n)
	for j := range table {
		g.rows[j] = &table[j]
	}
	// 2^-24 for each addition of one of eight lanes, and for those that make one sum of them.
	g.rounding = float64(d/8+8) * 0x1p-24
	return g
}

// blocks rounds a number of products up to whole blocks.
func blocks(n int) int { return (n + dot.Block - 1) / dot.Block * dot.Block }

func (g *gram) row(j int) []float32 { return g.m[j*g.d : (j+1)*g.d] }

// products returns the products of atom j with all atoms, stride numbers, nil where the budget is spent.
func (g *gram) products(j int) []float32 {
	if p := g.rows[j].Load(); p != nil {
		return *p
	}
	if !g.reserve(1) {
		return nil
	}
	row := make([]float32, g.stride)
	multiply(row[:g.n], g.m, g.row(j))
	g.rows[j].Store(&row)
	return row
}

// reserve takes memory for a number of rows out of the budget.
func (g *gram) reserve(rows int) bool {
	size := int64(4*g.stride) * int64(rows)
	if g.used.Add(size) <= g.budget {
		return true
	}
	g.used.Add(-size)
	return false
}

// fill computes every row that is not there yet, as far as the budget goes, on all processors.
func (g *gram) fill() {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			flat := make([]float32, dot.Block*g.n)
			for {
				from := int(next.Add(dot.Block)) - dot.Block
				if from >= g.n {
					return
				}
				g.fillRows(flat, from, min(from+dot.Block, g.n))
			}
		})
	}
	wait.Wait()
}

func (g *gram) fillRows(flat []float32, from, to int) {
	missing := 0
	for j := from; j < to; j++ {
		if g.rows[j].Load() == nil {
			missing++
		}
	}
	if missing == 0 || !g.reserve(missing) {
		return
	}
	flat = flat[:(to-from)*g.n]
	dot.Products(flat, g.m[from*g.d:to*g.d], g.m, g.d)
	for j := from; j < to; j++ {
		row := make([]float32, g.stride)
		copy(row, flat[(j-from)*g.n:(j-from+1)*g.n])
		g.rows[j].CompareAndSwap(nil, &row)
	}
}
