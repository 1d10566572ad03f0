// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// screen is where a chat prints. Only a terminal gets colours.
type screen struct {
	out, err io.Writer
	terminal bool
	colour   bool
}

func newScreen(in io.Reader, out, errs io.Writer) *screen {
	t := isTerminal(in) && isTerminal(out)
	return &screen{out: out, err: errs, terminal: t, colour: t && os.Getenv("NO_COLOR") == ""}
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// width is the number of columns; what is no terminal has none.
func (s *screen) width() int {
	f, ok := s.out.(*os.File)
	if !s.terminal || !ok {
		return 0
	}
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 80
	}
	return w
}

// Styles of text on a terminal (ECMA-48, select graphic rendition).
const (
	dim    = "2"
	red    = "31"
	yellow = "33"
	blue   = "34"
)

func (s *screen) paint(style, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// print shows what was asked for.
func (s *screen) print(text string) { io.WriteString(s.out, text) }

// println is print with a line's end.
func (s *screen) println(text string) { fmt.Fprintln(s.out, text) }

// model shows text of the model, which may not control the terminal.
func (s *screen) model(text string) {
	if s.terminal {
		text = strings.Map(harmless, text)
	}
	io.WriteString(s.out, text)
}

func harmless(r rune) rune {
	if (r < ' ' && r != '\n' && r != '\t') || (r >= 0x7f && r < 0xa0) {
		return '\uFFFD'
	}
	return r
}

// note tells what happened; it is no part of what a pipe asked for.
func (s *screen) note(text string) {
	if s.terminal {
		fmt.Fprintln(s.out, s.paint(dim, text))
		return
	}
	fmt.Fprintln(s.err, text)
}

func (s *screen) notes(list []string) {
	for _, text := range list {
		s.note(text)
	}
}

// fail shows an error on a terminal; the chat goes on.
func (s *screen) fail(err error) {
	fmt.Fprintln(s.out, s.paint(red, strings.ReplaceAll(err.Error(), "\n", "; ")))
}
