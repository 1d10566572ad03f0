// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"slices"

	"github.com/trimtab/trimtab/hooks"
)

// massive finds the positions of a sequence that no dictionary is made for: position 0, and tokens whose activation is more than massiveTimes as long as
// the median one's (massive activations: 25,000 where others have 150 in SmolLM2 at block 14). It has the state of one session.
type massive struct {
	lengths []float32 // by position; 0 where not seen
	sorted  []float32
	median  float32
	counted int // positions that the median has seen
}

const (
	massiveTimes  = 4
	medianRenewed = 64 // decoded tokens between two looks at the median
)

// look takes the activations of a pass in and says where it may be renewed: a position that is run again replaces what it was.
func (m *massive) look(a *hooks.Activation) {
	end := a.First + len(a.Rows)
	for len(m.lengths) < end {
		m.lengths = append(m.lengths, 0)
	}
	m.lengths = m.lengths[:end]
	for i := range a.Rows {
		m.lengths[a.First+i] = float32(norm(a.Row(i)))
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
	return position == 0 || (m.median > 0 && m.lengths[position] > massiveTimes*m.median)
}

// count returns how many positions of the sequence are left out.
func (m *massive) count() int {
	n := 0
	for i := range m.lengths {
		if m.at(i) {
			n++
		}
	}
	return n
}
