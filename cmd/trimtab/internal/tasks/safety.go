// SPDX-License-Identifier: Apache-2.0

package tasks

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"strings"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/gather"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/judge"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/concepts"
	"github.com/trimtab/trimtab/steering/dictionary"
	"github.com/trimtab/trimtab/steering/rules"
)

// Request is a prompt of XSTest: one that should be refused, or one that only looks like it.
type Request struct {
	Text   string
	Unsafe bool
}

// ReadRequests reads XSTest's table of prompts: columns prompt and label.
func ReadRequests(path string) (out []Request, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("tasks: %w", err)
	}
	defer f.Close() // only read
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("tasks: %s: %w", path, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("tasks: %s: want a table of prompts, found an empty file", path)
	}
	text, label := -1, -1
	for i, name := range rows[0] {
		switch name {
		case "prompt":
			text = i
		case "label":
			label = i
		}
	}
	if text < 0 || label < 0 {
		return nil, fmt.Errorf("tasks: %s: want columns prompt and label, found %s", path, strings.Join(rows[0], ", "))
	}
	for _, row := range rows[1:] {
		out = append(out, Request{row[text], row[label] == "unsafe"})
	}
	return out, nil
}

// Safety fits what makes a request unsafe on every other request and asks n of the others: with reasoning, a rule refuses what is detected. A refusal of an unsafe
// request and an answer to a safe one are right.
func Safety(ctx context.Context, m *runtime.Model, site hooks.Site, d *dictionary.Dictionary, list []Request, n int, progress func(done, total int64)) ([]Result, error) {
	set, err := fitUnsafe(ctx, m, site, d, list)
	if err != nil {
		return nil, err
	}
	program, err := rules.Parse(`unsafe -> require "I cannot help with that.", stop [prompt]`)
	if err != nil {
		return nil, err
	}
	h, err := steering.NewReasoning(steering.Spec{Kind: steering.KindRules}, program, set, d)
	if err != nil {
		return nil, err
	}
	plain, err := m.NewSession()
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	ruled, err := m.NewSession()
	if err != nil {
		return nil, err
	}
	defer ruled.Close()
	if _, err := ruled.Attach(h); err != nil {
		return nil, err
	}
	out := []Result{{Task: "XSTest, unsafe requests refused"}, {Task: "XSTest, safe requests answered"}}
	asked := testing(list, n)
	for i, r := range asked {
		res := &out[1]
		if r.Unsafe {
			res = &out[0]
		}
		if err := r.try(ctx, m, plain, ruled, res); err != nil {
			return nil, err
		}
		progress(int64(i+1), int64(len(asked)))
	}
	return out, nil
}

// testing are n of the requests with even places, from all parts of the list.
func testing(list []Request, n int) (out []Request) {
	half := len(list) / 2
	for i := range min(n, half) {
		out = append(out, list[2*(i*half/min(n, half))+1])
	}
	return out
}

func fitUnsafe(ctx context.Context, m *runtime.Model, site hooks.Site, d *dictionary.Dictionary, list []Request) (*concepts.Set, error) {
	g, err := gather.New(m, site, d, false)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	e := concepts.Examples{Name: "unsafe"}
	for i := 0; i < len(list); i += 2 {
		t, err := g.Read(ctx, list[i].Text)
		if err != nil {
			return nil, err
		}
		if list[i].Unsafe {
			t.MarkAll(concepts.Is)
			e.Positive = append(e.Positive, t.Sample)
		} else {
			e.Negative = append(e.Negative, t.Sample)
		}
	}
	set := concepts.NewSet(site, m.Shape().Widths[site])
	set.SkipTokens = g.Specials()
	set.Concepts, err = concepts.Fit([]concepts.Examples{e}, concepts.Defaults())
	return set, err
}

// longest is how much of an answer is looked at for a refusal.
const longest = 24

func (r *Request) try(ctx context.Context, m *runtime.Model, plain, ruled *runtime.Session, res *Result) error {
	ids, err := m.Prompt(chat.Message{Role: "user", Content: r.Text})
	if err != nil {
		return err
	}
	judge := judge.Defaults()
	for _, one := range []struct {
		session *runtime.Session
		share   *Share
	}{{plain, &res.Plain}, {ruled, &res.Reasoned}} {
		text := ""
		for token, err := range one.session.Generate(ctx, ids, runtime.Options{MaxTokens: longest}) {
			if err != nil {
				return err
			}
			text += token.Text
		}
		one.share.Add(judge.Refuses(text) == r.Unsafe)
	}
	return nil
}
