// SPDX-License-Identifier: Apache-2.0

package gather

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/trimtab/trimtab/steering/concepts"
)

// Span is a part of a text in bytes.
type Span struct{ From, To int }

// Untag takes the marks [[ and ]] out of a text and returns the parts that stood between them.
func Untag(text string) (plain string, tagged []Span) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "[[")
		b.WriteString(before)
		inner, rest, closed := strings.Cut(after, "]]")
		if !found || !closed {
			if found {
				b.WriteString("[[" + after)
			}
			return b.String(), tagged
		}
		from := b.Len()
		b.WriteString(inner)
		tagged = append(tagged, Span{from, b.Len()})
		text = rest
	}
}

// Find returns where words stand in a text, whole and with the first letter in either case.
func Find(text string, words []string) []Span {
	var out []Span
	for _, w := range words {
		for _, spelling := range spellings(w) {
			for at := 0; ; {
				i := strings.Index(text[at:], spelling)
				if i < 0 {
					break
				}
				from := at + i
				at = from + len(spelling)
				if !letterBefore(text, from) && !letterBehind(text, at) {
					out = append(out, Span{from, at})
				}
			}
		}
	}
	return out
}

func spellings(word string) []string {
	r, n := utf8.DecodeRuneInString(word)
	if word == "" {
		return nil
	}
	lower, upper := string(unicode.ToLower(r))+word[n:], string(unicode.ToUpper(r))+word[n:]
	if lower == upper {
		return []string{word}
	}
	return []string{lower, upper}
}

func letterBefore(text string, at int) bool {
	r, _ := utf8.DecodeLastRuneInString(text[:at])
	return at > 0 && unicode.IsLetter(r)
}

func letterBehind(text string, at int) bool {
	r, _ := utf8.DecodeRuneInString(text[at:])
	return at < len(text) && unicode.IsLetter(r)
}

// MarkWords marks the tokens that end a span, or with all every token in one, as the concept's, where they count at all.
func (g *Gatherer) MarkWords(t *Text, spans []Span, all bool) {
	before := t.Clone()
	g.MarkSpans(t, spans, all, concepts.Is)
	for i := range t.Sample {
		if before.Sample[i].Mark == concepts.Skip {
			t.Sample[i].Mark = concepts.Skip
		}
	}
}

// MarkSpans marks the tokens that end a span, or with all every token in one, whatever they were marked as.
func (g *Gatherer) MarkSpans(t *Text, spans []Span, all bool, mark concepts.Mark) {
	first := 0
	if b := g.tok.BOS(); b >= 0 && len(t.IDs) > 0 && t.IDs[0] == b {
		first = 1
	}
	at := 0
	for i := first; i < len(t.IDs); i++ {
		from := at
		at += len(g.tok.Piece(t.IDs[i]))
		for _, s := range spans {
			inside := from < s.To && at > s.From
			if inside && (all || at >= s.To) {
				t.Sample[i].Mark = mark
			}
		}
	}
}

// MarkAll marks every token that counts.
func (t *Text) MarkAll(mark concepts.Mark) {
	for i := range t.Sample {
		if t.Sample[i].Mark != concepts.Skip {
			t.Sample[i].Mark = mark
		}
	}
}

// MarkOnly leaves one token, counted from the text's end where it is negative, and marks it; a text that is too short keeps none.
func (t *Text) MarkOnly(position int, mark concepts.Mark) {
	if position < 0 {
		position += len(t.Sample)
	}
	for i := range t.Sample {
		if i != position {
			t.Sample[i].Mark = concepts.Skip
		} else if t.Sample[i].Mark != concepts.Skip {
			t.Sample[i].Mark = mark
		}
	}
}
