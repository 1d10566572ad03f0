// SPDX-License-Identifier: Apache-2.0

package dictionary

import "sync/atomic"

// gramBudget is the most that the table of products between atoms may take, in bytes: all of them for 8,192 atoms.
const gramBudget = 256 << 20

// gram has the atoms and, as far as the budget goes and as they are asked for, the products between them. With those a
// round of a pursuit costs n additions instead of n·d. Any number of goroutines may use it.
type gram struct {
	m    []float32 // [n, d]
	n, d int
	rows []atomic.Pointer[[]float32]
	used atomic.Int64
}

func newGram(m []float32, n, d int) *gram {
	return &gram{m: m, n: n, d: d, rows: make([]atomic.Pointer[[]float32], n)}
}

func (g *gram) row(j int) []float32 { return g.m[j*g.d : (j+1)*g.d] }

// products returns the products of atom j with all atoms, nil where the budget is spent.
func (g *gram) products(j int) []float32 {
	if p := g.rows[j].Load(); p != nil {
		return *p
	}
	size := int64(4 * g.n)
	if g.used.Add(size) > gramBudget {
		g.used.Add(-size)
		return nil
	}
	row := make([]float32, g.n)
	multiply(row, g.m, g.row(j))
	g.rows[j].Store(&row)
	return row
}

// scratch clears memory of an atom's width.
func (g *gram) scratch(v []float32) []float32 {
	clear(v[:g.d])
	return v[:g.d]
}
