// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"math"

	"github.com/trimtab/trimtab/hooks"
)

// state sums up what acts on tokens of a phase now: two equal states mean that a cached token would be computed the same again.
// Edits count with their strength; a tap that may write counts by its attachment and the knob that it names, since what it will do cannot be known.
func (s *Session) state(phase hooks.Phase) uint64 {
	h := uint64(fnvOffset)
	for _, a := range s.attached {
		for i := range a.plan.Edits {
			if e := &a.plan.Edits[i]; acts(e.Where, phase) {
				h = mix(mix(mix(h, a.id), uint64(i)), uint64(math.Float32bits(e.Strength.Value())))
			}
		}
		for i := range a.plan.Taps {
			if t := &a.plan.Taps[i]; !t.ReadOnly && acts(t.Where, phase) {
				h = mix(mix(mix(h, a.id), uint64(i)|1<<63), uint64(math.Float32bits(t.Strength.Value())))
			}
		}
	}
	return h
}

func acts(w hooks.Where, phase hooks.Phase) bool { return w.Phases == 0 || w.Phases&phase != 0 }

// FNV-1a over words: http://www.isthe.com/chongo/tech/comp/fnv/
const fnvOffset, fnvPrime = 14695981039346656037, 1099511628211

func mix(h, v uint64) uint64 { return (h ^ v) * fnvPrime }

// keep shortens the cache to the longest prefix of tokens that was computed as it would be now, and returns its length.
// The last token is always run again, for its logits. What is run again begins where a pass began, so that asking the same again runs the same passes
// again and rounds alike: matrix products over one row and over many may differ in the last bit.
func (s *Session) keep(tokens []int32) int {
	prefill, decode := s.state(hooks.Prefill), s.state(hooks.Decode)
	n := 0
	for n < len(s.past) && n < len(tokens)-1 && s.past[n].id == tokens[n] {
		want := prefill
		if s.past[n].generated {
			want = decode
		}
		if s.past[n].state != want {
			break
		}
		n++
	}
	for n > 0 && n < len(s.past) && !s.past[n].began {
		n--
	}
	n = s.model.network.kept(s, n)
	s.past = s.past[:n]
	return n
}

// Forget empties the cache: the next generation runs its whole prompt. It waits for a pass that is under way.
func (s *Session) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past = s.past[:0]
}
