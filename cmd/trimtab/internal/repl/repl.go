// SPDX-License-Identifier: Apache-2.0

// Package repl is the chat: it reads messages and commands from a terminal or a pipe, answers, and steers.
//
// A chat holds one session with the steerings of the user attached, and a conversation. A line that begins with a slash is a command of
// the table in command.go; everything else is a message. In a pipe there are no prompts and no escape codes: answers and what was asked
// for go to the output, notes to the error stream, and the first error ends the chat.
package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/pflag"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/dose"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/receipt"
	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/models/tokenizer"
	"github.com/trimtab/trimtab/runtime"
)

// Config is how a chat begins.
type Config struct {
	In       io.Reader
	Out, Err io.Writer
	Settings answer.Settings
	Steer    []string // specs
	System   string
	Limits   dose.Limits
	Receipt  *receipt.Recorder // nil: no receipt was asked for
	Unproved bool              // steering is attached without trying it out
}

// Chat is one running chat; it belongs to one goroutine.
type Chat struct {
	model    *runtime.Model
	tok      tokenizer.Tokenizer
	template *chat.Template
	screen   *screen
	settings answer.Settings
	flags    *pflag.FlagSet // bound to settings
	talk     conversation
	rig      *rig
	view     expertView
	receipt  *receipt.Recorder
}

// Run chats until the input ends or the user leaves.
func Run(ctx context.Context, m *runtime.Model, cfg Config) error {
	c := &Chat{model: m, settings: cfg.Settings, talk: conversation{system: cfg.System}, receipt: cfg.Receipt}
	c.flags = c.settings.Flags()
	var err error
	if c.template, err = m.Template(); err != nil {
		return err
	}
	if c.tok, err = m.Tokenizer(); err != nil {
		return err
	}
	c.screen = newScreen(cfg.In, cfg.Out, cfg.Err)
	if c.rig, err = newRig(m, rigging{cfg.Limits, cfg.Unproved}, cfg.Steer, nil); err != nil {
		return err
	}
	defer func() { c.rig.close() }()
	for _, s := range c.rig.steerings {
		c.screen.notes(s.notes())
	}
	in, err := newReader(c, cfg.In)
	if err != nil {
		return err
	}
	defer in.close()
	if c.screen.terminal {
		defer ignoreInterrupts()()
		c.screen.note(m.Shape().Model + ": /help lists the commands, Ctrl-D leaves")
	}
	return c.loop(ctx, in)
}

// ignoreInterrupts keeps a Ctrl-C between two inputs from ending the process.
func ignoreInterrupts() (stop func()) {
	swallow := make(chan os.Signal, 1)
	signal.Notify(swallow, os.Interrupt)
	return func() { signal.Stop(swallow) }
}

// errBye ends the chat.
var errBye = errors.New("bye")

func (c *Chat) loop(ctx context.Context, in reader) error {
	for {
		text, err := readBlock(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch err := c.obey(ctx, text); {
		case err == nil:
		case errors.Is(err, errBye):
			return nil
		case !c.screen.terminal:
			return err
		case errors.Is(err, context.Canceled):
			c.screen.note("stopped")
		default:
			c.screen.fail(err)
		}
	}
}

// obey carries out one input. Ctrl-C ends what it does.
func (c *Chat) obey(ctx context.Context, text string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	if strings.TrimSpace(text) == "" {
		return nil
	}
	if !strings.HasPrefix(text, "/") {
		return c.ask(ctx, unquote(text))
	}
	name, arg, _ := strings.Cut(strings.TrimPrefix(text, "/"), " ")
	for _, cmd := range commands() {
		if cmd.name == name || cmd.alias == name {
			return cmd.run(c, ctx, unquote(strings.TrimSpace(arg)))
		}
	}
	return fmt.Errorf("/%s: no such command; /help lists them, and a message that begins with a slash goes between three quotes", name)
}

// unquote takes the marks of a block off.
func unquote(text string) string {
	if len(text) < 2*len(block) || !strings.HasPrefix(text, block) || !strings.HasSuffix(text, block) {
		return text
	}
	return strings.Trim(text[len(block):len(text)-len(block)], "\n")
}
