// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// prepend puts text before each stretch, or before the first only.
func prepend(s string, firstOnly bool) rewrite {
	return func(text string, first bool) string {
		if firstOnly && !first {
			return text
		}
		return s + text
	}
}

func replace(old, with string) rewrite {
	return func(text string, _ bool) string { return strings.ReplaceAll(text, old, with) }
}

func normalForm(f norm.Form) rewrite {
	return func(text string, _ bool) string {
		if f.IsNormalString(text) {
			return text
		}
		return f.String(text)
	}
}

// lowercase maps each character by itself, without the rule for a final sigma; U+0130 is the one whose small form is two characters.
func lowercase(text string, _ bool) string {
	return strings.ToLower(strings.ReplaceAll(text, "\u0130", "i\u0307"))
}

func strip(left, right bool) rewrite {
	return func(text string, _ bool) string {
		if left {
			text = strings.TrimLeftFunc(text, unicode.IsSpace)
		}
		if right {
			text = strings.TrimRightFunc(text, unicode.IsSpace)
		}
		return text
	}
}

// stripAccents drops all marks; definitions put a decomposition before it.
func stripAccents(text string, _ bool) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsMark(r) {
			return -1
		}
		return r
	}, text)
}

// replaceFound puts text in place of every match.
func replaceFound(f finder, with string) rewrite {
	if old, ok := f.(literal); ok {
		return replace(string(old), with)
	}
	return func(text string, _ bool) string {
		var b strings.Builder
		at := 0
		for _, m := range f.find(text) {
			b.WriteString(text[at:m.from])
			b.WriteString(with)
			at = m.to
		}
		return b.String() + text[at:]
	}
}

// leadingSpace puts a space before a stretch that has none.
func leadingSpace(text string, _ bool) string {
	if strings.HasPrefix(text, " ") {
		return text
	}
	return " " + text
}

// metaspaced writes spaces as U+2581 and puts one in front: of each stretch (always, the default), of the first, or never.
func metaspaced(scheme string) rewrite {
	return func(text string, first bool) string {
		text = strings.ReplaceAll(text, " ", metaSpace)
		if scheme == "never" || scheme == "first" && !first || strings.HasPrefix(text, metaSpace) {
			return text
		}
		return metaSpace + text
	}
}

// anyPunct is the pre-tokenizer Punctuation: ASCII punctuation and symbols, and \p{P}.
func anyPunct(r rune) bool {
	return r < 0x80 && r > ' ' && r != 0x7F && !unicode.IsLetter(r) && !unicode.IsDigit(r) || unicode.IsPunct(r)
}

// singleSpaces drops spaces at both ends and doubled ones.
func singleSpaces(text string, _ bool) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' }), " ")
}
