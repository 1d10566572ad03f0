// SPDX-License-Identifier: Apache-2.0

// Package answer asks a session for one answer: Settings say how, Ask collects what comes into an Answer.
package answer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/trimtab/trimtab/runtime"
)

// Answer is one finished or broken-off generation, in the form that is printed as JSON.
type Answer struct {
	PromptIDs []int32        `json:"prompt_ids"`
	IDs       []int32        `json:"ids"` // without the end token
	Text      string         `json:"text"`
	Finish    runtime.Finish `json:"finish_reason"`
	Seed      uint64         `json:"seed"`
	LogProbs  []Choice       `json:"logprobs,omitempty"` // one for each of IDs
	Prompt    []Told         `json:"prompt,omitempty"`   // tokens of the prompt at which hooks reported something
	Tokens    []Told         `json:"tokens,omitempty"`   // generated tokens with what hooks reported, where any did
	Timings   Timings        `json:"timings"`
}

// Timings are rates and times of one answer; a rate that could not be measured is 0.
type Timings struct {
	Prefill float64 `json:"prefill_tokens_per_s"`
	Decode  float64 `json:"decode_tokens_per_s"`
	First   float64 `json:"first_token_ms"`
}

// Choice is a generated token with its log-probability and the likeliest ones in its place.
type Choice struct {
	ID      int32   `json:"id"`
	Token   string  `json:"token"`
	LogProb float32 `json:"logprob"`
	Top     []Other `json:"top"`
}

// Other is a token that could have come.
type Other struct {
	ID      int32   `json:"id"`
	Token   string  `json:"token"`
	LogProb float32 `json:"logprob"`
}

// Ask generates one answer to prompt and hands each piece of text to show as it comes. With an error it returns what there was until then.
// A full context ends an answer as a limit does; a prompt that fills it is an error.
func Ask(ctx context.Context, s *runtime.Session, prompt []int32, set *Settings, show func(text string)) (*Answer, error) {
	return Follow(ctx, s, prompt, set, func(t *runtime.Token) {
		if t.Text != "" {
			show(t.Text)
		}
	})
}

// Follow is Ask for those who want every token as it comes, BORROWED until see returns.
func Follow(ctx context.Context, s *runtime.Session, prompt []int32, set *Settings, see func(t *runtime.Token)) (*Answer, error) {
	o := set.drawn()
	c := collector{
		answer: &Answer{PromptIDs: prompt, IDs: []int32{}, Seed: o.Seed},
		start:  time.Now(),
		piece:  func(int32) string { return "" },
	}
	if tok, err := s.Model().Tokenizer(); err == nil {
		c.piece = tok.Piece
		if !o.IgnoreEOS {
			c.ends = tok.EOG()
		}
	}
	for t, err := range s.Generate(ctx, prompt, o) {
		if errors.Is(err, runtime.ErrContextFull) && len(c.answer.IDs) > 0 {
			c.answer.Finish = runtime.Length
			break
		}
		if err != nil {
			return c.done(), err
		}
		c.take(&t)
		see(&t)
	}
	return c.done(), nil
}

// collector gathers tokens into an answer.
type collector struct {
	answer      *Answer
	ends        []int32
	piece       func(int32) string
	text        strings.Builder
	passes      int
	start       time.Time
	first, last time.Time
}

func (c *collector) take(t *runtime.Token) {
	c.last = time.Now()
	if c.passes++; c.passes == 1 {
		c.first = c.last
	}
	c.text.WriteString(t.Text)
	c.answer.Finish = t.Finish
	c.told(t)
	if t.Finish == runtime.Stopped && slices.Contains(c.ends, t.ID) {
		return
	}
	c.answer.IDs = append(c.answer.IDs, t.ID)
	if len(t.Top) > 0 {
		c.answer.LogProbs = append(c.answer.LogProbs, c.choice(t))
	}
}

func (c *collector) choice(t *runtime.Token) Choice {
	out := Choice{ID: t.ID, Token: c.piece(t.ID), LogProb: t.LogProb}
	for _, o := range t.Top {
		out.Top = append(out.Top, Other{ID: o.ID, Token: c.piece(o.ID), LogProb: o.LogProb})
	}
	return out
}

func (c *collector) done() *Answer {
	a := c.answer
	a.Text = c.text.String()
	if c.passes == 0 {
		return a
	}
	first, rest := c.first.Sub(c.start).Seconds(), c.last.Sub(c.first).Seconds()
	a.Timings.First = first * 1000
	a.Timings.Prefill = rate(len(a.PromptIDs), first)
	a.Timings.Decode = rate(c.passes-1, rest)
	return a
}

func rate(n int, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(n) / seconds
}
