// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"strings"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// How a Split pre-tokeniser treats its matches.
const (
	removed  = "Removed"
	isolated = "Isolated"
	withPrev = "MergedWithPrevious"
	withNext = "MergedWithNext"
	joined   = "Contiguous"
)

// finder lists the matches of a pattern in s as alternating ends: gap, match, gap, match ... gap; spans may be empty.
type finder interface {
	find(s string) []span
}

// pattern splits by what a finder finds, in one of the five ways.
type pattern struct {
	finder
	behaviour string
	invert    bool // the gaps are the matches
}

// piece is a stretch of text that is a match or is none.
type piece struct {
	span
	hit bool
}

func (m pattern) split(dst []span, text string, p span) []span {
	pieces := m.pieces(text[p.from:p.to])
	switch m.behaviour {
	case removed:
		pieces = dropHits(pieces)
	case withPrev:
		pieces = joinPrev(pieces)
	case withNext:
		pieces = joinNext(pieces)
	case joined:
		pieces = joinAlike(pieces)
	}
	for _, x := range pieces {
		dst = append(dst, span{p.from + x.from, p.from + x.to})
	}
	return dst
}

func (m pattern) pieces(s string) []piece {
	var out []piece
	add := func(from, to int, hit bool) {
		if from < to {
			out = append(out, piece{span{from, to}, hit != m.invert})
		}
	}
	at := 0
	for _, f := range m.find(s) {
		add(at, f.from, false)
		add(f.from, f.to, true)
		at = f.to
	}
	add(at, len(s), false)
	return out
}

func dropHits(pieces []piece) []piece {
	var out []piece
	for _, x := range pieces {
		if !x.hit {
			out = append(out, x)
		}
	}
	return out
}

// joinPrev gives a match to the piece before it, unless that ends in a match too.
func joinPrev(pieces []piece) []piece {
	var out []piece
	hit := false
	for _, x := range pieces {
		if n := len(out); x.hit && !hit && n > 0 {
			out[n-1].to = x.to
		} else {
			out = append(out, x)
		}
		hit = x.hit
	}
	return out
}

// joinNext gives a match to the piece after it, unless that is a match too.
func joinNext(pieces []piece) []piece {
	var out []piece
	for i, x := range pieces {
		if n := len(out); i > 0 && pieces[i-1].hit && !x.hit {
			out[n-1].to = x.to
		} else {
			out = append(out, x)
		}
	}
	return out
}

func joinAlike(pieces []piece) []piece {
	var out []piece
	for i, x := range pieces {
		if n := len(out); i > 0 && pieces[i-1].hit == x.hit {
			out[n-1].to = x.to
		} else {
			out = append(out, x)
		}
	}
	return out
}

// literal finds a fixed string.
type literal string

func (l literal) find(s string) []span {
	var out []span
	for at := 0; ; {
		n := strings.Index(s[at:], string(l))
		if n < 0 {
			return out
		}
		out = append(out, span{at + n, at + n + len(l)})
		at += n + len(l)
	}
}

// expression finds a regular expression with lookaround, by regexp2: slow, and only for patterns without a splitter by hand.
type expression struct{ re *regexp2.Regexp }

func newExpression(part, source string) (expression, error) {
	// Set intersection is not in regexp2's syntax: it would be read as two literal ampersands.
	if strings.Contains(source, "&&") {
		return expression{}, unsupported(part, source)
	}
	re, err := regexp2.Compile(source, regexp2.None)
	if err != nil {
		return expression{}, unsupported(part, source)
	}
	return expression{re}, nil
}

func (e expression) find(s string) []span {
	runes, offsets := decodeRunes(s)
	var out []span
	m, err := e.re.FindRunesMatch(runes)
	for err == nil && m != nil {
		if m.Length > 0 {
			out = append(out, span{offsets[m.Index], offsets[m.Index+m.Length]})
		}
		m, err = e.re.FindNextMatch(m)
	}
	return out
}

// decodeRunes gives the characters and where each begins in bytes, with the end as one offset more.
func decodeRunes(s string) ([]rune, []int) {
	runes, offsets := make([]rune, 0, len(s)), make([]int, 0, len(s)+1)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		runes, offsets = append(runes, r), append(offsets, i)
		i += n
	}
	return runes, append(offsets, len(s))
}
