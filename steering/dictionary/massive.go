// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"slices"

	"github.com/trimtab/trimtab/internal/dot"
)

// MassiveFactor is how many times the median a norm is above where an activation is massive: those of attention sinks are
// above it by far (arXiv 2402.17762 has hundreds of times), ordinary ones stay below.
const MassiveFactor = 4

// massiveSample is how many norms the median is taken of: the first ones, so that memory and time are bounded.
const massiveSample = 4096

// Massive tells massive activations, which dictionaries are neither trained nor measured on, from ordinary ones: position 0
// and every row whose norm is above four times the median. The zero value has seen nothing. One goroutine at a time may use it.
type Massive struct {
	norms   []float64 // sorted
	median  float64
	settled bool
}

// NewMassive returns a judge that has learnt all it needs: the median norm of ordinary rows.
func NewMassive(median float64) Massive { return Massive{median: median, settled: true} }

// Learn takes the norms of rows into the median; those of position 0 stay out. first is the position of the first row, width
// the numbers of a row. Learn from a whole text before asking about it: a median of few rows can be a massive one.
func (m *Massive) Learn(rows []float32, width, first int) {
	for i := 0; i+width <= len(rows) && len(m.norms) < massiveSample && !m.settled; i += width {
		if first+i/width > 0 {
			m.norms = append(m.norms, dot.Length(rows[i:i+width]))
		}
	}
	if len(m.norms) > 0 {
		slices.Sort(m.norms)
		m.median = m.norms[(len(m.norms)-1)/2]
	}
}

// Median returns the median norm, 0 before anything was learnt.
func (m *Massive) Median() float64 { return m.median }

// Is tells whether the row at a position is massive, by what was learnt so far.
func (m *Massive) Is(position int, row []float32) bool {
	return position == 0 || m.median > 0 && dot.Length(row) > MassiveFactor*m.median
}
