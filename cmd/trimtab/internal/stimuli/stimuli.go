// SPDX-License-Identifier: Apache-2.0

// Package stimuli turns texts of two kinds, from files or from built-in templates, into the tokens that steering vectors are fitted on.
package stimuli

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/models/tokenizer"
)

// Read says which tokens of a text are read.
type Read string

// The ways to read. Where several tokens are read, their mean counts.
const (
	Last   Read = "last"   // the last token
	Mean   Read = "mean"   // all but special ones and the first
	Answer Read = "answer" // the last token that has a letter or a digit: the A of "(A)"
	Suffix Read = "suffix" // what both texts of a pair end with, or the answer of a pair of a prompt and answers
)

// Reads are all of them.
func Reads() []Read { return []Read{Last, Mean, Answer, Suffix} }

// Text is one text before it is tokens.
type Text struct {
	Plain    *string        `json:"prompt"`   // as it stands, special tokens parsed
	Messages []chat.Message `json:"messages"` // through the template, before an answer
	IDs      []int32        `json:"ids"`
	Answer   string         `json:"-"` // what the model is made to say behind Messages
}

// Pair is a text of each kind.
type Pair struct{ Positive, Negative Text }

// Item is a text as tokens, with those that are read marked.
type Item struct {
	IDs  []int32
	Keep []bool
}

// Coder makes items; Template is nil for a model without one, whose conversations are their messages, a line each.
type Coder struct {
	Tok      tokenizer.Tokenizer
	Template *chat.Template
	Read     Read
	Chat     bool // plain texts are messages of a user
}

// One makes an item of a text that stands alone.
func (c *Coder) One(t Text) (Item, error) {
	ids, answer, err := c.tokens(t)
	if err != nil {
		return Item{}, err
	}
	if c.Read == Suffix && answer == 0 {
		return Item{}, fmt.Errorf("--read %s: want pairs, found texts that stand alone", Suffix)
	}
	return c.item(ids, answer)
}

// Both makes the items of a pair.
func (c *Coder) Both(p Pair) (positive, negative Item, err error) {
	a, answerA, err := c.tokens(p.Positive)
	if err != nil {
		return positive, negative, err
	}
	b, answerB, err := c.tokens(p.Negative)
	if err != nil {
		return positive, negative, err
	}
	if c.Read == Suffix && answerA == 0 {
		n := common(a, b)
		if n == 0 {
			return positive, negative, fmt.Errorf("--read %s: want texts of a pair with the same end, found none", Suffix)
		}
		answerA, answerB = len(a)-n, len(b)-n
	}
	if positive, err = c.item(a, answerA); err != nil {
		return positive, negative, err
	}
	negative, err = c.item(b, answerB)
	return positive, negative, err
}

// common counts the tokens that both end with.
func common(a, b []int32) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// tokens returns the ids of a text and where its answer begins, 0 where it has none.
func (c *Coder) tokens(t Text) (ids []int32, answer int, err error) {
	switch {
	case t.IDs != nil:
		return t.IDs, 0, nil
	case t.Plain != nil && !c.Chat:
		return c.plain(*t.Plain, true), 0, nil
	case t.Plain != nil:
		t.Messages = []chat.Message{{Role: "user", Content: *t.Plain}}
	}
	if c.Template == nil {
		ids = c.plain(spoken(t.Messages), false)
	} else if ids, err = c.Template.Tokens(nil, c.Tok, t.Messages, true); err != nil {
		return nil, 0, err
	}
	if t.Answer == "" {
		return ids, 0, nil
	}
	answer = len(ids)
	return c.Tok.Encode(ids, t.Answer, false), answer, nil
}

// plain are the tokens of a text behind the model's begin token, unless the text begins with a special one itself.
func (c *Coder) plain(text string, special bool) []int32 {
	ids := c.Tok.Encode(nil, text, special)
	if bos := c.Tok.BOS(); c.Tok.AddBOS() && bos >= 0 && (len(ids) == 0 || !c.Tok.Special(ids[0])) {
		ids = slices.Insert(ids, 0, bos)
	}
	return ids
}

// spoken is what stands for a conversation where a model has no template: its messages, a line each.
func spoken(list []chat.Message) string {
	var b strings.Builder
	for _, m := range list {
		b.WriteString(m.Content + "\n")
	}
	return b.String()
}

// item marks the tokens that are read.
func (c *Coder) item(ids []int32, answer int) (Item, error) {
	out := Item{IDs: ids, Keep: make([]bool, len(ids))}
	n := 0
	mark := func(i int) {
		out.Keep[i] = true
		n++
	}
	switch c.Read {
	case Last:
		if len(ids) > 0 {
			mark(len(ids) - 1)
		}
	case Mean:
		for i := 1; i < len(ids); i++ {
			if !c.Tok.Special(ids[i]) {
				mark(i)
			}
		}
	case Answer:
		for i := len(ids) - 1; i >= 0 && n == 0; i-- {
			if !c.Tok.Special(ids[i]) && strings.ContainsFunc(c.Tok.Piece(ids[i]), word) {
				mark(i)
			}
		}
	case Suffix:
		for i := answer; i < len(ids); i++ {
			mark(i)
		}
	}
	if n == 0 {
		return out, fmt.Errorf("--read %s: want a token to read, found none in %q", c.Read, c.Tok.Decode(ids))
	}
	return out, nil
}

func word(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
