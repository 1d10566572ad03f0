// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// runOf matches stretches of characters that in accepts, at most most of them a match (0: any number), at least least.
type runOf struct {
	in    func(r rune) bool
	most  int
	least int
	lead  bool // one white-space character may stand before the stretch
	blank bool // one space may stand before the stretch
}

func (m runOf) match(s string, i int) int {
	if end := m.stretch(s, i); end > i && !m.leads(s, i) {
		return end
	}
	if m.leads(s, i) {
		at := i + runeLen(s[i:])
		if end := m.stretch(s, at); end > at {
			return end
		}
		return m.stretch(s, i)
	}
	return i
}

func (m runOf) leads(s string, i int) bool {
	if m.blank {
		return s[i] == ' '
	}
	c, _ := classAt(s, i)
	return m.lead && c == space
}

// stretch is the end of the characters at i, or i when there are too few.
func (m runOf) stretch(s string, i int) int {
	end, count := i, 0
	for end < len(s) && (m.most == 0 || count < m.most) {
		r, n := utf8.DecodeRuneInString(s[end:])
		if !m.in(r) {
			break
		}
		end += n
		count++
	}
	if count < m.least {
		return i
	}
	return end
}

// wordRune is \w: alphabetic, mark, decimal digit, connector or joiner (Unicode TR 18, annex C).
func wordRune(r rune) bool {
	if r < utf8.RuneSelf {
		return r == '_' || asciiClass[r] == '0'+byte(letter) || asciiClass[r] == '0'+byte(number)
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}

// matchWhitespace is the pre-tokeniser Whitespace: \w+|[^\w\s]+ .
func matchWhitespace(s string, i int) int {
	r, n := utf8.DecodeRuneInString(s[i:])
	if unicode.IsSpace(r) {
		return i
	}
	word := wordRune(r)
	for i += n; i < len(s); i += n {
		r, n = utf8.DecodeRuneInString(s[i:])
		if wordRune(r) != word || unicode.IsSpace(r) {
			break
		}
	}
	return i
}

// matchNonSpace is the pre-tokeniser WhitespaceSplit.
func matchNonSpace(s string, i int) int {
	for i < len(s) {
		c, n := classAt(s, i)
		if c == space {
			break
		}
		i += n
	}
	return i
}

// cutMeta begins a piece at every U+2581.
func cutMeta(s string, i int) int {
	if n := strings.Index(s[i+runeLen(s[i:]):], metaSpace); n >= 0 {
		return i + runeLen(s[i:]) + n
	}
	return len(s)
}
