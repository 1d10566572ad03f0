// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Stream turns ids into text one at a time and holds back bytes until they are whole characters. It belongs to one goroutine.
type Stream struct {
	t       Tokenizer
	started bool
	held    []byte // the beginning of a character
}

// NewStream begins a text. For the continuation of one, use [Stream.Continue].
func NewStream(t Tokenizer) *Stream { return &Stream{t: t} }

// Continue says that text came before, so that the next piece keeps its leading space.
func (s *Stream) Continue() { s.started = true }

// Push returns the text that id completes, often a string of the tokenizer's own table, at times nothing.
// Bytes that cannot be part of any character become U+FFFD.
func (s *Stream) Push(id int32) string {
	p := s.t.Piece(id)
	if !s.started && p != "" {
		s.started = true
		if s.t.TrimsFirst() {
			p = strings.TrimPrefix(p, " ")
		}
	}
	if len(s.held) > 0 {
		p = string(s.held) + p
		s.held = s.held[:0]
	}
	whole := len(p) - unfinished(p)
	s.held = append(s.held, p[whole:]...)
	return valid(p[:whole])
}

// Flush returns what was held back, as U+FFFD because the rest of the character did not come, and begins a new text.
func (s *Stream) Flush() string {
	rest := valid(string(s.held))
	s.held, s.started = s.held[:0], false
	return rest
}

func valid(p string) string {
	if utf8.ValidString(p) {
		return p
	}
	return strings.ToValidUTF8(p, "\uFFFD")
}

// unfinished counts the bytes at the end of p that begin a character which is not complete.
func unfinished(p string) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		b := p[len(p)-n]
		if b < utf8.RuneSelf {
			return 0
		}
		if utf8.RuneStart(b) {
			if utf8.FullRuneInString(p[len(p)-n:]) {
				return 0
			}
			return n
		}
	}
	return 0
}
