// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind uint8

const (
	kindEnd    kind = iota
	kindLine        // end of a statement
	kindName        // identifier or keyword
	kindQuoted      // text in quotes
	kindNumber
	kindSites // what follows an @
	kindMark  // punctuation
)

// token is one word of the source. text is what it means: unquoted, and for sites without the @.
type token struct {
	kind         kind
	text, source string
	line, column int
}

func (t token) found() string {
	switch t.kind {
	case kindEnd:
		return "the end of the text"
	case kindLine:
		return "the end of the line"
	}
	return strconv.Quote(t.source)
}

const (
	digits    = "0123456789"
	siteBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" + digits + "_.*-?"
)

// keyword tells whether a bare word means something to the grammar and so names no concept.
func keyword(word string) bool {
	switch word {
	case "and", "or", "not", "xor", "true", "false", "world", "promote", "suppress", "add", "set", "mask", "stop", "require":
		return true
	}
	return false
}

func isName(s string) bool { return s != "" && nameLen(s) == len(s) && utf8.ValidString(s) }

// nameLen is the length of the identifier that s begins with. The hyphen of an arrow belongs to none.
func nameLen(s string) int {
	for i, r := range s {
		switch {
		case r == '_' || unicode.IsLetter(r):
		case i > 0 && (unicode.IsDigit(r) || unicode.IsMark(r)):
		case i > 0 && r == '-' && !strings.HasPrefix(s[i:], "->"):
		default:
			return i
		}
	}
	return len(s)
}

// lexer cuts a source into tokens.
type lexer struct {
	rest         string
	line, column int
	depth        int // open parentheses and brackets: line ends inside mean nothing
	tokens       []token
}

func lex(src string) ([]token, error) {
	l := &lexer{rest: src, line: 1, column: 1}
	if !utf8.ValidString(src) {
		return nil, &ParseError{Line: 1, Column: 1, Want: "UTF-8 text", Found: "other bytes"}
	}
	for {
		l.blank()
		if l.rest == "" {
			l.push(kindLine, 0, "")
			return l.tokens, l.push(kindEnd, 0, "")
		}
		if err := l.next(); err != nil {
			return nil, err
		}
	}
}

// blank skips spaces and comments, not line ends.
func (l *lexer) blank() {
	l.skip(len(l.rest) - len(strings.TrimLeft(l.rest, " \t\r\ufeff")))
	if strings.HasPrefix(l.rest, "#") {
		end := strings.IndexByte(l.rest, '\n')
		if end < 0 {
			end = len(l.rest)
		}
		l.skip(end)
	}
}

func (l *lexer) skip(n int) {
	l.column += utf8.RuneCountInString(l.rest[:n])
	l.rest = l.rest[n:]
}

func (l *lexer) push(k kind, n int, text string) error {
	l.tokens = append(l.tokens, token{k, text, l.rest[:n], l.line, l.column})
	l.skip(n)
	return nil
}

func (l *lexer) fault(want string, n int) error {
	return &ParseError{Line: l.line, Column: l.column, Want: want, Found: strconv.Quote(l.rest[:n])}
}

func (l *lexer) next() error {
	c, size := utf8.DecodeRuneInString(l.rest)
	if n := nameLen(l.rest); n > 0 {
		return l.push(kindName, n, l.rest[:n])
	}
	if n := numberLen(l.rest); n > 0 {
		return l.number(n)
	}
	switch c {
	case '\n', ';':
		l.lineEnd(c)
		return nil
	case '"':
		return l.quoted(kindQuoted, 0)
	case '@':
		return l.sites()
	}
	for _, mark := range []string{"->", "+=", "*=", ">=", "<=", "(", ")", "[", "]", ",", ":", "*", "/", "="} {
		if strings.HasPrefix(l.rest, mark) {
			l.nest(mark)
			return l.push(kindMark, len(mark), mark)
		}
	}
	return l.fault("a name, a number, an operator or a comment after #", size)
}

func (l *lexer) nest(mark string) {
	switch mark {
	case "(", "[":
		l.depth++
	case ")", "]":
		l.depth = max(0, l.depth-1)
	}
}

// lineEnd ends a statement, unless it has to go on. A semicolon ends it always.
func (l *lexer) lineEnd(c rune) {
	if c == ';' || (l.depth == 0 && !l.goesOn()) {
		l.depth = 0
		_ = l.push(kindLine, 0, "")
	}
	l.skip(1)
	if c == '\n' {
		l.line, l.column = l.line+1, 1
	}
}

func (l *lexer) goesOn() bool {
	if len(l.tokens) == 0 {
		return false
	}
	last := l.tokens[len(l.tokens)-1]
	return last.kind != kindQuoted && slices.Contains([]string{"and", "or", "xor", "not", "->", ",", ":"}, last.text)
}

// numberLen is the length of what begins like a number; whether it is one is for strconv to say.
func numberLen(s string) int {
	n := len(s) - len(strings.TrimLeft(s, "+-"))
	if n > 1 || n == len(s) || strings.IndexByte(digits+".", s[n]) < 0 {
		return 0
	}
	for n < len(s) && (strings.IndexByte(digits+"._eE", s[n]) >= 0 || (strings.IndexByte("+-", s[n]) >= 0 && strings.IndexByte("eE", s[n-1]) >= 0)) {
		n++
	}
	return n
}

func (l *lexer) number(n int) error {
	f, err := strconv.ParseFloat(l.rest[:n], 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return l.fault("a finite number", n)
	}
	return l.push(kindNumber, n, l.rest[:n])
}

// quoted reads a text in quotes that begins at an offset of the rest.
func (l *lexer) quoted(k kind, at int) error {
	q, err := strconv.QuotedPrefix(l.rest[at:])
	if err != nil {
		line, _, _ := strings.Cut(l.rest, "\n")
		return l.fault(`a text that ends with " on its line, with \" for a quote and \\ for a backslash`, len(line))
	}
	text, err := strconv.Unquote(q)
	if err != nil || text == "" || !utf8.ValidString(text) {
		return l.fault("some UTF-8 text in the quotes", at+len(q))
	}
	return l.push(k, at+len(q), text)
}

func (l *lexer) sites() error {
	if strings.HasPrefix(l.rest, `@"`) {
		return l.quoted(kindSites, 1)
	}
	n := 1
	for n < len(l.rest) && strings.IndexByte(siteBytes, l.rest[n]) >= 0 {
		n++
	}
	if strings.HasSuffix(l.rest[:n], "-") && strings.HasPrefix(l.rest[n:], ">") {
		n-- // an arrow
	}
	if n == 1 {
		return l.fault("sites such as resid_post.10-20 after @", 1)
	}
	return l.push(kindSites, n, l.rest[1:n])
}
