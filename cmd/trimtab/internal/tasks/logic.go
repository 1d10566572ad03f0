// SPDX-License-Identifier: Apache-2.0

package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/gather"
	"github.com/trimtab/trimtab/steering/concepts"
	"github.com/trimtab/trimtab/steering/rules"
)

// Problem is one of PrOntoQA as Logic-LLM has it.
type Problem struct {
	Context     string   `json:"context"`
	Question    string   `json:"question"`
	Answer      string   `json:"answer"`      // A is true, B is false
	Explanation []string `json:"explanation"` // what is given, then a rule and what follows from it, in turn
}

// ReadProblems reads a file of problems.
func ReadProblems(path string) ([]Problem, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("tasks: %w", err)
	}
	var out []Problem
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, fmt.Errorf("tasks: %s: want problems of PrOntoQA as Logic-LLM has them: %w", path, err)
	}
	return out, nil
}

const question = "Is the following statement true or false? "

// hop returns a question that takes a number of rules: the problem's own where that is all of them, else one about a step on the way, which every other time is
// turned around.
func (p *Problem) hop(n, turn int) (ask string, is bool, ok bool) {
	last := len(p.Explanation) / 2
	if n == last {
		return p.Question, p.Answer == "A", true
	}
	if n > last || 2*n >= len(p.Explanation) {
		return "", false, false
	}
	statement := p.Explanation[2*n]
	if turn%2 == 0 {
		return question + statement, true, true
	}
	if strings.Contains(statement, " is not ") {
		return question + strings.Replace(statement, " is not ", " is ", 1), false, true
	}
	return question + strings.Replace(statement, " is ", " is not ", 1), false, true
}

// Logic asks n problems of each number of hops. Propositions are the nouns that a statement says somebody is; they are fitted on other problems.
func Logic(ctx context.Context, c *Chooser, d *Detector, list []Problem, n int, progress func(done, total int64)) ([]Result, error) {
	const fitted = 30
	if len(list) < fitted+n {
		return nil, fmt.Errorf("tasks: want at least %d problems, found %d", fitted+n, len(list))
	}
	if err := d.fitNouns(ctx, list[:fitted]); err != nil {
		return nil, err
	}
	out := []Result{}
	for _, hops := range []int{1, 3, 5} {
		out = append(out, Result{Task: fmt.Sprintf("PrOntoQA, %d hops", hops), Chance: "1/2"})
	}
	for i := range list[fitted:][:n] {
		p := &list[fitted+i]
		for j, hops := range []int{1, 3, 5} {
			ask, is, ok := p.hop(hops, i)
			if !ok {
				continue
			}
			if err := p.try(ctx, c, d, &out[j], ask, is); err != nil {
				return nil, err
			}
			progress(int64(3*i+j+1), int64(3*n))
		}
	}
	return out, nil
}

// try puts one question.
func (p *Problem) try(ctx context.Context, c *Chooser, d *Detector, r *Result, ask string, is bool) error {
	text := p.Context + " " + ask + " Answer with True or False."
	want := 1
	if is {
		want = 0
	}
	plain, err := c.Plain(ctx, text)
	if err != nil {
		return err
	}
	r.Plain.Add(plain == want)
	program, err := rules.FromEnglish(p.Context)
	if err != nil {
		return err
	}
	read, err := p.conclude(program, ask, "")
	if err != nil {
		return err
	}
	choice, err := c.follow(ctx, text, read, plain)
	if err != nil {
		return err
	}
	r.Read.Add(choice == want)
	given := p.Explanation[0]
	nouns, err := d.detect(ctx, p.Context, [][]gather.Span{lastNoun(p.Context, given)}, false)
	if err != nil {
		return err
	}
	r.Detected.Add(nouns[0] != "" && strings.Contains(given, nouns[0]))
	without, err := rules.FromEnglish(strings.Replace(p.Context, given, "", 1))
	if err != nil {
		return err
	}
	seen, err := p.conclude(without, ask, nouns[0])
	if err != nil {
		return err
	}
	if choice, err = c.follow(ctx, text, seen, plain); err != nil {
		return err
	}
	r.Reasoned.Add(choice == want)
	return nil
}

// conclude answers a question from a program; where it does not say what the subject is, a detected noun does.
func (p *Problem) conclude(program *rules.Program, ask, noun string) (rules.Value, error) {
	m, err := program.Compile(program.World)
	if err != nil {
		return rules.Unknown, err
	}
	q, err := rules.ParseQuestion(ask)
	if err != nil {
		return rules.Unknown, err
	}
	if noun != "" {
		q.Subject = noun
	}
	return m.Ask(q), nil
}

// follow pushes what was concluded; of what is unknown the model's own choice stays.
func (c *Chooser) follow(ctx context.Context, text string, v rules.Value, plain int) (int, error) {
	switch v {
	case rules.True:
		return c.Pushed(ctx, text, 0)
	case rules.False:
		return c.Pushed(ctx, text, 1)
	}
	return plain, nil
}

// lastNoun is where the noun of a statement ends in its context.
func lastNoun(context, statement string) []gather.Span {
	at := strings.Index(context, statement)
	end := at + strings.LastIndexAny(statement, ".")
	from := at + strings.LastIndexByte(statement, ' ') + 1
	return []gather.Span{{From: from, To: end}}
}

// fitNouns makes a concept of every noun of some problems: what ends in mpus or mpuses.
func (d *Detector) fitNouns(ctx context.Context, list []Problem) error {
	pattern := regexp.MustCompile(`(?i)\b([a-z]*mpus)(es)?\b`)
	var texts []marked
	var names []string
	for i := range list {
		m := marked{text: list[i].Context, spans: map[string][]gather.Span{}}
		for _, at := range pattern.FindAllStringSubmatchIndex(m.text, -1) {
			name := strings.ToLower(m.text[at[2]:at[3]])
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
			m.spans[name] = append(m.spans[name], gather.Span{From: at[2], To: at[3]})
		}
		texts = append(texts, m)
	}
	slices.Sort(names)
	o := concepts.Defaults()
	o.Mode = concepts.Word
	return d.fit(ctx, names, texts, o, false)
}
