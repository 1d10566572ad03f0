// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/judge"
	"github.com/trimtab/trimtab/runtime"
)

// question is a line of a file of prompts for the verbs about experts: a prompt, and what a right reply to it has.
type question struct {
	prompt
	Reference string   `json:"reference"` // a good reply; its tokens' loss is measured
	Keywords  []string `json:"keywords"`  // all of which a right reply has
	Topics    []string `json:"nouns"`     // which a right reply names
	ids       []int32
}

// readQuestions reads a JSONL file and turns its prompts into tokens; lines for which keep says no are left out.
func (a *app) readQuestions(path string, m texter) ([]question, error) {
	data, err := a.readInput(path)
	if err != nil {
		return nil, err
	}
	var out []question
	err = eachLine(bytes.NewReader(data), func() error { return nil }, func(line []byte) error {
		var q question
		if err := json.Unmarshal(line, &q); err != nil {
			return err
		}
		if err := q.check(); err != nil {
			return err
		}
		if q.ids, err = q.tokens(m); err != nil {
			return err
		}
		out = append(out, q)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: want at least one line with messages, prompt or ids, found none", path)
	}
	return out, nil
}

// ruleFlags say how a refusal is known.
type ruleFlags struct {
	rule  judge.Rule
	match string
}

func (r *ruleFlags) add(c *cobra.Command) {
	r.rule = judge.Defaults()
	f := c.Flags()
	f.StringSliceVar(&r.rule.Marks, "marks", r.rule.Marks, "words that make a reply a refusal")
	f.StringSliceVar(&r.rule.Fragments, "fragments", r.rule.Fragments, "words that make a reply without such marks a piece of a refusal")
	f.StringVar(&r.match, "match", "", "regular expression that makes a reply a refusal too")
}

func (r *ruleFlags) read() (*judge.Rule, error) {
	if r.match == "" {
		return &r.rule, nil
	}
	var err error
	if r.rule.Pattern, err = regexp.Compile(r.match); err != nil {
		return nil, usageError{fmt.Errorf("--match: %w", err)}
	}
	return &r.rule, nil
}

// greedy answers ids on a session that has forgotten what was before.
func greedy(ctx context.Context, s *runtime.Session, ids []int32, most int) (string, error) {
	s.Forget()
	set := answer.Settings{Fixed: true}
	set.MaxTokens, set.RepeatPenalty, set.RepeatLast = most, 1, 64
	got, err := answer.Ask(ctx, s, ids, &set, func(string) {})
	return got.Text, err
}
