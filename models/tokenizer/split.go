// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// span is text[from:to], a piece that later splitters cut further.
type span struct{ from, to int }

// splitter cuts one piece into pieces; it sees nothing outside the piece, as lookaheads of the published patterns do not either.
type splitter interface {
	split(dst []span, text string, p span) []span
}

// class is what the published patterns tell apart.
type class uint8

const (
	other  class = iota
	letter       // \p{L}
	number       // \p{N}
	space        // \s
)

// asciiClass has the class of the first 128 characters as digits: a constant, so that nothing can change it.
const asciiClass = "" +
	"00000000033333000000000000000000" +
	"30000000000000002222222222000000" +
	"01111111111111111111111111100000" +
	"01111111111111111111111111100000"

func classOf(r rune) class {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}

// classAt is the class and the length of the character at s[i].
func classAt(s string, i int) (class, int) {
	if b := s[i]; b < utf8.RuneSelf {
		return class(asciiClass[b] - '0'), 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	return classOf(r), n
}

// run is the end of the stretch of class c that begins at i.
func run(s string, i int, c class) int {
	for i < len(s) {
		k, n := classAt(s, i)
		if k != c {
			break
		}
		i += n
	}
	return i
}

// blank is the end of a piece of white space s[i:end] under \s+(?!\S)|\s+ : all of it at the end of the text,
// else all but its last character, which goes with what follows, else that one character.
func blank(s string, i, end int) int {
	if end == len(s) {
		return end
	}
	_, n := utf8.DecodeLastRuneInString(s[i:end])
	if end-n > i {
		return end - n
	}
	return end
}

// contraction is the length of an English contraction at the start of s: 's 't 're 've 'm 'll 'd.
func contraction(s string, fold bool) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	a := lower(s[1], fold)
	switch a {
	case 's', 't', 'm', 'd':
		return 2
	}
	if len(s) >= 3 {
		b := lower(s[2], fold)
		if a == 'r' && b == 'e' || a == 'v' && b == 'e' || a == 'l' && b == 'l' {
			return 3
		}
	}
	// The long s is the one other character that folds to a letter of these.
	if fold && len(s) >= 3 && s[1:3] == "\u017f" {
		return 3
	}
	return 0
}

func lower(b byte, fold bool) byte {
	if fold && b >= 'A' && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

// cutter is a splitter whose pieces cover the text: it says where the piece that begins at i ends.
type cutter func(s string, i int) int

func (c cutter) split(dst []span, text string, p span) []span {
	s := text[p.from:p.to]
	for i := 0; i < len(s); {
		end := c(s, i)
		dst = append(dst, span{p.from + i, p.from + end})
		i = end
	}
	return dst
}

// matcher is a splitter made of a pattern: it says where a match that begins at i ends, or i where none begins.
// Matches and what lies between them are pieces; without gaps, only matches are.
type matcher struct {
	match  func(s string, i int) int
	noGaps bool
}

func (m matcher) split(dst []span, text string, p span) []span {
	s, gap := text[p.from:p.to], 0
	for i := 0; i < len(s); {
		end := m.match(s, i)
		if end == i {
			i += runeLen(s[i:])
			continue
		}
		dst = m.gap(dst, p, gap, i)
		dst = append(dst, span{p.from + i, p.from + end})
		i, gap = end, end
	}
	return m.gap(dst, p, gap, len(s))
}

func (m matcher) gap(dst []span, p span, from, to int) []span {
	if m.noGaps || from == to {
		return dst
	}
	return append(dst, span{p.from + from, p.from + to})
}
