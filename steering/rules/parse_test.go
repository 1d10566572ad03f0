// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// whole is a file with everything in it; canonical is how it prints.
const whole = `# A comment
world open
veto: weapon and not police -> unsafe, suppress weapon *0.5 @resid_post.14, stop [answer, token, strength 0.25]
"rule two": ("New York" or berlin) xor ( a ->   b ) and
   not (c or d) -> not "true"   # goes on
x -> set feature 17 = 4, set feature 3 of "my dict" += -1.50e1; y->mask experts 3/17 5/2, add "v.gguf"*-2 @"mlp_out.1,resid_post.2--1"
true -> a-b, promote c, require "say \"hi\"\n" [@*.3, prompt]
not not c -> set feature 1 *= 2, set feature 1 >= 0, set feature 1 <= 9 [both, any]
`

const canonical = `world open
veto: weapon and not police -> unsafe, suppress weapon *0.5 @resid_post.14, stop [answer, token, strength 0.25]
"rule two": "New York" or berlin xor (a -> b) and not (c or d) -> not "true"
x -> set feature 17 = 4, set feature 3 of "my dict" += -15
y -> mask experts 3/17 5/2, add "v.gguf" *-2 @"mlp_out.1,resid_post.2--1"
true -> a-b, promote c, require "say \"hi\"\n" [prompt, @*.3]
not not c -> set feature 1 *= 2, set feature 1 >= 0, set feature 1 <= 9
`

func TestParsePrintsCanonically(t *testing.T) {
	p, err := Parse(whole)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(canonical, p.String()); diff != "" {
		t.Errorf("String (-want +got):\n%s", diff)
	}
	sameAgain(t, p)
}

// sameAgain parses what a program prints and holds both to be equal.
func sameAgain(t *testing.T, p *Program) {
	t.Helper()
	again, err := Parse(p.String())
	if err != nil {
		t.Fatalf("Parse(%q): %v", p, err)
	}
	places := cmp.Options{cmpopts.IgnoreFields(Rule{}, "Line", "Column"), cmpopts.IgnoreFields(Action{}, "Line", "Column")}
	if diff := cmp.Diff(p, again, places); diff != "" {
		t.Errorf("round trip of %q (-first +second):\n%s", p, diff)
	}
}

func TestParseTypesActions(t *testing.T) {
	p, err := Parse(whole)
	if err != nil {
		t.Fatal(err)
	}
	half, quarter := 0.5, 0.25
	want := Rule{
		Name: "veto", Heads: []Literal{Is("unsafe")}, Phase: Answer, Span: Token, Strength: &quarter, Line: 3, Column: 1,
		Body: &Expr{Op: OpAnd, X: atom("weapon"), Y: &Expr{Op: OpNot, X: atom("police")}},
		Actions: []Action{
			{Kind: Suppress, Concept: "weapon", Factor: &half, Sites: "resid_post.14", Line: 3, Column: 40},
			{Kind: Stop, Line: 3, Column: 77},
		},
	}
	if diff := cmp.Diff(want, p.Rules[0]); diff != "" {
		t.Errorf("rule (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Expert{{3, 17}, {5, 2}}, p.Rules[3].Actions[0].Experts); diff != "" {
		t.Errorf("experts (-want +got):\n%s", diff)
	}
}

func TestParsePrecedence(t *testing.T) {
	for _, tc := range []struct{ src, full string }{
		{"a xor b or c and not d -> e", "(a xor (b or (c and (not d))))"},
		{"a and b and c -> e", "((a and b) and c)"},
		{"not a and b -> e", "((not a) and b)"},
		{"not (a and b) -> e", "(not (a and b))"},
		{"(a -> b) and c -> e", "((a -> b) and c)"},
		{"a or (b xor c -> d) -> e", "(a or ((b xor c) -> d))"},
	} {
		p, err := Parse(tc.src)
		if err != nil {
			t.Errorf("Parse(%q): %v", tc.src, err)
			continue
		}
		if got := full(p.Rules[0].Body); got != tc.full {
			t.Errorf("Parse(%q) = %s, want %s", tc.src, got, tc.full)
		}
	}
}

func full(e *Expr) string {
	switch e.Op {
	case OpAtom:
		return e.Name
	case OpNot:
		return "(not " + full(e.X) + ")"
	}
	return "(" + full(e.X) + " " + e.Op.String() + " " + full(e.Y) + ")"
}

func TestParseErrorsHaveAPlace(t *testing.T) {
	for _, tc := range []struct {
		name, src    string
		line, column int
		want         string
	}{
		{"no arrow", "a -> b\nweapon and police\n", 2, 18, `want "->" or an operator after the condition, found the end of the line`},
		{"no conclusion", "a ->", 1, 5, "found the end of the line"},
		{"operator missing", "a b -> c", 1, 3, `found "b"`},
		{"open parenthesis", "a and (b or c -> d", 1, 19, "for the ( at line 1, column 7"},
		{"closing one too many", "a) -> b", 1, 2, `found ")"`},
		{"keyword as name", "a -> and", 1, 6, "a keyword stands in quotes"},
		{"odd character", "a & b -> c", 1, 3, `found "&"`},
		{"columns count characters", "münchen é ? -> b", 1, 11, `found "?"`},
		{"open quote", "\"a -> b\nc -> d", 1, 1, `ends with "`},
		{"empty quotes", `"" -> b`, 1, 1, "some UTF-8 text"},
		{"two names", "r: a -> b\nr: b -> c", 2, 1, "no other rule has (line 1 has it)"},
		{"unknown option", "a -> b [sometimes]", 1, 9, "prompt, answer, both"},
		{"option twice", "a -> b [prompt, answer]", 1, 17, "one phase in a rule"},
		{"options not closed", "a -> b [prompt", 1, 15, `want "]"`},
		{"negative factor", "a -> promote b * -1", 1, 18, "at least 0"},
		{"no factor", "a -> promote b *", 1, 17, "a factor"},
		{"huge number", `a -> add "f" *1e999`, 1, 15, "a finite number"},
		{"file not in quotes", "a -> add f", 1, 10, "in quotes"},
		{"feature without number", "a -> set feature x = 1", 1, 18, "the feature's number"},
		{"feature fraction", "a -> set feature 1.5 = 1", 1, 18, "the feature's number"},
		{"feature without assignment", "a -> set feature 1 4", 1, 20, "= += *= >= or <="},
		{"expert without layer", "a -> mask experts 3", 1, 20, `want "/"`},
		{"no experts", "a -> mask experts", 1, 18, "LAYER/EXPERT"},
		{"world", "world flat", 1, 7, "open or closed"},
		{"two worlds", "world open\nworld open", 2, 1, "one world"},
		{"nothing after @", "a -> promote b @ ", 1, 16, "sites such as"},
		{"text behind a rule", "a -> b c", 1, 8, "the end of the line"},
		{"not UTF-8", "a\xff", 1, 1, "UTF-8"},
		{"too deep", strings.Repeat("(", 300) + "a", 1, 201, "at most 200 levels"},
		{"too wide", strings.Repeat("a or ", 5000) + "a -> b", 1, 5*4096 + 1, "at most 4096 names"},
		{"too many rules", strings.Repeat("a -> b\n", 4097), 4097, 1, "at most 4096 rules"},
		{"too long", strings.Repeat("# comment\n", 30000), 1, 1, "at most 256 KiB"},
		{"bare minus", "a -> add \"f\" *-", 1, 15, `found "-"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse(tc.src)
			var pe *ParseError
			if !errors.As(err, &pe) {
				t.Fatalf("Parse = %v, want a ParseError", err)
			}
			if pe.Line != tc.line || pe.Column != tc.column || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Parse: %v; want line %d, column %d, %q", err, tc.line, tc.column, tc.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{whole, canonical, "a -> b", "a->b;c->d", "(a -> b) -> c [token]", "\"\\x00\" -> \"\\u00e9\"", "r:\n a\n-> b", "a -> promote b *.5@x->"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		p, err := Parse(src)
		var pe *ParseError
		if err != nil {
			if !errors.As(err, &pe) || pe.Line < 1 || pe.Column < 1 {
				t.Fatalf("Parse(%q): error without a place: %v", src, err)
			}
			return
		}
		sameAgain(t, p)
		for _, w := range []World{Closed, Open} {
			m, err := p.Compile(w)
			var cycle *CycleError
			if err != nil && (!errors.As(err, &cycle) || len(cycle.Rules) == 0) {
				t.Fatalf("Compile(%q): %v", src, err)
			}
			if err == nil && len(m.names) > 0 {
				m.Infer(Is(m.names[0]))
			}
		}
	})
}
