// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"strings"

	"github.com/rivo/uniseg"
)

// flow prints text as it comes and breaks lines between words. It holds the last word back until it is whole; without a width it holds nothing.
type flow struct {
	screen *screen
	width  int
	column int
	spaces int
	word   strings.Builder
}

func newFlow(s *screen) *flow { return &flow{screen: s, width: s.width()} }

func (f *flow) write(text string) {
	if f.width == 0 {
		f.screen.model(text)
		return
	}
	for _, r := range text {
		switch r {
		case '\n':
			f.flush()
			f.screen.print("\n")
			f.column, f.spaces = 0, 0
		case ' ':
			f.flush()
			f.spaces++
		default:
			f.word.WriteRune(r)
		}
	}
	if f.word.Len() > f.width { // a script without spaces
		f.flush()
	}
}

// flush prints the word, on a new line where it does not fit on this one.
func (f *flow) flush() {
	if f.word.Len() == 0 {
		return
	}
	word := f.word.String()
	f.word.Reset()
	columns := uniseg.StringWidth(word)
	if f.column > 0 && f.column+f.spaces+columns >= f.width {
		f.screen.print("\n")
		f.column, f.spaces = 0, 0
	}
	f.screen.model(strings.Repeat(" ", f.spaces) + word)
	f.column, f.spaces = (f.column+f.spaces+columns)%f.width, 0
}
