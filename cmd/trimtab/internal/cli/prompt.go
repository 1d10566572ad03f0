// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/models/tokenizer"
)

// prompt is one of the three ways to say what a model continues.
type prompt struct {
	Text     *string        `json:"prompt"`   // as it stands; special tokens in it are parsed
	Messages []chat.Message `json:"messages"` // through the model's template
	IDs      []int32        `json:"ids"`
}

// texter is what turns text into tokens: a model on disk or an opened one.
type texter interface {
	Tokenizer() (tokenizer.Tokenizer, error)
	Template() (*chat.Template, error)
	Prompt(messages ...chat.Message) ([]int32, error)
}

// tokens returns the ids that the model is to continue.
func (p *prompt) tokens(m texter) ([]int32, error) {
	if p.Messages == nil && p.Text == nil {
		return p.IDs, nil
	}
	if p.Messages != nil {
		return m.Prompt(p.Messages...)
	}
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, err
	}
	return tok.Encode(nil, *p.Text, true), nil
}

func (p *prompt) check() error {
	n := 0
	for _, given := range []bool{p.Text != nil, p.Messages != nil, p.IDs != nil} {
		if given {
			n++
		}
	}
	if n != 1 {
		return errors.New("want one of messages, prompt and ids")
	}
	return nil
}

// promptFlags are --prompt, --messages and --ids, of which one must be given.
type promptFlags struct {
	text, messages, ids string
}

func (p *promptFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&p.text, "prompt", "", "text to continue, tokenised as it stands; special tokens in it are parsed")
	f.StringVar(&p.messages, "messages", "", "JSON file of messages, put through the model's chat template; - is standard input")
	f.StringVar(&p.ids, "ids", "", "token ids to continue, such as 1,2,3")
}

// names are the flags of which one must be given.
func (p *promptFlags) names() []string { return []string{"prompt", "messages", "ids"} }

// read returns what the flags ask for.
func (p *promptFlags) read(a *app, c *cobra.Command) (out prompt, err error) {
	switch {
	case c.Flags().Changed("prompt"):
		out.Text = &p.text
	case c.Flags().Changed("messages"):
		out.Messages, err = a.readMessages(p.messages)
	default:
		out.IDs, err = parseIDs(p.ids)
	}
	return out, err
}

func (a *app) readMessages(path string) ([]chat.Message, error) {
	data, err := a.readInput(path)
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	list := []chat.Message{}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("messages: %s: want a list of {role, content}: %w", path, err)
	}
	return list, nil
}

func parseIDs(list string) ([]int32, error) {
	out := []int32{}
	for _, part := range strings.Split(list, ",") {
		n, err := strconv.ParseInt(strings.TrimSpace(part), 10, 32)
		if err != nil {
			return nil, usageError{fmt.Errorf("--ids: want numbers such as 1,2,3, found %q", part)}
		}
		out = append(out, int32(n))
	}
	return out, nil
}

// readPrompts reads one prompt a line: a JSON object with messages, prompt or ids, or the text of a message, which goes through the model's template where it
// has one.
func (a *app) readPrompts(path string, m texter) (out [][]int32, err error) {
	data, err := a.readInput(path)
	if err != nil {
		return nil, err
	}
	_, none := m.Template()
	err = eachLine(bytes.NewReader(data), func() error { return nil }, func(line []byte) error {
		text := string(line)
		p := prompt{Text: &text}
		switch {
		case line[0] == '{':
			p = prompt{}
			if err := json.Unmarshal(line, &p); err != nil {
				return err
			}
		case none == nil:
			p = prompt{Messages: []chat.Message{{Role: "user", Content: text}}}
		}
		if err := p.check(); err != nil {
			return err
		}
		ids, err := p.tokens(m)
		out = append(out, ids)
		return err
	})
	return out, err
}
