// SPDX-License-Identifier: Apache-2.0

// Package tasks puts a model through the tasks that ActivationReasoning was tried on, plain and with reasoning: logic problems, flags told from wagons, and
// questions that should or should not be refused.
//
// In each task texts become propositions, rules draw the conclusion, and the answer is pushed: a direction that was fitted on prompts that ask for a word is
// promoted in the last token of the prompt. What is compared is which of the possible answers the model finds likeliest as its first token.
package tasks

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/gather"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/models/tokenizer"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/concepts"
	"github.com/trimtab/trimtab/steering/rules"
)

// Chooser asks a model questions whose answer is one of some words.
type Chooser struct {
	model  *runtime.Model
	tok    tokenizer.Tokenizer
	words  []string
	first  []int32 // token of each word
	levers []*steering.Reasoning
	plain  *runtime.Session
	pushed *runtime.Session
	logits []float32
}

// templates ask for a word; the direction of a word is what they have in common when they ask for it rather than for another.
func templates() []string {
	return []string{
		"Say the word %s.", "Repeat after me: %s", "Answer with the word %s.", "Reply only with %s.", "The answer is %s. What is the answer?",
		"Write %s and nothing else.", "Is it %[1]s? Yes, it is %[1]s. So what is it?", "Your answer must be %s.", "Please output %s.", "What comes after this: %[1]s, %[1]s, %[1]s,",
	}
}

// NewChooser fits a direction for each word at a site and makes ready to push it by a factor of the activation's norm.
func NewChooser(ctx context.Context, m *runtime.Model, words []string, site hooks.Site, factor float64) (*Chooser, error) {
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, err
	}
	c := &Chooser{model: m, tok: tok, words: words}
	for _, w := range words {
		id := tok.Encode(nil, w, false)[0]
		if slices.Contains(c.first, id) {
			return nil, fmt.Errorf("tasks: want answers that begin with different tokens, found %q with the one of another", w)
		}
		c.first = append(c.first, id)
	}
	set, err := c.fit(ctx, site)
	if err != nil {
		return nil, err
	}
	for _, w := range words {
		program, err := rules.Parse(fmt.Sprintf("true -> promote %s *%g", strconv.Quote(w), factor))
		if err != nil {
			return nil, err
		}
		h, err := steering.NewReasoning(steering.Spec{Kind: steering.KindRules}, program, set, nil)
		if err != nil {
			return nil, err
		}
		c.levers = append(c.levers, h)
	}
	return c, c.open()
}

// fit makes the words' directions.
func (c *Chooser) fit(ctx context.Context, site hooks.Site) (*concepts.Set, error) {
	g, err := gather.New(c.model, site, nil, true)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	read := make([][]*gather.Text, len(c.words))
	for i, w := range c.words {
		for _, t := range templates() {
			ids, err := c.prompt(fmt.Sprintf(t, w))
			if err != nil {
				return nil, err
			}
			one, err := g.ReadIDs(ctx, ids)
			if err != nil {
				return nil, err
			}
			read[i] = append(read[i], one)
		}
	}
	list := make([]concepts.Examples, len(c.words))
	for i, w := range c.words {
		list[i].Name = w
		for j := range read {
			for _, t := range read[j] {
				one, mark := t.Clone(), concepts.Not
				if i == j {
					mark = concepts.Is
				}
				for p := range one.Sample {
					one.Sample[p].Mark = concepts.Skip
				}
				one.Sample[len(one.Sample)-1].Mark = mark
				if i == j {
					list[i].Positive = append(list[i].Positive, one.Sample)
				} else {
					list[i].Negative = append(list[i].Negative, one.Sample)
				}
			}
		}
	}
	o := concepts.Defaults()
	o.Kind, o.Mode = concepts.Direction, concepts.Position
	set := concepts.NewSet(site, c.model.Shape().Widths[site])
	set.Concepts, err = concepts.Fit(list, o)
	return set, err
}

func (c *Chooser) open() (err error) {
	if c.plain, err = c.model.NewSession(); err != nil {
		return err
	}
	c.pushed, err = c.model.NewSession()
	return err
}

// Close gives the sessions back.
func (c *Chooser) Close() {
	c.plain.Close()
	c.pushed.Close()
}

// prompt renders a message up to where the model answers.
func (c *Chooser) prompt(message string) ([]int32, error) {
	return c.model.Prompt(chat.Message{Role: "user", Content: message})
}

// Plain returns the word that the model finds likeliest.
func (c *Chooser) Plain(ctx context.Context, message string) (int, error) {
	return c.choose(ctx, c.plain, message)
}

// Pushed is Plain with a word promoted.
func (c *Chooser) Pushed(ctx context.Context, message string, word int) (int, error) {
	at, err := c.pushed.Attach(c.levers[word])
	if err != nil {
		return 0, err
	}
	choice, err := c.choose(ctx, c.pushed, message)
	if err != nil {
		return 0, err
	}
	return choice, c.pushed.Detach(at)
}

func (c *Chooser) choose(ctx context.Context, s *runtime.Session, message string) (int, error) {
	ids, err := c.prompt(message)
	if err != nil {
		return 0, err
	}
	watch, err := s.Attach(hooks.HookFunc(func(*hooks.Shape) (hooks.Plan, error) {
		return hooks.Plan{Taps: []hooks.Tap{{Name: "choice", Site: hooks.Once(hooks.Logits), ReadOnly: true, Func: func(a *hooks.Activation) error {
			c.logits = append(c.logits[:0], a.Row(len(a.Rows)-1)...)
			return nil
		}}}}, nil
	}))
	if err != nil {
		return 0, err
	}
	for _, err := range s.Generate(ctx, ids, runtime.Options{MaxTokens: 1, IgnoreEOS: true}) {
		if err != nil {
			return 0, err
		}
	}
	if err := s.Detach(watch); err != nil {
		return 0, err
	}
	best, top := 0, math.Inf(-1)
	for i, id := range c.first {
		if v := float64(c.logits[id]); v > top {
			best, top = i, v
		}
	}
	return best, nil
}
