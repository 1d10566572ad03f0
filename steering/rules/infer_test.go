// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/trimtab/trimtab/internal/fixture"
)

func compile(t testing.TB, src string, world World) *Machine {
	t.Helper()
	p, err := Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Compile(world)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

type tableFile struct {
	Cases []struct {
		Name   string
		Rules  []string
		Parsed []struct {
			Body any
			Head string
		}
		Table []struct {
			Facts, Closure []string
			Stratified     []string `json:"closure_stratified"`
			Steps          [][]string
		} `json:"truth_table"`
		Legacy []struct {
			Detected []string `json:"detected_in_order"`
			Fired    []string `json:"fired_heads"`
		}
	}
}

// treeOf writes a reference's tree as parseWords builds it.
func treeOf(v any) *Expr {
	list := v.([]any)
	switch list[0] {
	case "atom":
		return atom(list[1].(string))
	case "not":
		return negated(treeOf(list[1]))
	case "and":
		return &Expr{Op: OpAnd, X: treeOf(list[1]), Y: treeOf(list[2])}
	case "or":
		return &Expr{Op: OpOr, X: treeOf(list[1]), Y: treeOf(list[2])}
	}
	x, y := treeOf(list[1]), treeOf(list[2])
	return &Expr{Op: OpOr, X: &Expr{Op: OpAnd, X: x, Y: negated(y)}, Y: &Expr{Op: OpAnd, X: negated(x), Y: y}}
}

// TestTruthTables goes through every subset of facts of the reference's rule sets, which are in the released code's spelling.
func TestTruthTables(t *testing.T) {
	var file tableFile
	readJSON(t, fixture.Path(t, "fixtures-dictionaries/numeric/rules.json"), &file)
	rows, sequences := 0, 0
	for _, c := range file.Cases {
		p := &Program{}
		var released []ReleasedRule
		for i, r := range c.Rules {
			parsed := parseWords(strings.Fields(r))
			if want := treeOf(c.Parsed[i].Body); parsed.X.key() != want.key() || parsed.Y.Name != c.Parsed[i].Head {
				t.Errorf("%s: parseWords(%q) = %s, want %s", c.Name, r, parsed.X, want)
			}
			p.Rules = append(p.Rules, Rule{Body: parsed.X, Heads: []Literal{Is(parsed.Y.Name)}})
			body, head, _ := strings.Cut(r, " is ")
			words := slices.DeleteFunc(strings.Fields(body), func(w string) bool { return w == "and" })
			if c.Name == "double-negation" {
				words = words[2:] // the reference lists the body as it was parsed
			}
			released = append(released, ReleasedRule{words, head})
		}
		sameAgain(t, p)
		m, err := p.Compile(Closed)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range c.Table {
			rows++
			closure := row.Closure
			if row.Stratified != nil {
				closure = row.Stratified
			}
			checkRow(t, c.Name, m, row.Facts, closure, row.Steps)
		}
		for _, l := range c.Legacy {
			sequences++
			var heads []string
			for _, i := range Legacy(released, l.Detected) {
				heads = append(heads, released[i].Head)
			}
			if !slices.Equal(heads, l.Fired) {
				t.Errorf("%s: Legacy(%v) = %v, want %v", c.Name, l.Detected, heads, l.Fired)
			}
		}
	}
	if rows < 200 || sequences < 200 {
		t.Errorf("%d rows and %d sequences were checked", rows, sequences)
	}
}

func checkRow(t *testing.T, name string, m *Machine, facts, closure []string, steps [][]string) {
	t.Helper()
	var given []Literal
	for _, f := range facts {
		given = append(given, Is(f))
	}
	res := m.Infer(given...)
	var got []string
	for _, c := range m.Concepts() {
		if res.Value(c) == True {
			got = append(got, c)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, closure) {
		t.Errorf("%s: closure of %v = %v, want %v", name, facts, got, closure)
	}
	rounds := map[int][]string{}
	for _, s := range res.Steps {
		for _, l := range s.Adds {
			rounds[s.Round] = append(rounds[s.Round], l.Name)
		}
	}
	for i, want := range steps {
		if slices.Sort(rounds[i+1]); !slices.Equal(rounds[i+1], want) {
			t.Errorf("%s: round %d of %v adds %v, want %v", name, i+1, facts, rounds[i+1], want)
		}
	}
	if len(rounds) != len(steps) {
		t.Errorf("%s: %v takes %d rounds, want %d", name, facts, len(rounds), len(steps))
	}
}

func TestCyclesThroughNegationAreNamed(t *testing.T) {
	for _, tc := range []struct{ name, src, rules, negated string }{
		{"itself", "liar: not a -> a", "liar", "a"},
		{"two", "one: a and not b -> c\nfree: d -> a\ntwo: c -> b", "one two", "b"},
		{"three without names", "not a -> b\nb -> c\nc -> a\nq -> r", "#1 #2 #3", "a"},
		{"xor", "r: a xor b -> a", "r", "a"},
		{"arrow", "r: (a -> b) -> a", "r", "a"},
	} {
		p, err := Parse(tc.src)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Compile(Closed)
		var cycle *CycleError
		if !errors.As(err, &cycle) {
			t.Errorf("%s: Compile = %v, want a CycleError", tc.name, err)
			continue
		}
		if got := strings.Join(cycle.Rules, " "); got != tc.rules || cycle.Negated != tc.negated {
			t.Errorf("%s: cycle through %q by %s, want %q by %s", tc.name, cycle.Negated, got, tc.negated, tc.rules)
		}
		if _, err := p.Compile(Open); err != nil {
			t.Errorf("%s: in the open world: %v", tc.name, err)
		}
	}
	for _, src := range []string{"not not a -> a", "not (not a and b) -> a", "a and not b -> c; c -> not b", "not b -> stop; a -> b"} {
		compile(t, src, Closed)
	}
}

func TestInferRecordsWhy(t *testing.T) {
	for _, tc := range []struct {
		name, src string
		world     World
		facts     []Literal
		want      string
	}{
		{"chain", "a and b -> c\nc or d -> e", Closed, []Literal{Is("a"), Is("b")}, "1 #1 [a b] [c]; 2 #2 [c] [e]"},
		{"strata", "x: a and not b -> c\ny: a -> b", Closed, []Literal{Is("a")}, "1 y [a] [b]"},
		{"absence", "a and not (b or d) -> c", Closed, []Literal{Is("a")}, "1 #1 [a not b not d] [c]"},
		{"only acts", "a -> stop", Closed, []Literal{Is("a")}, "1 #1 [a] []"},
		{"known already", "a -> b\na and a -> b", Closed, []Literal{Is("a")}, "1 #1 [a] [b]; 1 #2 [a] []"},
		{"xor", "a xor b -> c\nb xor a -> d", Closed, []Literal{Is("a")}, "1 #1 [a not b] [c]; 1 #2 [not b a] [d]"},
		{"not xor", "not (a xor b) -> c", Closed, nil, "1 #1 [not a not b] [c]"},
		{"arrow", "(a -> b) -> c", Closed, []Literal{Is("b"), Is("a")}, "1 #1 [b] [c]"},
		{"open: absence is no denial", "a and not b -> c", Open, []Literal{Is("a")}, ""},
		{"open: denied by a fact", "a and not b -> c", Open, []Literal{Is("a"), Not("b")}, "1 #1 [a not b] [c]"},
		{"open: denied by a rule", "a -> not b\nnot b -> c", Open, []Literal{Is("a")}, "1 #1 [a] [not b]; 2 #2 [not b] [c]"},
		{"open: one unknown side", "a or b -> c\nnot (a and b) -> d", Open, []Literal{Not("b"), Is("a")}, "1 #1 [a] [c]; 1 #2 [not b] [d]"},
		{"constants", "true -> a\nfalse -> b", Open, nil, "1 #1 [] [a]"},
	} {
		m := compile(t, tc.src, tc.world)
		var got []string
		for _, s := range m.Infer(tc.facts...).Steps {
			got = append(got, fmt.Sprintf("%d %s %v %v", s.Round, m.Program().Title(s.Rule), s.From, s.Adds))
		}
		if diff := cmp.Diff(tc.want, strings.Join(got, "; ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestComposedTexts closes the concepts that the reference readers detect in texts of two sentences under the reference's rules.
func TestComposedTexts(t *testing.T) {
	var file struct {
		Rules    []struct{ Body, Head string }
		Composed []struct{ Detected, Closure []string }
	}
	readJSON(t, fixture.Path(t, "fixtures-dictionaries/concepts/concepts.json"), &file)
	var src strings.Builder
	for _, r := range file.Rules {
		// The reference's bodies bind as this language's do; one of them says animals or cooking.
		fmt.Fprintf(&src, "%s -> %s\n", r.Body, r.Head)
	}
	m := compile(t, src.String(), Closed)
	for _, c := range file.Composed {
		var facts []Literal
		for _, d := range c.Detected {
			facts = append(facts, Is(d))
		}
		res := m.Infer(facts...)
		got := slices.Clone(c.Detected)
		for _, l := range res.Derived() {
			got = append(got, l.Name)
		}
		if slices.Sort(got); !slices.Equal(got, c.Closure) {
			t.Errorf("closure of %v = %v, want %v", c.Detected, got, c.Closure)
		}
	}
	if len(file.Composed) == 0 {
		t.Error("no texts")
	}
}

// TestLargeConditions goes beyond one word of concepts and beyond what a stack in operand order could hold.
func TestLargeConditions(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	names := make([]string, 200)
	for i := range names {
		names[i] = fmt.Sprintf("c%d", i)
	}
	pick := func() *Expr { return atom(names[r.IntN(len(names))]) }
	op := func() Op { return OpImplies + Op(r.IntN(4)) }
	right, left, balanced := pick(), pick(), []*Expr{}
	for range 190 {
		right = &Expr{Op: op(), X: pick(), Y: right}
		left = &Expr{Op: op(), X: left, Y: pick()}
	}
	for range 1024 {
		balanced = append(balanced, pick())
	}
	for len(balanced) > 1 {
		balanced = append(balanced[2:], &Expr{Op: op(), X: balanced[0], Y: balanced[1]})
	}
	p := &Program{}
	for i, e := range []*Expr{right, left, balanced[0]} {
		p.Rules = append(p.Rules, Rule{Body: e, Heads: []Literal{Is(fmt.Sprintf("h%d", i))}})
	}
	sameAgain(t, p)
	for range 50 {
		facts := map[Literal]bool{}
		for _, n := range names {
			if k := r.IntN(3); k > 0 {
				facts[Literal{n, k == 2}] = true
			}
		}
		given := slices.Collect(maps.Keys(facts))
		for _, world := range []World{Closed, Open} {
			m, err := p.Compile(world)
			if err != nil {
				t.Fatal(err)
			}
			known := maps.Clone(facts)
			for i := range p.Rules {
				if is, _ := bruteValue(p.Rules[i].Body, world, facts); is {
					known[p.Rules[i].Heads[0]] = true
				}
			}
			compareBrute(t, p, m, given, known)
		}
	}
}

// TestChains follows 300 rules in the worst order, each negating what no rule concludes.
func TestChains(t *testing.T) {
	var src strings.Builder
	const n = 300
	for i := n; i > 0; i-- {
		fmt.Fprintf(&src, "c%d and not z%d -> c%d\n", i-1, i, i)
	}
	for _, world := range []World{Closed, Open} {
		m := compile(t, src.String(), world)
		facts := []Literal{Is("c0")}
		for i := range n {
			facts = append(facts, Not(fmt.Sprintf("z%d", i+1)))
		}
		steps := m.Infer(facts...).Steps
		if len(steps) != n || steps[n-1].Round != n || m.strata[0].loops {
			t.Errorf("%s world: %d steps, loops %v", world, len(steps), m.strata[0].loops)
		}
	}
}

func TestValuesAndConflicts(t *testing.T) {
	src := "a -> not b\nc -> b"
	for _, tc := range []struct {
		world     World
		facts     []Literal
		b, d      Value
		conflicts []string
	}{
		{Closed, []Literal{Is("a")}, False, False, nil},
		{Open, []Literal{Is("a")}, False, Unknown, nil},
		{Open, []Literal{Is("c"), Not("d")}, True, False, nil},
		{Open, []Literal{Is("c"), Is("a")}, Unknown, Unknown, []string{"b"}},
		{Closed, []Literal{Is("c"), Is("a"), Is("d"), Not("d")}, True, True, []string{"b", "d"}},
	} {
		res := compile(t, src, tc.world).Infer(tc.facts...)
		if res.Value("b") != tc.b || res.Value("d") != tc.d || !slices.Equal(res.Conflicts(), tc.conflicts) {
			t.Errorf("%s %v: b %s, d %s, conflicts %v; want %s, %s, %v", tc.world, tc.facts, res.Value("b"), res.Value("d"), res.Conflicts(), tc.b, tc.d, tc.conflicts)
		}
	}
}

// randomProgram has up to 30 rules over up to 12 concepts. Every other program is layered, so that programs of many rules exist in the closed world too:
// of a list of names its rules read the first ones and conclude the others.
func randomProgram(r *rand.Rand) *Program {
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}[:2+r.IntN(11)]
	p, layered := &Program{}, r.IntN(2) == 0
	for range 1 + r.IntN(30) {
		read, conclude := names, names
		if layered {
			k := 1 + r.IntN(len(names)-1)
			read, conclude = names[:k], names[k:]
		}
		rule := Rule{Body: randomExpr(r, read, 1+r.IntN(4))}
		for range 1 + r.IntN(2) {
			rule.Heads = append(rule.Heads, Literal{conclude[r.IntN(len(conclude))], r.IntN(5) == 0})
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

func randomExpr(r *rand.Rand, names []string, depth int) *Expr {
	if depth == 0 || r.IntN(4) == 0 {
		if r.IntN(20) == 0 {
			return &Expr{Op: OpTrue + Op(r.IntN(2))}
		}
		return atom(names[r.IntN(len(names))])
	}
	switch op := []Op{OpAnd, OpAnd, OpAnd, OpOr, OpOr, OpXor, OpImplies, OpNot}[r.IntN(8)]; op {
	case OpNot:
		return &Expr{Op: OpNot, X: randomExpr(r, names, depth-1)}
	default:
		return &Expr{Op: op, X: randomExpr(r, names, depth-1), Y: randomExpr(r, names, depth-1)}
	}
}

// brute is a plain evaluator that shares no code with the package: levels by trial, sets as maps, conditions by the definition. It returns false where
// no levels exist.
func brute(p *Program, world World, facts map[Literal]bool) bool {
	level, ok := map[string]int{}, true
	if world == Closed {
		level, ok = bruteLevels(p)
	}
	for at := 0; ok && at <= len(p.Rules)+13; at++ {
		for changed := true; changed; {
			changed = false
			for _, rule := range p.Rules {
				if need := bruteNeed(rule.Body, false, level, p); need != at && world == Closed {
					continue
				}
				is, _ := bruteValue(rule.Body, world, facts)
				for _, h := range rule.Heads {
					if is && !facts[h] {
						facts[h], changed = true, true
					}
				}
			}
		}
	}
	return ok
}

// bruteLevels raises levels until they fit; with more levels than names they never will.
func bruteLevels(p *Program) (map[string]int, bool) {
	level := map[string]int{}
	for changed := true; changed; {
		changed = false
		for _, rule := range p.Rules {
			need := bruteNeed(rule.Body, false, level, p)
			for _, h := range rule.Heads {
				if !h.Not && level[h.Name] < need {
					level[h.Name], changed = need, true
				}
			}
			if need > 13 {
				return nil, false
			}
		}
	}
	return level, true
}

func bruteNeed(e *Expr, flipped bool, level map[string]int, p *Program) int {
	switch e.Op {
	case OpAtom:
		for _, rule := range p.Rules {
			if flipped && slices.Contains(rule.Heads, Is(e.Name)) {
				return level[e.Name] + 1
			}
		}
		return level[e.Name]
	case OpNot:
		return bruteNeed(e.X, !flipped, level, p)
	case OpAnd, OpOr:
		return max(bruteNeed(e.X, flipped, level, p), bruteNeed(e.Y, flipped, level, p))
	case OpImplies:
		return max(bruteNeed(e.X, !flipped, level, p), bruteNeed(e.Y, flipped, level, p))
	case OpXor:
		x := max(bruteNeed(e.X, true, level, p), bruteNeed(e.X, false, level, p))
		return max(x, bruteNeed(e.Y, true, level, p), bruteNeed(e.Y, false, level, p))
	}
	return 0
}

// bruteValue says whether e is supported, and whether its opposite is.
func bruteValue(e *Expr, world World, facts map[Literal]bool) (is, not bool) {
	if e.Op == OpAtom {
		if world == Closed {
			return facts[Is(e.Name)], !facts[Is(e.Name)]
		}
		return facts[Is(e.Name)], facts[Not(e.Name)]
	}
	if e.Op == OpTrue || e.Op == OpFalse {
		return e.Op == OpTrue, e.Op == OpFalse
	}
	xi, xn := bruteValue(e.X, world, facts)
	if e.Op == OpNot {
		return xn, xi
	}
	yi, yn := bruteValue(e.Y, world, facts)
	switch e.Op {
	case OpAnd:
		return xi && yi, xn || yn
	case OpOr:
		return xi || yi, xn && yn
	case OpImplies:
		return xn || yi, xi && yn
	}
	return xi && yn || xn && yi, xi && yi || xn && yn
}

// TestRandomProgramsAgreeWithBruteForce holds the recorded evaluation and the one for tokens against the evaluator above, in both worlds.
func TestRandomProgramsAgreeWithBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	accepted, refused, large := map[World]int{}, 0, 0
	for accepted[Closed] < 1000 || accepted[Open] < 1000 {
		p := randomProgram(r)
		for _, world := range []World{Closed, Open} {
			m, err := p.Compile(world)
			facts := randomFacts(r)
			given := slices.Collect(maps.Keys(facts))
			if fits := brute(p, world, facts); fits != (err == nil) {
				t.Fatalf("Compile = %v, brute force says %v\n%s", err, fits, p)
			}
			if err != nil {
				refused++
				continue
			}
			accepted[world]++
			if world == Closed && len(p.Rules) >= 20 {
				large++
			}
			compareBrute(t, p, m, given, facts)
		}
		if accepted[Open]%10 == 0 {
			sameAgain(t, p)
		}
	}
	t.Logf("accepted %v, refused %d, of 20 rules and more %d", accepted, refused, large)
	if refused < 100 || large < 100 {
		t.Errorf("%d programs had a cycle, %d of the accepted ones 20 rules: the generator has become tame", refused, large)
	}
}

func randomFacts(r *rand.Rand) map[Literal]bool {
	facts := map[Literal]bool{}
	for c := 'a'; c <= 'l'; c++ {
		switch r.IntN(6) {
		case 0, 1:
			facts[Is(string(c))] = true
		case 2:
			facts[Not(string(c))] = true
		}
	}
	return facts
}

func compareBrute(t *testing.T, p *Program, m *Machine, given []Literal, facts map[Literal]bool) {
	t.Helper()
	res, run := m.Infer(given...), m.Start()
	held, denied := m.NewSet(), m.NewSet()
	for _, l := range given {
		if c, known := m.Concept(l.Name); known && l.Not {
			denied.Add(c)
		} else if known {
			held.Add(c)
		}
	}
	run.Step(Prompt, held, denied)
	for c, name := range m.Concepts() {
		is, not := facts[Is(name)], facts[Not(name)]
		if res.holds(Is(name)) != is || res.holds(Not(name)) != not || run.Holds(c) != is {
			t.Fatalf("%s world, %v: %s is %v/%v and %v by token, brute force says %v/%v\n%s", m.world, given, name,
				res.holds(Is(name)), res.holds(Not(name)), run.Holds(c), is, not, p)
		}
	}
	fired := map[int]bool{}
	for _, s := range res.Steps {
		fired[s.Rule] = true
		for _, l := range s.From {
			if !facts[l] && (m.world == Open || !l.Not || facts[Is(l.Name)]) {
				t.Fatalf("rule %d fired from %v, which does not hold\n%s", s.Rule+1, l, p)
			}
		}
	}
	for i := range p.Rules {
		is, _ := bruteValue(p.Rules[i].Body, m.world, facts)
		if fired[i] != is || run.Fired(i) != is {
			t.Fatalf("rule %d fired: %v, by token %v; its condition is %v\n%s", i+1, fired[i], run.Fired(i), is, p)
		}
	}
	if diff := cmp.Diff(res.Steps, run.Why()); diff != "" {
		t.Fatalf("Why differs from Infer: %s", diff)
	}
}
