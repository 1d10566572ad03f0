// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"sort"
	"strings"
)

// prefixes finds which of a fixed set of strings a text begins with, by narrowing a sorted list byte by byte.
type prefixes struct {
	keys  []string
	vals  []int32
	first [257]int32 // keys that begin with byte b are keys[first[b]:first[b+1]]
}

// newPrefixes takes the set as parallel slices, which it sorts and keeps; empty keys must not occur, of equal keys the first counts.
func newPrefixes(keys []string, vals []int32) *prefixes {
	p := &prefixes{keys: keys, vals: vals}
	sort.Stable(p)
	n := 0
	for b := range 256 {
		p.first[b] = int32(n)
		for n < len(keys) && keys[n][0] == byte(b) {
			n++
		}
	}
	p.first[256] = int32(n)
	return p
}

func (p *prefixes) Len() int           { return len(p.keys) }
func (p *prefixes) Less(i, j int) bool { return p.keys[i] < p.keys[j] }
func (p *prefixes) Swap(i, j int) {
	p.keys[i], p.keys[j] = p.keys[j], p.keys[i]
	p.vals[i], p.vals[j] = p.vals[j], p.vals[i]
}

// match is one key that a text begins with.
type match struct{ size, val int32 }

// all appends every key that s begins with, shortest first.
func (p *prefixes) all(dst []match, s string) []match {
	if s == "" {
		return dst
	}
	lo, hi := int(p.first[s[0]]), int(p.first[int(s[0])+1])
	for n := 1; lo < hi; n++ {
		if len(p.keys[lo]) == n {
			dst = append(dst, match{int32(n), p.vals[lo]})
			for lo < hi && len(p.keys[lo]) == n {
				lo++
			}
		}
		if n == len(s) {
			break
		}
		lo, hi = p.narrow(lo, hi, n, s[n])
	}
	return dst
}

// narrow keeps those of keys[lo:hi], all longer than n and alike before n, whose byte n is b.
func (p *prefixes) narrow(lo, hi, n int, b byte) (int, int) {
	if hi-lo == 1 {
		if p.keys[lo][n] != b {
			return hi, hi
		}
		return lo, hi
	}
	keys := p.keys[lo:hi]
	from := sort.Search(len(keys), func(i int) bool { return keys[i][n] >= b })
	to := from + sort.Search(len(keys)-from, func(i int) bool { return keys[from+i][n] > b })
	return lo + from, lo + to
}

// contains says whether key is in the set.
func (p *prefixes) contains(key string) (int32, bool) {
	i := sort.SearchStrings(p.keys, key)
	if i == len(p.keys) || p.keys[i] != key {
		return 0, false
	}
	return p.vals[i], true
}

// next returns the first index at or after i where some key may begin, or len(s).
func (p *prefixes) next(s string, i int) int {
	if len(p.keys) == 0 {
		return len(s)
	}
	if b := p.keys[0][0]; int(p.first[int(b)+1]-p.first[b]) == len(p.keys) {
		if n := strings.IndexByte(s[i:], b); n >= 0 {
			return i + n
		}
		return len(s)
	}
	for ; i < len(s); i++ {
		if p.first[s[i]] < p.first[int(s[i])+1] {
			return i
		}
	}
	return len(s)
}
