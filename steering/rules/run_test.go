// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestScopes feeds a text of one concept or none a token and looks at which tokens a rule fires. A bar stands before the answer.
func TestScopes(t *testing.T) {
	for _, tc := range []struct{ name, src, text, fires string }{
		{"any, both", "a -> stop", ". a .|. .", ".xx|xx"},
		{"any, prompt: evidence stays for the answer", "a -> stop [prompt]", ". a .|. .", ".xx|xx"},
		{"any, prompt: the answer is no evidence", "a -> stop [prompt]", ". . .|a .", "...|.."},
		{"any, answer", "a -> stop [answer]", ". a .|. a .", "...|.xx"},
		{"any, answer: absence in the prompt is nothing", "not a -> stop [answer]", ". .|. a .", "..|x.."},
		{"any, prompt: absence", "not a -> stop [prompt]", ". a|.", "x.|."},
		{"token, both", "a -> stop [token]", ". a .|a .", ".x.|x."},
		{"token, prompt", "a -> stop [token, prompt]", ". a .|a .", ".x.|.."},
		{"token, prompt: absence", "not a -> stop [token, prompt]", ". a .|a .", "x.x|.."},
		{"token, answer", "a -> stop [token, answer]", ". a .|a .", "...|x."},
		{"a token conclusion is remembered", "a and not c -> b [token]; b -> stop", ". a .|.", ".xx|x"},
		{"a remembered one in its phase only", "a -> b [token]; b -> stop [answer]", ". a .|. a .", "...|.xx"},
		{"an any conclusion is drawn anew", "a and not c -> b; b -> stop", ". a .|c .", ".xx|.."},
		{"a conclusion holds for token rules", "a -> b; b -> stop [token]", ". a .|.", ".xx|x"},
		{"order does not matter", "a -> seen; seen and c -> stop", "c a .|c .", ".xx|xx"},
		{"both at one token", "a and c -> stop [token]", "a c ac|ac a", "..x|x."},
	} {
		m := compile(t, tc.src, Closed)
		run := m.Start()
		last := len(m.rules) - 1
		for range 2 { // the second time after Reset
			if got := firing(run, m, tc.text, last); got != tc.fires {
				t.Errorf("%s: %q fires at %s, want %s", tc.name, tc.src, got, tc.fires)
			}
			run.Reset()
		}
	}
}

func firing(run *Run, m *Machine, text string, rule int) string {
	var out strings.Builder
	for i, part := range strings.Split(text, "|") {
		if i > 0 {
			out.WriteByte('|')
		}
		for _, concepts := range strings.Fields(part) {
			held := m.NewSet()
			for _, c := range concepts {
				if n, known := m.Concept(string(c)); known {
					held.Add(n)
				}
			}
			run.Step(Prompt+Phase(i), held, nil)
			mark := "."
			if run.Fired(rule) {
				mark = "x"
			}
			out.WriteString(mark)
		}
	}
	return out.String()
}

// TestWhyAgreesWithTheStep holds the recorded steps against what the step without record found, over random texts and scopes.
func TestWhyAgreesWithTheStep(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		p := randomProgram(r)
		for i := range p.Rules {
			p.Rules[i].Phase, p.Rules[i].Span = Phase(r.IntN(3)), Span(r.IntN(2))
		}
		m, err := p.Compile(Open)
		if err != nil {
			t.Fatal(err)
		}
		run := m.Start()
		for i := range 12 {
			held, denied := m.NewSet(), m.NewSet()
			held.Add(r.IntN(len(m.names)))
			denied.Add(r.IntN(len(m.names)))
			run.Step(Prompt+Phase(i/6), held, denied)
			before := fmt.Sprint(run.s.fired, run.s.derived, run.s.seen)
			fired := 0
			for i := range p.Rules {
				if run.Fired(i) {
					fired++
				}
			}
			if steps := run.Why(); len(steps) != fired {
				t.Fatalf("Why has %d steps, %d rules fired\n%s", len(steps), fired, p)
			}
			if after := fmt.Sprint(run.s.fired, run.s.derived, run.s.seen); after != before {
				t.Fatalf("Why changed the run from %s to %s\n%s", before, after, p)
			}
		}
	}
}

// fifty is a program of 50 rules over 20 concepts: chains, negation and conditions that are no plain conjunctions.
func fifty(tb testing.TB) *Machine {
	var b strings.Builder
	for i := range 50 {
		head, low := 6+i%14, 6+i%14
		name := func(k int) string { return fmt.Sprintf("c%d", k%low) }
		switch i % 5 {
		case 0:
			fmt.Fprintf(&b, "%s and not %s -> c%d\n", name(i*7), name(i*5+3), head)
		case 1:
			fmt.Fprintf(&b, "%s and %s -> c%d [token]\n", name(i*3), name(i+1), head)
		case 2:
			fmt.Fprintf(&b, "(%s or %s) and not %s -> c%d\n", name(i), name(i*11+2), name(i*13+5), head)
		case 3:
			fmt.Fprintf(&b, "%s xor %s -> c%d [answer]\n", name(i*3+1), name(i*2), head)
		default:
			fmt.Fprintf(&b, "%s or %s or %s -> c%d, promote c%d [prompt]\n", name(i), name(i+2), name(i+4), head, head)
		}
	}
	m := compile(tb, b.String(), Closed)
	if len(m.rules) != 50 || len(m.names) != 20 {
		tb.Fatalf("%d rules over %d concepts", len(m.rules), len(m.names))
	}
	return m
}

func TestStepDoesNotAllocate(t *testing.T) {
	m := fifty(t)
	run, held := m.Start(), m.NewSet()
	i := 0
	if n := testing.AllocsPerRun(200, func() {
		held.Clear()
		held.Add(i % len(m.names))
		i++
		run.Step(Prompt+Phase(i/100%2), held, nil)
	}); n != 0 {
		t.Errorf("Step allocates %v times", n)
	}
}

func BenchmarkStep(b *testing.B) {
	m := fifty(b)
	run, held := m.Start(), m.NewSet()
	for i := 0; b.Loop(); i++ {
		if i%256 == 0 {
			run.Reset()
		}
		held.Clear()
		held.Add(i % len(m.names))
		run.Step(Prompt+Phase(i/128%2), held, nil)
	}
}
