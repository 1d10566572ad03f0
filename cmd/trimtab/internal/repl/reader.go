// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/chzyer/readline"
)

// reader hands out lines without their end. io.EOF ends the chat, errInterrupt drops what was begun.
type reader interface {
	line(more bool) (string, error) // more: the line continues a block
	close()
}

var errInterrupt = errors.New("interrupted")

// block marks the beginning and the end of a text of several lines.
const block = `"""`

// readBlock reads one input: a line, or lines up to the mark that closes a block.
func readBlock(in reader) (string, error) {
	text, err := in.line(false)
	for err == nil && strings.Count(text, block)%2 == 1 {
		var more string
		if more, err = in.line(true); errors.Is(err, io.EOF) {
			err = fmt.Errorf("the input ended inside a block: want a closing %s", block)
		}
		text += "\n" + more
	}
	if errors.Is(err, errInterrupt) {
		return "", nil
	}
	return strings.TrimSpace(text), err
}

// newReader returns a line editor on a terminal, else a plain reader.
func newReader(c *Chat, in io.Reader) (reader, error) {
	if !c.screen.terminal {
		return &pipe{bufio.NewReader(in)}, nil
	}
	rl, err := readline.NewEx(&readline.Config{
		HistoryFile:       historyFile(),
		HistorySearchFold: true,
		AutoComplete:      completer{c},
		InterruptPrompt:   "^C",
		EOFPrompt:         "\n",
	})
	if err != nil {
		return nil, fmt.Errorf("chat: line editor: %w", err)
	}
	return &editor{rl: rl}, nil
}

// historyFile is where lines are kept between chats, or "" where there is no place for it.
func historyFile() string {
	state := os.Getenv("XDG_STATE_HOME")
	if state == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		state = filepath.Join(home, ".local", "state")
	}
	dir := filepath.Join(state, "trimtab")
	if os.MkdirAll(dir, 0o700) != nil {
		return ""
	}
	return filepath.Join(dir, "history")
}

// pipe reads from what is no terminal.
type pipe struct{ r *bufio.Reader }

func (p *pipe) line(bool) (string, error) {
	text, err := p.r.ReadString('\n')
	if errors.Is(err, io.EOF) && text != "" {
		err = nil
	}
	return strings.TrimRight(text, "\r\n"), err
}

func (p *pipe) close() {}

// editor reads from a terminal.
type editor struct {
	rl      *readline.Instance
	leaving bool // the last key was Ctrl-C at an empty prompt
}

func (e *editor) line(more bool) (string, error) {
	e.rl.SetPrompt(">>> ")
	if more {
		e.rl.SetPrompt("... ")
	}
	text, err := e.rl.Readline()
	if !errors.Is(err, readline.ErrInterrupt) {
		e.leaving = false
		return text, err
	}
	if e.leaving && text == "" {
		return "", io.EOF
	}
	e.leaving = text == "" && !more
	if e.leaving {
		fmt.Fprintln(e.rl.Stdout(), "Ctrl-C once more, or Ctrl-D, leaves")
	}
	return "", errInterrupt
}

func (e *editor) close() { e.rl.Close() }
