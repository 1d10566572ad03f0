// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"strings"
	"unicode/utf8"
)

// Coder is what Tokens needs of a tokenizer; every tokenizer of this module has it.
type Coder interface {
	// EncodeGuarded encodes with special tokens, but none that has one of the offsets strictly inside.
	EncodeGuarded(dst []int32, text string, guards []int) []int32
	// Specials are the texts of all special tokens.
	Specials() []string
}

// Tokens appends the ids of the rendered conversation to dst. Special tokens that the template writes are parsed; text of
// messages and vars that looks like one, or would complete one together with its surroundings, stays text.
// A role is a name that templates build special tokens from, so it must come from the program, not from a user.
func (t *Template) Tokens(dst []int32, c Coder, messages []Message, addGenerationPrompt bool, vars ...Field) ([]int32, error) {
	g := marker{rune: unusedRune(t.source, messages, vars), specials: c.Specials()}
	text, err := t.render(messages, addGenerationPrompt, vars, g)
	if err != nil {
		return dst, err
	}
	clean, guards := cutMarks(text, string(g.rune))
	return c.EncodeGuarded(dst, clean, guards), nil
}

// guarder marks the places in untrusted text where a special token must not be recognised.
type guarder interface {
	guard(s string) string
	// guardName is for names that templates compare and build tokens from: only special tokens written out are marked.
	guardName(s string) string
}

type guardNothing struct{}

func (guardNothing) guard(s string) string     { return s }
func (guardNothing) guardName(s string) string { return s }

// marker puts a character that occurs nowhere else into every special token that text contains, begins or ends.
// The mark stands inside words, never before or after white space, so that templates trim as they would without it.
type marker struct {
	rune     rune
	specials []string
}

func (m marker) guard(s string) string {
	marks := m.inside(s)
	if s != "" && m.completes(s) {
		marks = append(marks, 0)
	}
	for _, sp := range m.specials {
		for n := min(len(sp)-1, len(s)); n > 0; n-- {
			if strings.HasPrefix(sp, s[len(s)-n:]) {
				marks = append(marks, len(s)-n+firstLen(sp))
			}
		}
	}
	return m.insert(s, marks)
}

func (m marker) guardName(s string) string { return m.insert(s, m.inside(s)) }

// inside finds the special tokens written out in s, overlapping ones too.
func (m marker) inside(s string) []int {
	var marks []int
	for _, sp := range m.specials {
		for at := 0; ; {
			n := strings.Index(s[at:], sp)
			if n < 0 {
				break
			}
			marks = append(marks, at+n+firstLen(sp))
			at += n + 1
		}
	}
	return marks
}

// completes says whether s, right after other text, may be the middle or the end of a special token.
func (m marker) completes(s string) bool {
	for _, sp := range m.specials {
		for k := 1; k < len(sp); k++ {
			rest := sp[k:]
			if rest[0] == s[0] && (strings.HasPrefix(s, rest) || strings.HasPrefix(rest, s)) {
				return true
			}
		}
	}
	return false
}

func (m marker) insert(s string, marks []int) string {
	if len(marks) == 0 {
		return s
	}
	at := make([]bool, len(s)+1)
	for _, i := range marks {
		if i <= len(s) {
			at[i] = true
		}
	}
	var b strings.Builder
	for i := range len(s) {
		if at[i] {
			b.WriteRune(m.rune)
		}
		b.WriteByte(s[i])
	}
	if at[len(s)] {
		b.WriteRune(m.rune)
	}
	return b.String()
}

func firstLen(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// cutMarks removes the marks and says where they stood in what is left.
func cutMarks(text, mark string) (clean string, guards []int) {
	if !strings.Contains(text, mark) {
		return text, nil
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, mark)
		b.WriteString(before)
		if !found {
			return b.String(), guards
		}
		guards = append(guards, b.Len())
		text = after
	}
}

// Noncharacters (Unicode 23.7) come first as marks, because no text should hold them; then private characters of plane 15, of
// which there are more than any prompt has characters.
const (
	firstMark, lastMark       = 0xFDD0, 0xFDEF
	firstPrivate, lastPrivate = 0xF0000, 0xFFFFD
)

// unusedRune finds a character that occurs neither in the template nor in what is put into it.
func unusedRune(source string, messages []Message, vars []Field) rune {
	used := map[rune]bool{}
	note := func(s string) {
		for _, r := range s {
			if r >= firstMark && r <= lastMark || r >= firstPrivate {
				used[r] = true
			}
		}
	}
	note(source)
	for _, m := range messages {
		note(m.Role)
		note(m.Content)
		eachString(m.Extra, note)
	}
	for _, v := range vars {
		eachString(v.Value, note)
	}
	for r := rune(firstMark); r <= lastMark; r++ {
		if !used[r] {
			return r
		}
	}
	for r := rune(firstPrivate); r < lastPrivate; r++ {
		if !used[r] {
			return r
		}
	}
	return lastPrivate
}

func eachString(v any, f func(string)) {
	switch v := v.(type) {
	case string:
		f(v)
	case []any:
		for _, x := range v {
			eachString(x, f)
		}
	case []Object:
		for _, x := range v {
			eachString(x, f)
		}
	case Object:
		for _, x := range v {
			f(x.Name)
			eachString(x.Value, f)
		}
	}
}
