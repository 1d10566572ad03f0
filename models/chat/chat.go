// SPDX-License-Identifier: Apache-2.0

// Package chat renders conversations through the Jinja chat templates that models carry.
//
// [Parse] reads a template once; [Template.Render] gives the prompt as text, [Template.Tokens] as ids in which no text of a
// message can be a special token. The environment is the one Hugging Face transformers renders in: trimmed blocks,
// raise_exception, strftime_now, tojson with Python's separators, bos_token and eos_token, and no access to files.
package chat

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// Options are what a template is told about the model and the day. The zero value works.
type Options struct {
	BOS, EOS string           // the texts of the tokens, for bos_token and eos_token
	Now      func() time.Time // for strftime_now; nil: time.Now
}

// Template is a parsed chat template. It may render in several goroutines at once.
type Template struct {
	options Options
	parsed  *exec.Template
	source  string
}

// RaisedError is what a template itself refuses, by raise_exception: a conversation that the model was not made for.
type RaisedError struct{ Message string }

func (e *RaisedError) Error() string { return "chat: the template refuses: " + e.Message }

// Parse reads a template's source.
func Parse(source string, o Options) (t *Template, err error) {
	defer recovered("parse", &err)
	if o.Now == nil {
		o.Now = time.Now
	}
	c := config.New()
	c.TrimBlocks, c.LeftStripBlocks = true, true
	parsed, err := exec.NewTemplate(rootName, c, sourceLoader(source), environment(o))
	if err != nil {
		return nil, fmt.Errorf("chat: parse template: %w", cutSource(err, source))
	}
	return &Template{options: o, parsed: parsed, source: source}, nil
}

// Render returns the prompt. With addGenerationPrompt it ends where the assistant's reply begins. Of vars, tools and documents
// are known to many templates; what is not given is None or undefined. A refusal by the template is a [*RaisedError].
func (t *Template) Render(messages []Message, addGenerationPrompt bool, vars ...Field) (string, error) {
	return t.render(messages, addGenerationPrompt, vars, guardNothing{})
}

func (t *Template) render(messages []Message, addGenerationPrompt bool, vars []Field, g guarder) (out string, err error) {
	defer recovered("render", &err)
	list := make([]any, len(messages))
	for i, m := range messages {
		list[i] = m.value(g)
	}
	raised := &RaisedError{}
	data := exec.NewContext(map[string]any{
		"messages":              list,
		"add_generation_prompt": addGenerationPrompt,
		"bos_token":             t.options.BOS,
		"eos_token":             t.options.EOS,
		"tools":                 nil,
		"documents":             nil,
		"raise_exception":       raiser(raised),
	})
	for _, v := range vars {
		data.Set(v.Name, toValue(v.Value, g))
	}
	var b strings.Builder
	err = t.parsed.Execute(&b, data)
	if raised.Message != "" {
		return "", raised
	}
	if err != nil {
		return "", fmt.Errorf("chat: render template: %w", err)
	}
	return b.String(), nil
}

// raiser is raise_exception of one rendering; the library wraps errors as text, so the message is kept aside.
func raiser(raised *RaisedError) func(message string) (string, error) {
	return func(message string) (string, error) {
		if raised.Message == "" {
			raised.Message = message
		}
		return "", raised
	}
}

// recovered turns the template library's panics into errors; it has some for templates that it cannot handle.
func recovered(doing string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("chat: %s template: the template library gave up: %v", doing, p)
	}
}

// cutSource drops the template's text, which the library puts whole into its parse errors.
func cutSource(err error, source string) error {
	return errors.New(strings.ReplaceAll(err.Error(), source, "..."))
}
