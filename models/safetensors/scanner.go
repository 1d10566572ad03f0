// SPDX-License-Identifier: Apache-2.0

package safetensors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
)

// scanner reads the little of JSON that a header may hold: objects, strings, and arrays of whole numbers. Unlike
// encoding/json it tells duplicate keys and where a fault is, and asks for no memory but the strings'.
// After the first error it stays where it is, and every read returns zero.
type scanner struct {
	path string
	text []byte
	off  int
	err  error
}

func (s *scanner) fail(what, want, found string) {
	if s.err == nil {
		s.err = &FormatError{Path: s.path, Offset: int64(8 + s.off), What: what, Want: want, Found: found}
	}
}

// next returns the first byte that is not space, 0 at the end or after an error.
func (s *scanner) next() byte {
	for ; s.err == nil && s.off < len(s.text); s.off++ {
		switch b := s.text[s.off]; b {
		case ' ', '\t', '\n', '\r':
		default:
			return b
		}
	}
	return 0
}

// here quotes what stands at the scanner, for an error.
func (s *scanner) here() string {
	if s.next() == 0 && s.off == len(s.text) {
		return "the end of the header"
	}
	return fmt.Sprintf("%.20q", s.text[s.off:])
}

// accept steps over b if it comes next.
func (s *scanner) accept(b byte) bool {
	if s.next() != b || s.err != nil {
		return false
	}
	s.off++
	return true
}

// expect steps over b, which must come next; name says what begins or ends with it.
func (s *scanner) expect(b byte, what, name string) {
	if !s.accept(b) {
		s.fail(what, name, s.here())
	}
}

// object reads an object. It calls each with every key, to read the value, or to return false for a key it had before.
func (s *scanner) object(what string, each func(key string) bool) {
	s.expect('{', what, "an object")
	if s.accept('}') {
		return
	}
	for s.err == nil {
		key := s.string(what, "a key")
		s.expect(':', what, "a colon")
		if !each(key) {
			s.fail(what, "each key once", fmt.Sprintf("%.80q twice", key))
		}
		if s.accept('}') {
			return
		}
		s.expect(',', what, "a comma or the object's end")
	}
}

// string reads a string.
func (s *scanner) string(what, name string) string {
	s.expect('"', what, name)
	if s.err != nil {
		return ""
	}
	start := s.off
	plain := true
	for ; s.off < len(s.text); s.off++ {
		switch b := s.text[s.off]; {
		case b == '"':
			s.off++
			return s.unquote(what, start-1, plain)
		case b == '\\':
			plain = false
			s.off++ // whatever is escaped, it is not the end
		case b < ' ':
			plain = false // json refuses it
		}
	}
	s.off = len(s.text)
	s.fail(what, "the end of a string", "the end of the header")
	return ""
}

// unquote returns the string from the quote at start to the quote before the scanner.
func (s *scanner) unquote(what string, start int, plain bool) (out string) {
	quoted := s.text[start:s.off]
	if plain {
		return string(quoted[1 : len(quoted)-1])
	}
	if err := json.Unmarshal(quoted, &out); err != nil {
		s.off = start
		s.fail(what, "a string of JSON", err.Error())
	}
	return out
}

// numbers reads an array of whole numbers into new memory.
func (s *scanner) numbers(what string, limit int) []int {
	s.expect('[', what, "an array")
	var few [8]int // most shapes are short: one allocation, of the right size
	out := few[:0]
	for s.err == nil && !s.accept(']') {
		if len(out) > 0 {
			s.expect(',', what, "a comma or the array's end")
		}
		if len(out) == limit {
			s.fail(what, fmt.Sprintf("at most %d numbers", limit), "more")
		}
		out = append(out, s.number(what))
	}
	return append(make([]int, 0, len(out)), out...)
}

// number reads a whole number without sign, fraction or exponent.
func (s *scanner) number(what string) int {
	s.next()
	digits := s.text[s.off:]
	end := bytes.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(digits)
	}
	digits = digits[:end]
	n := 0
	for _, d := range digits {
		if n > (math.MaxInt-int(d-'0'))/10 {
			end = 0 // too large is as bad as none
			break
		}
		n = 10*n + int(d-'0')
	}
	if end == 0 || digits[0] == '0' && end > 1 {
		s.fail(what, fmt.Sprintf("whole numbers up to %d", math.MaxInt), s.here())
		return 0
	}
	s.off += end
	return n
}
