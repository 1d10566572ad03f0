// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"strings"

	"github.com/trimtab/trimtab/models/tokenizer"
)

// textStream turns tokens into text and holds back what may become a stop text.
type textStream struct {
	stream *tokenizer.Stream // nil without a tokenizer: all text is empty
	stops  []string
	held   string
}

// push returns the text that is certain now, and whether a stop text ended it.
func (t *textStream) push(id int32) (string, bool) {
	if t.stream == nil {
		return "", false
	}
	piece := t.stream.Push(id)
	if len(t.stops) == 0 {
		return piece, false
	}
	t.held += piece
	if i := t.find(); i >= 0 {
		out := t.held[:i]
		t.held = ""
		return out, true
	}
	keep := t.partial()
	out := t.held[:len(t.held)-keep]
	t.held = t.held[len(out):]
	return out, false
}

// flush returns what was held back: nothing more will come.
func (t *textStream) flush() string {
	if t.stream == nil {
		return ""
	}
	out := t.held + t.stream.Flush()
	t.held = ""
	return out
}

// find returns where the first stop text begins, or -1.
func (t *textStream) find() int {
	first := -1
	for _, s := range t.stops {
		if i := strings.Index(t.held, s); i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	return first
}

// partial returns how many bytes at the end may be the beginning of a stop text.
func (t *textStream) partial() int {
	longest := 0
	for _, s := range t.stops {
		for n := min(len(s)-1, len(t.held)); n > longest; n-- {
			if strings.HasSuffix(t.held, s[:n]) {
				longest = n
			}
		}
	}
	return longest
}
