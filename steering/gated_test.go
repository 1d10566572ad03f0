// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/trimtab/trimtab/hooks"
)

func TestParseConditions(t *testing.T) {
	term := func(path, family, sites string, below, last bool, threshold float32) Condition {
		return Condition{Source: Source{path, family}, Sites: sites, Below: below, Last: last, Threshold: threshold}
	}
	for _, c := range []struct {
		spec string
		when When
		more string // canonical form, where it differs
	}{
		{"vector:b.svec*1.5[when c.svec above 0.04]", When{Terms: []Condition{term("c.svec", "", "", false, false, 0.04)}}, ""},
		{"vector:dir/b.svec*2[decode,when some/dir/c.svec@resid_pre.7 below -0.5]", When{Terms: []Condition{term("some/dir/c.svec", "", "resid_pre.7", true, false, -0.5)}}, ""},
		{"ablate:r.pt[when last c.gguf:direction.3@resid_post.3-5 above 0.1]", When{Terms: []Condition{term("c.gguf", "direction.3", "resid_post.3-5", false, true, 0.1)}}, ""},
		{"vector:b.gguf[when a.gguf above 1 and b.gguf below 2]", When{Terms: []Condition{term("a.gguf", "", "", false, false, 1), term("b.gguf", "", "", true, false, 2)}}, ""},
		{"norm:b.gguf[when a.gguf above 1 or b.gguf below 2 or c.gguf above 3]", When{Any: true, Terms: []Condition{
			term("a.gguf", "", "", false, false, 1), term("b.gguf", "", "", true, false, 2), term("c.gguf", "", "", false, false, 3),
		}}, ""},
		{`vector:b.gguf[when "a, and b.gguf" above 1]`, When{Terms: []Condition{term("a, and b.gguf", "", "", false, false, 1)}}, ""},
		{"vector:b.gguf[ when  c.svec  above  2 ]", When{Terms: []Condition{term("c.svec", "", "", false, false, 2)}}, "vector:b.gguf[when c.svec above 2]"},
	} {
		got, err := Parse(c.spec)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.spec, err)
			continue
		}
		if d := cmp.Diff(c.when, got.When); d != "" {
			t.Errorf("Parse(%q).When (-want +got):\n%s", c.spec, d)
		}
		want := c.more
		if want == "" {
			want = c.spec
		}
		if got.String() != want {
			t.Errorf("Parse(%q).String() = %q", c.spec, got.String())
		}
	}
	for _, c := range []struct{ spec, say string }{
		{"vector:b.gguf[when]", "found \"when\""},
		{"vector:b.gguf[when c.svec]", "above NUMBER"},
		{"vector:b.gguf[when c.svec over 3]", "FILE below NUMBER"},
		{"vector:b.gguf[when c.svec above]", "FILE below NUMBER"},
		{"vector:b.gguf[when above 3]", "a file"},
		{"vector:b.gguf[when a above 1 and b above 2 or c above 3]", "by and alone"},
		{"vector:b.gguf[when a above 1,when b above 2]", "once"},
		{"vector:b.gguf[when a above NaN]", "FILE above NUMBER"},
		{"vector:b.gguf[when a@nowhere.3 above 1]", "sites such as"},
		{"sae:dir[when a above 1]", "prefill"},
		{"vector:b.gguf[mid]", "prefill"},
	} {
		if _, err := Parse(c.spec); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("Parse(%q): %v, want it to say %q", c.spec, err, c.say)
		}
	}
}

func TestParseKinds(t *testing.T) {
	for _, spec := range []string{
		"ablate:r.gguf:direction.14", "ablate:r.pt@resid_pre.8-20", "rotate+:a.gguf,b.gguf=200@mlp_in.*", "rotate:plane.npy=30", "actadd:love.safetensors*5[mid]",
		"actadd:love.safetensors*5@resid_pre.6[back]", "vector:caa.pt*2[answer]",
	} {
		got, err := Parse(spec)
		if err != nil || got.String() != spec {
			t.Errorf("Parse(%q) = %v, %v", spec, got, err)
		}
	}
}

// wide is a model of four blocks of width 3 that has all sites which ablation uses; an answer begins behind tokens 8, 9.
func wide() *hooks.Shape {
	sh := &hooks.Shape{Model: "tiny", Family: "llama", Layers: 4, Width: 3, Widths: map[hooks.Site]int{}, Turn: func() []int32 { return []int32{8, 9} }}
	for i := range sh.Layers {
		for _, p := range []hooks.Point{hooks.ResidPre, hooks.AttnOut, hooks.MLPOut, hooks.ResidPost} {
			sh.Widths[hooks.At(p, i)] = sh.Width
		}
	}
	return sh
}

// player runs passes through the taps of a plan, as a session does.
type player struct {
	hooks.Run
	t      *testing.T
	plan   hooks.Plan
	past   int
	labels []string
}

func (p *player) Report(r hooks.Reading) { p.labels = append(p.labels, r.Label) }

func play(t *testing.T, h hooks.Hook) *player {
	t.Helper()
	plan, err := h.Bind(wide())
	if err != nil {
		t.Fatal(err)
	}
	return &player{t: t, plan: plan}
}

// pass hands the same rows to every tap, in order, and returns what the last one left; each tap sees the rows as they came, so that one tap's edit shows alone.
func (p *player) pass(phase hooks.Phase, rest int, tokens []int32, rows ...[]float32) []float32 {
	p.t.Helper()
	var out []float32
	for i := range p.plan.Taps {
		tap := &p.plan.Taps[i]
		a := &hooks.Activation{Site: tap.Site, Phase: phase, First: p.past, Rest: rest, Tokens: tokens, Width: 3, Data: slices.Concat(rows...), Run: p}
		on := false
		for j := range rows {
			r := tap.Where.Selects(hooks.Row{Position: p.past + j, Phase: phase})
			a.Rows = append(a.Rows, r)
			on = on || r
		}
		if on {
			if err := tap.Func(a); err != nil {
				p.t.Fatal(err)
			}
		}
		out = a.Data
	}
	p.past += len(rows)
	return out
}

func mustWhen(t *testing.T, s *Steering, w When) *Steering {
	t.Helper()
	out, err := s.When(w)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func vector(t *testing.T, blocks map[int][]float32) *Vector {
	t.Helper()
	v, err := NewVector("c", blocks)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestConditionValues compares with sums worked out by hand: h is the mean of the second and third rows.
func TestConditionValues(t *testing.T) {
	c := newCondition(&Condition{}, Place{Site: hooks.At(hooks.ResidPre, 0), directions: [][]float32{{2, 0, 0}}})
	a := &hooks.Activation{Width: 3, Data: []float32{100, 0, 0, 1, 1, 0, 3, 1, 0}, Rows: []bool{true, true, true}}
	// h = (2, 1, 0), P h = (2, 0, 0), tanh(P h) = (tanh 2, 0, 0): the cosine is 2/sqrt(5).
	if got, want := c.see(a, false, false), 2/math.Sqrt(5); math.Abs(got-want) > 1e-12 {
		t.Errorf("likeness = %v, want %v", got, want)
	}
	c = newCondition(&Condition{}, Place{Site: hooks.At(hooks.ResidPre, 0), directions: [][]float32{{1, 1, 0}}})
	// P h = 1.5 (1, 1, 0); tanh makes both equal again: the cosine of (2, 1) and (1, 1) is 3/sqrt(10).
	if got, want := c.see(a, false, false), 3/math.Sqrt(10); math.Abs(got-want) > 1e-12 {
		t.Errorf("likeness = %v, want %v", got, want)
	}
	c = newCondition(&Condition{}, Place{Site: hooks.At(hooks.ResidPre, 0), directions: [][]float32{{3, 1, 0}}})
	// P h = 0.7 (3, 1, 0) = (2.1, 0.7, 0), tanh = (0.97045, 0.60437): here tanh bends the direction.
	u, v := math.Tanh(2.1), math.Tanh(0.7)
	if got, want := c.see(a, false, false), (2*u+v)/(math.Sqrt(5)*math.Hypot(u, v)); math.Abs(got-want) > 1e-7 {
		t.Errorf("likeness = %v, want %v", got, want)
	}
	if got, want := c.see(a, true, false), (3*math.Tanh(3)+math.Tanh(1))/(math.Sqrt(10)*math.Hypot(math.Tanh(3), math.Tanh(1))); math.Abs(got-want) > 1e-7 {
		t.Errorf("likeness of the last = %v, want %v", got, want)
	}
}

func TestConditionsDecideForEachPrompt(t *testing.T) {
	c := vector(t, map[int][]float32{1: {1, 0, 0}})
	add := Add(hooks.At(hooks.ResidPost, 2), []float32{0, 0, 1}, 1)
	like, unlike := []float32{5, 0.1, 0}, []float32{0.1, 5, 0}
	p := play(t, mustWhen(t, add, When{Terms: []Condition{{Vector: c, Threshold: 0.5}}}))
	if got := p.pass(hooks.Prefill, 0, []int32{1, 2, 3}, like, like, like); got[2] != 1 || got[8] != 1 {
		t.Errorf("a prompt that is like the condition: %v, want 1 added to the third number of every row", got)
	}
	if got := p.pass(hooks.Decode, 0, []int32{4}, unlike); got[2] != 1 {
		t.Errorf("its answer: %v, want it steered whatever it is like", got)
	}
	if got := p.pass(hooks.Prefill, 0, []int32{5, 6}, unlike, unlike); got[2] != 0 {
		t.Errorf("the next prompt: %v, want it left alone", got)
	}
	if got := p.pass(hooks.Decode, 0, []int32{4}, like); got[2] != 0 {
		t.Errorf("its answer: %v, want it left alone", got)
	}
	if len(p.labels) != 2 || !strings.HasSuffix(p.labels[0], "yes") || !strings.HasSuffix(p.labels[1], "no") {
		t.Errorf("readings = %q, want one that holds and one that does not", p.labels)
	}
	p.past = 0 // the cache was emptied: the same prompt again
	if got := p.pass(hooks.Prefill, 0, []int32{1, 2, 3}, like, like, like); got[2] != 1 {
		t.Errorf("the first prompt again: %v, want it steered", got)
	}
}

func TestConditionsInChunks(t *testing.T) {
	c := vector(t, map[int][]float32{1: {1, 0, 0}})
	like, unlike := []float32{5, 0.1, 0}, []float32{0.1, 5, 0}
	p := play(t, mustWhen(t, Add(hooks.At(hooks.ResidPost, 2), []float32{0, 0, 1}, 1), When{Terms: []Condition{{Vector: c, Threshold: 0.8, Below: true}}}))
	p.pass(hooks.Prefill, 3, []int32{1, 2}, like, like)
	if got := p.pass(hooks.Prefill, 0, []int32{1, 2, 3}, unlike, unlike, unlike); got[2] != 1 {
		t.Errorf("second chunk: %v, want the mean of both to be below the threshold", got)
	}
}

func TestConditionsTogether(t *testing.T) {
	x, y := vector(t, map[int][]float32{0: {1, 0, 0}}), vector(t, map[int][]float32{0: {0, 1, 0}})
	for _, c := range []struct {
		any  bool
		row  []float32
		want float32
	}{{false, []float32{5, 5, 0}, 1}, {false, []float32{5, 0.1, 0}, 0}, {true, []float32{5, 0.1, 0}, 1}, {true, []float32{0.1, 0.1, 9}, 0}} {
		w := When{Any: c.any, Terms: []Condition{{Vector: x, Threshold: 0.5}, {Vector: y, Threshold: 0.5}}}
		p := play(t, mustWhen(t, Add(hooks.At(hooks.ResidPost, 2), []float32{0, 0, 1}, 1), w))
		if got := p.pass(hooks.Prefill, 0, []int32{1, 2}, c.row, c.row); got[2]-c.row[2] != c.want {
			t.Errorf("any %v, row %v: added %g, want %g", c.any, c.row, got[2]-c.row[2], c.want)
		}
	}
}

// TestConditionBehindTheEdit has an edit before the condition's site: it comes too late for the prompt and acts on the answer.
func TestConditionBehindTheEdit(t *testing.T) {
	c := vector(t, map[int][]float32{3: {1, 0, 0}})
	s := mustWhen(t, Add(hooks.At(hooks.ResidPost, 0), []float32{0, 0, 1}, 1), When{Terms: []Condition{{Vector: c, Threshold: 0.5}}})
	plan, err := s.Bind(wide())
	if err != nil {
		t.Fatal(err)
	}
	p := &player{t: t, plan: hooks.Plan{Taps: plan.Taps[:2]}} // where a prompt begins, and the edit
	look := &player{t: t, plan: hooks.Plan{Taps: plan.Taps[2:]}}
	row := []float32{5, 0.1, 0}
	if got := p.pass(hooks.Prefill, 0, []int32{1, 2}, row, row); got[2] != 0 {
		t.Errorf("prompt: %v, want it left alone", got)
	}
	look.pass(hooks.Prefill, 0, []int32{1, 2}, row, row)
	if got := p.pass(hooks.Decode, 0, []int32{1}, row); got[2] != 1 {
		t.Errorf("answer: %v, want it steered", got)
	}
}

// TestConditionsOfAGraphWithoutCache calls the taps that act again for the prompt before each generated token, as a graph without a cache makes it necessary.
func TestConditionsOfAGraphWithoutCache(t *testing.T) {
	c := vector(t, map[int][]float32{1: {1, 0, 0}})
	row := []float32{5, 0.1, 0}
	p := play(t, mustWhen(t, Add(hooks.At(hooks.ResidPost, 2), []float32{0, 0, 1}, 1), When{Terms: []Condition{{Vector: c, Threshold: 0.5}}}))
	p.pass(hooks.Prefill, 0, []int32{1, 2}, row, row)
	all := p.plan.Taps
	for token := range 2 {
		p.plan.Taps = slices.DeleteFunc(slices.Clone(all), func(tap hooks.Tap) bool { return tap.ReadOnly })
		p.past = 0
		if got := p.pass(hooks.Prefill, 0, []int32{1, 2}, row, row); got[2] != 1 || got[5] != 1 {
			t.Errorf("token %d: the prompt again: %v, want it steered as before", token, got)
		}
		p.past = 2 + token
		p.plan.Taps = all
		if got := p.pass(hooks.Decode, 0, []int32{1}, row); got[2] != 1 {
			t.Errorf("token %d: %v, want it steered", token, got)
		}
	}
}

func TestBehindInstruction(t *testing.T) {
	zero := []float32{0, 0, 0}
	marks := func(got []float32) (out []int) {
		for i := 0; i < len(got); i += 3 {
			out = append(out, int(got[i+2]))
		}
		return out
	}
	rows := func(n int) (out [][]float32) {
		for range n {
			out = append(out, zero)
		}
		return out
	}
	p := play(t, Add(hooks.At(hooks.ResidPost, 2), []float32{0, 0, 1}, 1).BehindInstruction())
	for i, step := range []struct {
		phase  hooks.Phase
		rest   int
		tokens []int32
		want   []int
	}{
		{hooks.Prefill, 0, []int32{1, 8, 9}, []int{0, 0, 0}}, // ends with the instruction: its last token is left alone
		{hooks.Decode, 0, []int32{5}, []int{1}},
		{hooks.Prefill, 0, []int32{8, 9, 5, 8, 9, 6, 7}, []int{0, 0, 0, 0, 0, 1, 1}}, // the last end counts
		{hooks.Prefill, 3, []int32{1, 8, 9, 5, 8}, []int{0, 0, 0, 0, 0}},             // what follows is not known yet
		{hooks.Prefill, 0, []int32{9, 4, 4}, []int{0, 1, 1}},                         // an end across two passes
		{hooks.Prefill, 0, []int32{1, 2}, []int{1, 1}},                               // no end: everything
	} {
		if got := marks(p.pass(step.phase, step.rest, step.tokens, rows(len(step.tokens))...)); !slices.Equal(got, step.want) {
			t.Errorf("pass %d, tokens %v: added at %v, want %v", i, step.tokens, got, step.want)
		}
	}
}

func TestRotatePositive(t *testing.T) {
	p := play(t, RotatePositive(hooks.At(hooks.ResidPost, 1), []float32{1, 0, 0}, []float32{0, 1, 0}, 90))
	got := p.pass(hooks.Prefill, 0, []int32{1, 2}, []float32{3, 4, 1}, []float32{-3, 4, 1})
	for i, want := range []float32{0, 5, 1, -3, 4, 1} {
		if math.Abs(float64(got[i]-want)) > 1e-6 { // sums in double precision of numbers in single
			t.Fatalf("rotate+ to 90 degrees: %v, want (0, 5, 1) and the second row as it was", got)
		}
	}
}

func TestAblateActsAtItsThreeSites(t *testing.T) {
	plan, err := Ablate([]float32{0, 2, 0}).Bind(wide())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range plan.Edits {
		names = append(names, e.Site.String())
		if e.Op != hooks.Project || e.Strength.Value() != 1 {
			t.Errorf("%s: %s with strength %g, want the whole component removed", e.Site, e.Op, e.Strength.Value())
		}
	}
	want := "resid_pre.0 attn_out.0 mlp_out.0 resid_pre.1 attn_out.1 mlp_out.1 resid_pre.2 attn_out.2 mlp_out.2 resid_pre.3 attn_out.3 mlp_out.3"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("sites = %s, want %s", got, want)
	}
	path := filepath.Join(t.TempDir(), "v.gguf")
	if err := vector(t, map[int][]float32{1: {1, 0, 0}, 2: {0, 1, 0}}).Save(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Load("ablate:" + path); err == nil || !strings.Contains(err.Error(), "chosen as FILE:TENSOR") {
		t.Errorf("ablate with two directions: %v, want it refused", err)
	}
	h, err := Load("ablate:" + path + ":direction.2")
	if err != nil {
		t.Fatal(err)
	}
	if places, err := h.Sites(wide()); err != nil || len(places) != 12 {
		t.Errorf("ablate of one of two directions: %d places, %v, want 12", len(places), err)
	}
}

func TestActAdd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "love.safetensors")
	if err := SaveActAdd(path, map[int][][]float32{2: {{1, 0, 0}, {2, 0, 0}}}); err != nil {
		t.Fatal(err)
	}
	zero := []float32{0, 0, 0}
	for _, c := range []struct {
		spec string
		want []float32 // first numbers of five rows
	}{
		{"actadd:" + path + "*3", []float32{3, 6, 0, 0, 0}},
		{"actadd:" + path + "[mid]", []float32{0, 1, 2, 0, 0}},
		{"actadd:" + path + "*-1@resid_pre.1[back]", []float32{0, 0, 0, -1, -2}},
	} {
		h, err := Load(c.spec)
		if err != nil {
			t.Fatal(err)
		}
		p := play(t, h)
		got := append(p.pass(hooks.Prefill, 2, []int32{1, 2, 3}, zero, zero, zero), p.pass(hooks.Prefill, 0, []int32{1, 2}, zero, zero)...)
		for i, want := range c.want {
			if got[3*i] != want {
				t.Errorf("%s: row %d = %g, want %g", c.spec, i, got[3*i], want)
			}
		}
		if got := p.pass(hooks.Decode, 0, []int32{1}, zero); got[0] != 0 {
			t.Errorf("%s: a generated token was changed: %v", c.spec, got)
		}
	}
	h, err := NewActAdd(hooks.At(hooks.ResidPre, 2), [][]float32{{1, 0, 0}, {2, 0, 0}}, 1, AlignFront)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := h.Bind(wide())
	if err != nil {
		t.Fatal(err)
	}
	a := &hooks.Activation{Phase: hooks.Prefill, Width: 3, Data: []float32{0, 0, 0}, Rows: []bool{true}}
	if err := plan.Taps[0].Func(a); err == nil || !strings.Contains(err.Error(), "at least 2 tokens") {
		t.Errorf("a prompt that is too short: %v, want it refused", err)
	}
	if _, err := Load("actadd:" + path + "*3@resid_pre.9"); err != nil {
		t.Fatal(err)
	} else if h, _ := Load("actadd:" + path + "@resid_pre.9"); h != nil {
		if _, err := h.Bind(wide()); err == nil {
			t.Error("actadd at a block that the model lacks: want an error, found none")
		}
	}
}

func TestFilesOfConditions(t *testing.T) {
	h, err := Load("vector:testdata/vectors/cast.svec*2[when testdata/vectors/repe.npy@resid_post.3 above 0.1]")
	if err != nil {
		t.Fatal(err)
	}
	if got := h.(*Steering).Files(); !slices.Equal(got, []string{"testdata/vectors/repe.npy"}) {
		t.Errorf("Files() = %q, want the condition's", got)
	}
}

func TestGatesAllocateNothingAtDecode(t *testing.T) {
	c := vector(t, map[int][]float32{1: {1, 0, 0}})
	s := mustWhen(t, RotatePositive(hooks.At(hooks.ResidPost, 2), []float32{1, 0, 0}, []float32{0, 1, 0}, 90).BehindInstruction(), When{Terms: []Condition{{Vector: c, Threshold: 0.5}}})
	p := play(t, s)
	row := []float32{5, 0.1, 0}
	p.pass(hooks.Prefill, 0, []int32{1, 2}, row, row)
	acts := &p.plan.Taps[len(p.plan.Taps)-1]
	a := &hooks.Activation{Site: acts.Site, Phase: hooks.Decode, First: 2, Tokens: []int32{1}, Width: 3, Data: slices.Clone(row), Rows: []bool{true}, Run: p}
	if n := testing.AllocsPerRun(100, func() {
		a.First++
		a.Rows[0] = true
		copy(a.Data, row)
		if err := acts.Func(a); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%g allocations a token, want none", n)
	}
	if a.Data[1] < 4.9 {
		t.Errorf("row = %v, want it turned to the second direction", a.Data)
	}
}
