// SPDX-License-Identifier: Apache-2.0

package rules

// Set is a set of small numbers: concepts by [Machine.Concept], or rules by their place in the program.
type Set []uint64

// NewSet returns an empty set for the numbers below n; adding others panics.
func NewSet(n int) Set { return make(Set, (n+63)/64) }

// Add puts i into the set.
func (s Set) Add(i int) { s[i>>6] |= 1 << (i & 63) }

// Has tells whether i is in the set; a nil set has nothing.
func (s Set) Has(i int) bool { return i>>6 < len(s) && s[i>>6]>>(i&63)&1 != 0 }

// Clear empties the set.
func (s Set) Clear() { clear(s) }

// merge adds the numbers of other, which may be shorter.
func (s Set) merge(other Set) {
	for i, w := range other {
		s[i] |= w
	}
}
