// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/concepts"
	"github.com/trimtab/trimtab/steering/dictionary"
	"github.com/trimtab/trimtab/steering/rules"
)

// axes are concepts along the first axes of a space of width 4, detected from 1 on.
func axes(names ...string) *concepts.Set {
	s := concepts.NewSet(hooks.At(hooks.ResidPost, 2), 4)
	for i, name := range names {
		d := make([]float32, 4)
		d[i] = 1
		s.Concepts = append(s.Concepts, concepts.Concept{
			Name: name, Mode: concepts.Sentence, Lever: concepts.Lever{Direction: d, Norm: 2, Effect: &concepts.Effect{Logit: 9, Spread: 1}},
			Reader: concepts.Reader{Kind: concepts.Direction, Direction: d, Aggregate: concepts.Max, Threshold: 1},
		})
	}
	return s
}

func reasoning(t testing.TB, program string, set *concepts.Set) *Reasoning {
	t.Helper()
	p, err := rules.Parse(program)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReasoning(Spec{Kind: KindRules, Sources: []Source{{Path: "test.txt"}}}, p, set, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// stage runs passes through a hook's taps in forward order, as a session does.
type stage struct {
	t        testing.TB
	plan     hooks.Plan
	readings []hooks.Reading
	stopped  int
	said     []string
}

func newStage(t testing.TB, h hooks.Hook) *stage {
	t.Helper()
	plan, err := h.Bind(shape("llama", 6, 4))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(plan.Taps, func(a, b hooks.Tap) int { return hooks.Compare(a.Site, b.Site) })
	return &stage{t: t, plan: plan}
}

func (s *stage) Report(r hooks.Reading) { s.readings = append(s.readings, r) }
func (s *stage) Stop()                  { s.stopped++ }
func (s *stage) Say(text string)        { s.said = append(s.said, text) }

// pass runs rows of width 4 and returns what each site's taps left of them; every site sees the same rows.
func (s *stage) pass(phase hooks.Phase, first, rest int, rows ...[]float32) map[hooks.Site][][]float32 {
	s.t.Helper()
	out := map[hooks.Site][][]float32{}
	for i := range s.plan.Taps {
		tap := &s.plan.Taps[i]
		data := slices.Concat(rows...)
		if left := out[tap.Site]; left != nil {
			data = slices.Concat(left...)
		}
		a := &hooks.Activation{
			Site: tap.Site, Phase: phase, First: first, Rest: rest, Width: 4, Data: data,
			Tokens: make([]int32, len(rows)), Rows: slices.Repeat([]bool{true}, len(rows)), Run: s,
		}
		if err := tap.Func(a); err != nil {
			s.t.Fatal(err)
		}
		out[tap.Site] = slices.Collect(slices.Chunk(data, 4))
	}
	return out
}

// fired lists rules by position since the last call.
func (s *stage) fired() string {
	var parts []string
	for _, r := range s.readings {
		if r.Kind == hooks.Rule {
			parts = append(parts, fmt.Sprintf("%d:%s", r.Position, r.Label))
		}
	}
	s.readings = s.readings[:0]
	return strings.Join(parts, " ")
}

var (
	nothing = []float32{0, 0, 0, 5}
	onlyA   = []float32{3, 0, 0, 4}
	onlyB   = []float32{0, 3, 0, 4}
)

func TestRulesSeeEachTokenOnce(t *testing.T) {
	both := reasoning(t, "both: a and b -> c\nnow: a -> d [token]\nanswer: b -> e [answer, token]", axes("a", "b"))
	s := newStage(t, both)
	s.pass(hooks.Prefill, 0, 2, nothing, nothing, onlyA)
	s.pass(hooks.Prefill, 3, 0, onlyB, nothing)
	if got, want := s.fired(), "2:now 3:both 4:both"; got != want {
		t.Errorf("a prompt in two passes: %s, want %s", got, want)
	}
	s.pass(hooks.Decode, 5, 0, onlyB)
	if got, want := s.fired(), "5:both 5:answer"; got != want {
		t.Errorf("a generated token: %s, want %s", got, want)
	}
	// The next prompt keeps three tokens and runs on otherwise: b has not been said in it.
	s.pass(hooks.Prefill, 3, 0, nothing, onlyA)
	if got, want := s.fired(), "4:now"; got != want {
		t.Errorf("a prompt that begins like the last one: %s, want %s", got, want)
	}
	// What was generated is part of the next prompt: an answer rule looks at new tokens alone.
	s.pass(hooks.Decode, 5, 0, onlyB)
	s.fired()
	s.pass(hooks.Prefill, 6, 0, nothing)
	if got, want := s.fired(), "6:both"; got != want {
		t.Errorf("a prompt behind an answer: %s, want %s", got, want)
	}
	held := 0
	s.pass(hooks.Prefill, 6, 0, nothing)
	for _, r := range s.readings {
		if r.Kind == hooks.Concept {
			held++
		}
	}
	if held != 3 {
		t.Errorf("concepts told again of the kept prefix: %d, want those at positions 2, 4 and 5", held)
	}
}

func TestPushesHaveTheFormulasLength(t *testing.T) {
	site := hooks.At(hooks.ResidPost, 2)
	h := []float32{3, 0.5, -2, 4}
	length := math.Sqrt(29.25)
	for _, tc := range []struct {
		program string
		want    []float64 // moved along the axes, in lengths of h
	}{
		{"a -> promote b *0.25", []float64{0, 0.25, 0, 0}},
		{"a -> suppress b", []float64{0, -0.5, 0, 0}},
		{"a -> promote b [strength 2]", []float64{0, 2, 0, 0}},
		{"a -> promote b *0.25\na -> promote b *0.75", []float64{0, 0.75, 0, 0}},
		{"a -> promote b, suppress b *0.125", []float64{0, 0.375, 0, 0}},
		{"a -> promote a *0.1, promote b *0.2", []float64{0.1, 0.2, 0, 0}},
		{"a -> promote b *0", []float64{0, 0, 0, 0}},
		{"b -> promote b", []float64{0, 0, 0, 0}},
	} {
		s := newStage(t, reasoning(t, tc.program, axes("a", "b")))
		got := s.pass(hooks.Prefill, 1, 0, h)[site][0]
		for i, x := range got {
			// Rounding of values of a few units to float32, as a share of a push of at least a tenth of h.
			if d := float64(x-h[i]) / length; math.Abs(d-tc.want[i]) > 1e-6 {
				t.Errorf("%s: moved by %v lengths along axis %d, want %v", tc.program, d, i, tc.want[i])
			}
		}
	}
}

// TestPushEqualsShift holds a push along several rows to the plain arithmetic of the released code.
func TestPushEqualsShift(t *testing.T) {
	rows := [][]float64{{1, 2, 0, -1}, {0.5, 0, 3, 1}, {2, 2, 2, 2}}
	weights := []float64{0.5, 0.3, 0.2}
	h := []float64{3, 1, -2, 4}
	for _, norm := range []float64{1, 2} {
		for i, combine := range []string{"sum", "mean", "max"} {
			want := make([]float64, 4)
			rules.Shift(want, h, rows, weights, rules.Steer{Combine: rules.Combine(i), Norm: norm, Factor: 0.5})
			lever := concepts.Lever{Features: []int32{0, 1, 2}, Weights: weights, Combine: combine, Norm: norm}
			push := lever.Push(tinyDictionary(t, rows))
			length := lever.Length([]float32{3, 1, -2, 4})
			for j := range want {
				// One rounding to float32 of a push of about 1.
				if got := 0.5 * length * float64(push[j]); math.Abs(got-want[j]) > 1e-5*length {
					t.Errorf("%s, norm %g: moved by %v along axis %d, want %v", combine, norm, got, j, want[j])
				}
			}
		}
	}
}

func TestActionsReachTheirTokens(t *testing.T) {
	site := hooks.At(hooks.ResidPost, 2)
	for _, tc := range []struct{ option, want string }{
		{"", ".. x x"},
		{"[steer last]", ".. x x"},
		{"[steer all]", "xx x x"},
		{"[steer prompt]", "xx x ."},
		{"[steer answer]", ".. . x"},
		{"[token]", ".. . ."},
		{"[token, steer all]", "x. . ."},
		{"[answer, steer all]", ".. . ."},
		{"[prompt]", ".. x x"},
	} {
		s := newStage(t, reasoning(t, "a -> promote b "+tc.option, axes("a", "b")))
		got := ""
		for i, passed := range []struct {
			phase hooks.Phase
			first int
			rest  int
			rows  [][]float32
		}{{hooks.Prefill, 1, 1, [][]float32{onlyA, nothing}}, {hooks.Prefill, 3, 0, [][]float32{nothing}}, {hooks.Decode, 4, 0, [][]float32{nothing}}} {
			if i > 0 {
				got += " "
			}
			for _, row := range s.pass(passed.phase, passed.first, passed.rest, passed.rows...)[site] {
				got += map[bool]string{true: "x", false: "."}[row[1] != 0]
			}
		}
		if got != tc.want {
			t.Errorf("%q: pushed %s, want %s", tc.option, got, tc.want)
		}
	}
}

func TestAnEarlierSiteIsReachedAtTheNextToken(t *testing.T) {
	early, late := hooks.At(hooks.ResidPost, 1), hooks.At(hooks.ResidPost, 4)
	s := newStage(t, reasoning(t, "a -> promote b @resid_post.1 [token]\na -> promote b @resid_post.4 [token]", axes("a", "b")))
	s.pass(hooks.Prefill, 1, 0, nothing)
	for i, want := range []struct {
		row         []float32
		early, late bool
	}{{onlyA, false, true}, {nothing, true, false}, {nothing, false, false}} {
		got := s.pass(hooks.Decode, 2+i, 0, want.row)
		if e, l := got[early][0][1] != 0, got[late][0][1] != 0; e != want.early || l != want.late {
			t.Errorf("token %d: pushed at %s: %t, at %s: %t, want %t and %t", i, early, e, late, l, want.early, want.late)
		}
	}
}

func TestStopAndRequire(t *testing.T) {
	s := newStage(t, reasoning(t, `a -> require "No.", stop [token]`, axes("a")))
	s.pass(hooks.Prefill, 0, 0, nothing, nothing)
	s.pass(hooks.Decode, 2, 0, onlyA)
	s.pass(hooks.Decode, 3, 0, onlyA)
	if s.stopped != 1 || !slices.Equal(s.said, []string{"No."}) {
		t.Errorf("stopped %d times and said %q, want once each", s.stopped, s.said)
	}
	s.pass(hooks.Prefill, 4, 0, onlyA)
	if s.stopped != 2 || len(s.said) != 2 {
		t.Errorf("in the next answer: stopped %d times and said %q, want once more", s.stopped, s.said)
	}
}

func TestStrengthZeroOnlyWatches(t *testing.T) {
	r := reasoning(t, `a -> promote b, stop, require "x"`, axes("a", "b"))
	r.Strength().Set(0)
	s := newStage(t, r)
	got := s.pass(hooks.Prefill, 1, 0, onlyA)[hooks.At(hooks.ResidPost, 2)][0]
	if !slices.Equal(got, onlyA) || s.stopped != 0 || len(s.said) != 0 || s.fired() != "1:#1" {
		t.Errorf("at strength 0: row %v, stopped %d, said %v; want everything but detection left alone", got, s.stopped, s.said)
	}
}

func TestMeanConceptsRunOverTheText(t *testing.T) {
	set := axes("a")
	set.Concepts[0].Reader.Aggregate = concepts.Mean
	s := newStage(t, reasoning(t, "a -> b [token]", set))
	// Position 0 does not count; means of the others: 3, 1.5, 1, 0.75, then 3/4.
	s.pass(hooks.Prefill, 0, 0, onlyA, onlyA, nothing, nothing, nothing)
	if got, want := s.fired(), "1:#1 "; got+" " != want {
		t.Errorf("fired %q, want where it begins: %q", got, want)
	}
	s.pass(hooks.Prefill, 3, 0, onlyA)
	if got, want := s.fired(), "3:#1"; got != want { // (3 + 0 + 3) / 3
		t.Errorf("after going back: fired %q, want %q", got, want)
	}
}

func TestExplainReplaysWhatWasReported(t *testing.T) {
	r := reasoning(t, "danger: a and not b -> unsafe\nunsafe -> suppress a *0.25", axes("a", "b"))
	s := newStage(t, r)
	s.pass(hooks.Prefill, 0, 0, nothing, onlyA, nothing)
	s.pass(hooks.Decode, 3, 0, nothing)
	e := r.Explain(s.readings, 3, 3)
	got := e.Words(func(p int) string { return fmt.Sprintf("token%d", p) })
	want := "a: 3 at \"token1\", position 1 (from 1 on)\ndanger: a, not b -> unsafe\n#2: unsafe -> suppress a *0.25\na: moved by -1.25 at resid_post.2\n"
	if got != want {
		t.Errorf("explained as\n%swant\n%s", got, want)
	}
	if e := r.Explain(s.readings, 3, 0); len(e.Steps) != 0 {
		t.Errorf("before anything was seen: %v", e.Steps)
	}
}

func TestReasoningDoesNotAllocate(t *testing.T) {
	var program strings.Builder
	for i := range 50 {
		fmt.Fprintf(&program, "a and not b -> c%d, promote a *0.0%d\n", i, i+1)
	}
	s := newStage(t, reasoning(t, program.String(), axes("a", "b")))
	s.pass(hooks.Prefill, 0, 0, nothing, onlyA)
	a := &hooks.Activation{
		Site: s.plan.Taps[0].Site, Phase: hooks.Decode, First: 2, Width: 4, Data: slices.Clone(nothing), Tokens: []int32{7}, Rows: []bool{true}, Run: s,
	}
	s.readings = make([]hooks.Reading, 0, 1<<16)
	step := func() {
		for i := range s.plan.Taps {
			if err := s.plan.Taps[i].Func(a); err != nil {
				t.Fatal(err)
			}
		}
		a.First++
	}
	if n := testing.AllocsPerRun(500, step); n != 0 {
		t.Errorf("%v allocations a token, want none but for the growth of the trail", n)
	}
}

func TestRulesSayWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	if err := axes("a").Save(filepath.Join(dir, "set.json")); err != nil {
		t.Fatal(err)
	}
	load := func(text string) (Hook, error) {
		path := filepath.Join(dir, "rules.txt")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return Load("rules:" + path)
	}
	for _, tc := range []struct{ text, say string }{
		{"a -> b", `want a line concepts "FILE"`},
		{`concepts "none.json"` + "\na -> b", "none.json"},
		{`concepts "set.json"` + "\na -> promote b", `line 2, column 6: want a concept of set.json to promote b, found "b"`},
		{`concepts "set.json"` + "\na -> ", "line 2"},
		{`concepts "set.json"` + "\n" + `concepts "set.json"`, "line 2, column 1: want one such line in a program"},
	} {
		if _, err := load(tc.text); err == nil || !strings.Contains(err.Error(), tc.say) {
			t.Errorf("%q: %v, want an error with %q", tc.text, err, tc.say)
		}
	}
	h, err := load(`concepts "set.json"` + "\na and x -> promote a")
	if err != nil {
		t.Fatal(err)
	}
	if w := h.Warnings(); len(w) != 1 || !strings.Contains(w[0], `"x"`) {
		t.Errorf("Warnings() = %q, want one for x, which nothing detects", w)
	}
	var wrong *hooks.EditError
	if _, err := h.Bind(shape("llama", 6, 8)); !errors.As(err, &wrong) {
		t.Errorf("Bind on a model of another width: %v, want a *hooks.EditError", err)
	}
	weak := axes("a")
	weak.Concepts[0].Lever.Effect.Logit = 1
	if w := reasoning(t, "a -> promote a", weak).Warnings(); len(w) != 1 || !strings.Contains(w[0], "the lever is weak") {
		t.Errorf("Warnings() = %q, want one for the weak lever", w)
	}
}

func tinyDictionary(t testing.TB, rows [][]float64) *dictionary.Dictionary {
	t.Helper()
	f := &dictionary.Form{In: len(rows[0]), Out: len(rows[0]), N: len(rows)}
	for _, row := range rows {
		for _, v := range row {
			f.Dec, f.Enc = append(f.Dec, float32(v)), append(f.Enc, 0)
		}
	}
	d, err := dictionary.New(f)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
