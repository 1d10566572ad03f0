// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is a token that is found in the text before anything else is done to it.
type addedToken struct {
	text       string
	id         int32
	special    bool
	lstrip     bool // takes the white space before it
	rstrip     bool // takes the white space after it
	singleWord bool // only between non-word characters
}

// addedSet finds added tokens, leftmost first and longest among those that begin at one place.
type addedSet struct {
	tokens []addedToken
	index  *prefixes // text -> index in tokens
}

func newAddedSet(tokens []addedToken) *addedSet {
	var keys []string
	var vals []int32
	for i, t := range tokens {
		if t.text != "" {
			keys = append(keys, t.text)
			vals = append(vals, int32(i))
		}
	}
	return &addedSet{tokens: tokens, index: newPrefixes(keys, vals)}
}

// guard says which special tokens count: none, all, or all but those with one of the offsets strictly inside.
type guard struct {
	special bool
	offsets []int // ascending, in bytes of the text
}

// hit is a place where an added token stands.
type hit struct {
	from, to int // with the white space it takes
	id       int32
}

// next finds the first added token of text at or after from; text before from is looked at for word boundaries only.
func (a *addedSet) next(text string, from int, g guard, buf []match) (hit, bool) {
	for i := from; ; {
		i = a.index.next(text, i)
		if i == len(text) {
			return hit{}, false
		}
		buf = a.index.all(buf[:0], text[i:])
		n := len(buf) - 1
		for g.special && n >= 0 && a.crossed(g, buf[n], i) {
			n--
		}
		if n < 0 {
			i++
			continue
		}
		t, end := &a.tokens[buf[n].val], i+int(buf[n].size)
		switch {
		case t.special && !g.special:
			i = end // what looks like a special token is ordinary text as a whole
		case t.singleWord && !alone(text, i, end):
			i = end
		default:
			return t.widen(text, from, i, end), true
		}
	}
}

// crossed says whether a special token found at i has a guard inside it.
func (a *addedSet) crossed(g guard, m match, i int) bool {
	if !a.tokens[m.val].special {
		return false
	}
	k := g.after(i)
	return k < len(g.offsets) && g.offsets[k] < i+int(m.size)
}

// after is the index of the first offset beyond i.
func (g guard) after(i int) int { return sort.SearchInts(g.offsets, i+1) }

// widen adds the white space that the token takes.
func (t *addedToken) widen(text string, from, i, end int) hit {
	h := hit{from: i, to: end, id: t.id}
	if t.lstrip {
		h.from = from + len(strings.TrimRightFunc(text[from:i], unicode.IsSpace))
	}
	if t.rstrip {
		h.to = len(text) - len(strings.TrimLeftFunc(text[end:], unicode.IsSpace))
	}
	return h
}

// alone says whether text[i:end] has no word character on either side.
func alone(text string, i, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:i])
	after, _ := utf8.DecodeRuneInString(text[end:])
	return (i == 0 || !wordRune(before)) && (end == len(text) || !wordRune(after))
}
