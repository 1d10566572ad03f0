// SPDX-License-Identifier: Apache-2.0

package stimuli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/trimtab/trimtab/models/chat"
)

// UnmarshalJSON reads a string, or an object with one of prompt, messages and ids.
func (t *Text) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte(`"`)) {
		return json.Unmarshal(data, &t.Plain)
	}
	type plain Text
	if err := json.Unmarshal(data, (*plain)(t)); err != nil {
		return err
	}
	n := 0
	for _, given := range []bool{t.Plain != nil, t.Messages != nil, t.IDs != nil} {
		if given {
			n++
		}
	}
	if n != 1 {
		return errors.New("want a text, or an object with one of prompt, messages and ids")
	}
	return nil
}

// UnmarshalJSON reads {positive, negative}, both texts; {prompt, positive, negative}, where the two are answers to the prompt; or what CAA's data sets have:
// {question, answer_matching_behavior, answer_not_matching_behavior}.
func (p *Pair) UnmarshalJSON(data []byte) error {
	var raw struct {
		Positive, Negative json.RawMessage
		Prompt, Question   *string
		Matching           *string `json:"answer_matching_behavior"`
		Other              *string `json:"answer_not_matching_behavior"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	switch {
	case raw.Question != nil && raw.Matching != nil && raw.Other != nil:
		p.answers(*raw.Question, *raw.Matching, *raw.Other)
		return nil
	case raw.Positive == nil || raw.Negative == nil:
		return errors.New("want positive and negative, or question, answer_matching_behavior and answer_not_matching_behavior")
	case raw.Prompt == nil:
		return errors.Join(json.Unmarshal(raw.Positive, &p.Positive), json.Unmarshal(raw.Negative, &p.Negative))
	}
	var a, b string
	if err := errors.Join(json.Unmarshal(raw.Positive, &a), json.Unmarshal(raw.Negative, &b)); err != nil {
		return err
	}
	p.answers(*raw.Prompt, a, b)
	return nil
}

func (p *Pair) answers(prompt, a, b string) {
	asked := []chat.Message{{Role: "user", Content: prompt}}
	p.Positive, p.Negative = Text{Messages: asked, Answer: a}, Text{Messages: asked, Answer: b}
}

// Texts reads a file of texts of one kind: a JSON list, JSON lines, or else a text a line.
func Texts(path string) ([]Text, error) {
	if ext := filepath.Ext(path); ext == ".json" || ext == ".jsonl" {
		return readJSON[Text](path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []Text
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimRight(line, "\r\n"); strings.TrimSpace(line) != "" {
			out = append(out, Text{Plain: &line})
		}
	}
	return some(out, path)
}

// Pairs reads a file of pairs: a JSON list or JSON lines.
func Pairs(path string) ([]Pair, error) { return readJSON[Pair](path) }

// readJSON reads a list, or values one behind the other.
func readJSON[T any](path string) ([]T, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []T
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		if err := json.Unmarshal(data, &out); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return some(out, path)
	}
	for d := json.NewDecoder(bytes.NewReader(data)); d.More(); {
		var one T
		if err := d.Decode(&one); err != nil {
			return nil, fmt.Errorf("%s: entry %d: %w", path, len(out)+1, err)
		}
		out = append(out, one)
	}
	return some(out, path)
}

func some[T any](list []T, path string) ([]T, error) {
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: want at least one text, found none", path)
	}
	return list, nil
}
