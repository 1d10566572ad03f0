// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"slices"

	"github.com/trimtab/trimtab/internal/dot"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// massive finds the positions of a sequence that no dictionary is made for: position 0, and tokens whose activation is more than
// dictionary.MassiveFactor times as long as the median one's. It sees a sequence as it comes, dictionary.Massive a whole text before it is asked.
type massive struct {
	lengths []float32 // by position; 0 where not seen
	sorted  []float32
	median  float32
	counted int // positions that the median has seen
}

const medianRenewed = 64 // decoded tokens between two looks at the median

// look takes the activations of a pass in and says where it may be renewed: a position that is run again replaces what it was.
func (m *massive) look(a *hooks.Activation) {
	end := a.First + len(a.Rows)
	for len(m.lengths) < end {
		m.lengths = append(m.lengths, 0)
	}
	m.lengths = m.lengths[:end]
	for i := range a.Rows {
		m.lengths[a.First+i] = float32(dot.Length(a.Row(i)))
	}
	if len(a.Rows) > 1 || end < m.counted || end-m.counted >= medianRenewed || m.median == 0 {
		m.renew()
	}
}

func (m *massive) renew() {
	m.sorted = m.sorted[:0]
	for _, v := range m.lengths[1:] {
		if v > 0 {
			m.sorted = append(m.sorted, v)
		}
	}
	m.counted = len(m.lengths)
	if len(m.sorted) == 0 {
		m.median = 0
		return
	}
	slices.Sort(m.sorted)
	m.median = m.sorted[len(m.sorted)/2]
}

// at tells whether a position that look has seen is one to leave out.
func (m *massive) at(position int) bool {
	return position == 0 || (m.median > 0 && m.lengths[position] > dictionary.MassiveFactor*m.median)
}
