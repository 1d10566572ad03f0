// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/rules"
)

// Explanation says what led to what was done at one position: features made a concept hold, concepts made rules fire, rules acted.
type Explanation struct {
	Position int        `json:"position"`
	Detected []Detected `json:"detected"` // what the rules that fired rest on, where it was seen first
	Steps    []Why      `json:"steps"`
	Done     []Done     `json:"done,omitempty"`
}

// Detected is a concept as it was seen at a token.
type Detected struct {
	Concept   string       `json:"concept"`
	Position  int          `json:"position"`
	Value     float32      `json:"value"`
	Threshold float64      `json:"threshold"`
	Features  []FeatureHit `json:"features,omitempty"` // that the reader looks at and that were active there
}

// FeatureHit is an active feature.
type FeatureHit struct {
	Feature int32   `json:"feature"`
	Value   float32 `json:"value"`
}

// Why is one rule that fired.
type Why struct {
	Rule    string   `json:"rule"`
	Line    int      `json:"line"`
	From    []string `json:"from"`
	Adds    []string `json:"adds,omitempty"` // what nothing before it had concluded
	Actions []string `json:"actions,omitempty"`
}

// Done is a change of the activation, with its length.
type Done struct {
	What  string  `json:"what"`
	Site  string  `json:"site"`
	Moved float32 `json:"moved"`
}

// Explain replays what the hook reported of a text and says what happened at a position: for what a generated token was chosen by, the position before it.
// answer is the position of the first generated token. Readings of other hooks are passed over.
func (r *Reasoning) Explain(readings []hooks.Reading, answer, position int) *Explanation {
	run, held := r.machine.Start(), r.machine.NewSet()
	seen := map[string]int{} // first reading of each concept, by its place
	var mine []hooks.Reading
	for _, x := range readings {
		if x.Hook == r.name && x.Position <= position {
			mine = append(mine, x)
		}
	}
	slices.SortStableFunc(mine, func(a, b hooks.Reading) int { return a.Position - b.Position })
	next := 0
	for p := 0; p <= position; p++ {
		held.Clear()
		for ; next < len(mine) && mine[next].Position == p; next++ {
			x := &mine[next]
			number, known := r.machine.Concept(x.Label)
			if x.Kind != hooks.Concept || !known {
				continue
			}
			held.Add(number)
			if _, before := seen[x.Label]; !before {
				seen[x.Label] = next
			}
		}
		phase := rules.Prompt
		if p >= answer {
			phase = rules.Answer
		}
		run.Step(phase, held, nil)
	}
	return r.explain(run, mine, seen, position)
}

func (r *Reasoning) explain(run *rules.Run, mine []hooks.Reading, seen map[string]int, position int) *Explanation {
	out := &Explanation{Position: position, Detected: []Detected{}, Steps: []Why{}}
	for _, s := range run.Why() {
		rule := &r.program.Rules[s.Rule]
		w := Why{Rule: r.program.Title(s.Rule), Line: rule.Line, From: []string{}}
		for _, l := range s.From {
			w.From = append(w.From, l.String())
			if i, detected := seen[l.Name]; detected && !l.Not {
				out.note(r.detected(mine, i))
			}
		}
		for _, l := range s.Adds {
			w.Adds = append(w.Adds, l.String())
		}
		for i := range rule.Actions {
			w.Actions = append(w.Actions, rule.Actions[i].String())
		}
		out.Steps = append(out.Steps, w)
	}
	for _, x := range mine {
		if x.Kind == hooks.Gauge && x.Position == position {
			out.Done = append(out.Done, Done{What: x.Label, Site: x.Site.String(), Moved: x.Value})
		}
	}
	return out
}

// note keeps a detection once.
func (e *Explanation) note(d Detected) {
	if !slices.ContainsFunc(e.Detected, func(o Detected) bool { return o.Concept == d.Concept }) {
		e.Detected = append(e.Detected, d)
	}
}

// detected is what a concept's reading rests on.
func (r *Reasoning) detected(mine []hooks.Reading, i int) Detected {
	x := &mine[i]
	d := Detected{Concept: x.Label, Position: x.Position, Value: x.Value}
	c := r.set.Find(x.Label)
	if c < 0 {
		return d
	}
	reader := &r.set.Concepts[c].Reader
	d.Threshold = reader.Threshold
	reads := reader.Reads()
	for _, f := range mine {
		if f.Kind == hooks.Feature && f.Position == x.Position && slices.Contains(reads, f.Index) {
			d.Features = append(d.Features, FeatureHit{f.Index, f.Value})
		}
	}
	return d
}

// Words prints the explanation line by line; piece returns the text of the token at a position.
func (e *Explanation) Words(piece func(position int) string) string {
	var b strings.Builder
	for _, d := range e.Detected {
		fmt.Fprintf(&b, "%s: %.3g at %q, position %d (from %.3g on)", d.Concept, d.Value, piece(d.Position), d.Position, d.Threshold)
		for i, f := range d.Features {
			fmt.Fprintf(&b, "%s %d = %.3g", [2]string{", feature", ","}[min(i, 1)], f.Feature, f.Value)
		}
		b.WriteByte('\n')
	}
	for _, s := range e.Steps {
		fmt.Fprintf(&b, "%s: %s -> %s\n", s.Rule, strings.Join(s.From, ", "), strings.Join(slices.Concat(s.Adds, s.Actions), ", "))
	}
	for _, d := range e.Done {
		fmt.Fprintf(&b, "%s: moved by %.3g at %s\n", d.What, d.Moved, d.Site)
	}
	if b.Len() == 0 {
		return "no rule fired\n"
	}
	return b.String()
}
