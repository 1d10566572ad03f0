// SPDX-License-Identifier: Apache-2.0

package experts

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/trimtab/trimtab/hooks"
)

// shape is a model of three blocks, of which the last two have eight experts, two used.
func shape() *hooks.Shape {
	sh := &hooks.Shape{Model: "tiny", Layers: 3, Widths: map[hooks.Site]int{}, Missing: map[hooks.Site]string{hooks.At(hooks.RouterLogits, 0): "the block is dense"}, Routers: map[int]*hooks.Router{}}
	for i := 1; i < 3; i++ {
		sh.Widths[hooks.At(hooks.RouterLogits, i)], sh.Widths[hooks.At(hooks.ExpertIDs, i)], sh.Widths[hooks.At(hooks.RouterWeights, i)] = 8, 2, 2
		sh.Routers[i] = &hooks.Router{Experts: 8, Used: 2}
	}
	return sh
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want Mask
		say  string // of the error; "" is none
	}{
		{"off-drop=3/17,5/2", Mask{{Expert{3, 17}, OffDrop, 0}, {Expert{5, 2}, OffDrop, 0}}, ""},
		{"off-replace=-1/0", Mask{{Expert{-1, 0}, OffReplace, 0}}, ""},
		{"scale*0.5=1/2;force-on=1/3", Mask{{Expert{1, 2}, Scale, 0.5}, {Expert{1, 3}, ForceOn, 0}}, ""},
		{"soft+=1/2;soft-=1/3", Mask{{Expert{1, 2}, ForceMax, 0}, {Expert{1, 3}, Soft, 0}}, ""},
		{" force-max = 1/2 , 1/3 ", nil, "mode"},
		{"off-drop=1/2, 1/3", Mask{{Expert{1, 2}, OffDrop, 0}, {Expert{1, 3}, OffDrop, 0}}, ""},
		{"off=1/2", nil, `mode "off"`},
		{"off-drop", nil, "no ="},
		{"off-drop=", nil, "LAYER/EXPERT"},
		{"off-drop=1/-2", nil, `"1/-2"`},
		{"off-drop=1", nil, `"1"`},
		{"off-drop*2=1/2", nil, "behind no other mode"},
		{"scale=1/2", nil, "scale*0.5"},
		{"scale*-1=1/2", nil, "at least 0"},
		{"scale*inf=1/2", nil, "finite"},
		{"off-drop=1/99999999999", nil, "LAYER/EXPERT"},
	} {
		got, err := Parse(c.text)
		if c.text == " force-max = 1/2 , 1/3 " {
			if err != nil || got.String() != "force-max=1/2,1/3" {
				t.Errorf("Parse(%q) = %v, %v", c.text, got, err)
			}
			continue
		}
		if c.say != "" {
			if err == nil || !strings.Contains(err.Error(), c.say) {
				t.Errorf("Parse(%q) = %v, %v, want an error that says %q", c.text, got, err, c.say)
			}
			continue
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("Parse(%q) = %v, %v, want %v", c.text, got, err, c.want)
		}
		if again, err := Parse(got.String()); err != nil || !slices.Equal(again, got) {
			t.Errorf("%q is printed as %q, which is read as %v, %v", c.text, got.String(), again, err)
		}
	}
}

func TestEdits(t *testing.T) {
	knob := hooks.NewKnob(1)
	m := Mask{{Expert{2, 1}, OffReplace, 0}, {Expert{-1, 2}, ForceOn, 0}, {Expert{1, 3}, Scale, 0.5}, {Expert{1, 4}, OffDrop, 0}, {Expert{2, 5}, ForceMax, 0}, {Expert{2, 6}, Soft, 0}}
	got, err := m.Edits(shape(), "mask", knob, hooks.Where{From: 3})
	if err != nil {
		t.Fatal(err)
	}
	ones := func(i int, x float32) []float32 {
		out := []float32{1, 1, 1, 1, 1, 1, 1, 1}
		if i >= 0 {
			out[i] = x
		}
		return out
	}
	at := func(layer int, op hooks.Op, d ...[]float32) hooks.Edit {
		return hooks.Edit{Name: "mask", Site: hooks.At(hooks.RouterLogits, layer), Op: op, Directions: d, Strength: knob, Where: hooks.Where{From: 3}}
	}
	want := []hooks.Edit{
		at(1, hooks.Route, make([]float32, 8), ones(4, 0), ones(3, 0.5)),
		at(2, hooks.Raise, []float32{0, 0, 0, 0, 0, 1, -1, 0}),
		at(2, hooks.Route, []float32{0, hooks.Closed, hooks.Forced, 0, 0, 0, 0, 0}, ones(-1, 0), ones(-1, 0)),
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b *hooks.Knob) bool { return a == b })); d != "" {
		t.Errorf("edits (-want +got):\n%s", d)
	}
}

func TestEditsThatCannotBe(t *testing.T) {
	var site *hooks.SiteError
	var mask *hooks.MaskError
	for _, c := range []struct {
		text string
		as   any
		say  string
	}{
		{"off-drop=0/1", &site, "dense"},
		{"off-drop=3/1", &site, "blocks 0 to 2"},
		{"off-drop=1/8", &mask, "shared experts"},
		{"off-drop=1/2,1/2", &mask, "twice"},
		{"off-drop=2/2;scale*2=-1/2", &mask, "twice"},
	} {
		m, err := Parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = m.Edits(shape(), "m", nil, hooks.Where{}); !errors.As(err, c.as) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v, want a %T that says %q", c.text, err, c.as, c.say)
		}
	}
}

func files() map[string]string {
	return map[string]string{
		"array":            `[{"layer":1,"expert":2},{"layer":2,"expert":3,"mode":"scale","value":0.5}]`,
		"lines":            "{\"layer\":1,\"expert\":2,\"mode\":\"off-drop\"}\n\n{\"layer\":2,\"expert\":3,\"mode\":\"scale\",\"value\":0.5}\n",
		"a fit":            `{"model":"m","score":"share","layers":[1],"scores":[[0.5]],"experts":[{"layer":1,"expert":2,"mode":"off-drop","score":0.4},{"layer":2,"expert":3,"mode":"scale","value":0.5,"score":1}]}`,
		"empty":            "",
		"no entry":         "[]",
		"misspelt":         `{"layer":1,"expret":2}`,
		"negative":         `{"layer":1,"expert":-2}`,
		"mode":             `{"layer":1,"expert":2,"mode":"loud"}`,
		"value":            `{"layer":1,"expert":2,"value":2}`,
		"negative value":   `{"layer":1,"expert":2,"mode":"scale","value":-2}`,
		"not JSON":         "off-drop=1/2",
		"cut":              `[{"layer":1,`,
		"experts no list":  `{"experts":7}`,
		"too large number": `{"layer":1,"expert":1e30}`,
	}
}

func TestDecode(t *testing.T) {
	want := Mask{{Expert{1, 2}, OffDrop, 0}, {Expert{2, 3}, Scale, 0.5}}
	for name, text := range files() {
		f, err := Decode([]byte(text))
		switch name {
		case "array", "lines", "a fit":
			if err != nil || !slices.Equal(f.Mask(), want) {
				t.Errorf("%s: %v, %v, want %v", name, f, err, want)
				continue
			}
			var b bytes.Buffer
			if err := f.Write(&b); err != nil {
				t.Fatal(err)
			}
			if again, err := Decode(b.Bytes()); err != nil || !cmp.Equal(again, f) {
				t.Errorf("%s: written as %s, which is read as %v, %v", name, b.String(), again, err)
			}
		default:
			var bad *FileError
			if !errors.As(err, &bad) {
				t.Errorf("%s: %v, want a *FileError", name, err)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range files() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Decode(data)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := got.Write(&b); err != nil {
			t.Fatalf("%v cannot be written: %v", got, err)
		}
		if again, err := Decode(b.Bytes()); err != nil || !slices.Equal(again.Mask(), got.Mask()) {
			t.Errorf("written as %s, which is read as %v, %v", b.String(), again, err)
		}
		if m, err := Parse(got.Mask().String()); err != nil || !slices.Equal(m, got.Mask()) {
			t.Errorf("printed as %s, which is read as %v, %v", got.Mask(), m, err)
		}
	})
}

// pass hands a counter the choices of rows from a position on; the weights come behind the ids, as in a run.
func pass(t *testing.T, p hooks.Plan, first int, choices ...[2]float32) {
	t.Helper()
	ids, weights := []float32{}, []float32{}
	for _, c := range choices {
		ids, weights = append(ids, c[0], c[1]), append(weights, 0.75, 0.25)
	}
	for _, tap := range p.Taps {
		a := &hooks.Activation{Site: tap.Site, First: first, Width: 2, Data: ids, Rows: make([]bool, len(choices))}
		if tap.Site.Point == hooks.RouterWeights {
			a.Data = weights
		}
		for i := range a.Rows {
			a.Rows[i] = true
		}
		if err := tap.Func(a); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCounterAndScores(t *testing.T) {
	maps := map[Tokens]*[2]Map{}
	for _, tokens := range []Tokens{Prompt, Last, Answer} {
		both := &[2]Map{}
		maps[tokens] = both
		c := NewCounter(tokens)
		plan, err := c.Bind(shape())
		if err != nil {
			t.Fatal(err)
		}
		// Target: two prompts, of two and of four tokens. Contrast: one of one token.
		for class, prompts := range [][][][2]float32{{{{0, 1}, {0, 2}}, {{1, 2}, {1, 2}, {1, 3}, {1, 0}}}, {{{1, 4}}}} {
			for _, p := range prompts {
				c.Begin(len(p))
				pass(t, plan, 0, p...)
				pass(t, plan, len(p), [2]float32{6, 7})
				both[class].Add(c.Map())
			}
		}
	}
	for _, c := range []struct {
		tokens Tokens
		score  Score
		expert int
		want   float64
	}{
		{Prompt, Share, 0, (1 + 0.25) / 2},
		{Prompt, Share, 1, (0.5+1)/2 - 1},
		{Prompt, Risk, 0, 3.0 / 6},
		{Prompt, Count, 0, 3.0 / 2},
		{Prompt, Weight, 0, (0.75 + 0.75 + 0.25) / 6},
		{Last, Share, 0, 1},
		{Last, Share, 2, 0.5},
		{Last, Share, 4, -1},
		{Answer, Share, 6, 0},
		{Answer, Count, 0, 0},
	} {
		got, err := c.score.Compare(&maps[c.tokens][0], &maps[c.tokens][1])
		if err != nil {
			t.Fatal(err)
		}
		for row := range got {
			if math.Abs(got[row][c.expert]-c.want) > 1e-12 { // double precision
				t.Errorf("%s of %s tokens of expert %d/%d = %g, want %g", c.score, c.tokens, row+1, c.expert, got[row][c.expert], c.want)
			}
		}
	}
	ranked := Rank([]int{1, 2}, [][]float64{{0, 3}, {5, 3}})
	var order []string
	for _, r := range ranked {
		order = append(order, r.Entry.Expert.String())
	}
	if want := []string{"2/0", "1/1", "2/1", "1/0"}; !slices.Equal(order, want) {
		t.Errorf("ranking = %v, want %v", order, want)
	}
	if _, err := Share.Compare(&maps[Prompt][0], &Map{}); err == nil || !strings.Contains(err.Error(), "contrast") {
		t.Errorf("an empty class: %v", err)
	}
}

func TestCounterWantsExperts(t *testing.T) {
	var site *hooks.SiteError
	if _, err := NewCounter(Prompt).Bind(&hooks.Shape{Model: "dense", Layers: 1}); !errors.As(err, &site) {
		t.Errorf("Bind = %v, want a *hooks.SiteError", err)
	}
}

// kept is a hooks.Run that keeps reports.
type kept struct{ readings []hooks.Reading }

func (k *kept) Report(r hooks.Reading) { k.readings = append(k.readings, r) }
func (*kept) Stop()                    {}
func (*kept) Say(string)               {}

func TestWatchReportsTheLastRow(t *testing.T) {
	plan, err := Watch{}.Bind(shape())
	if err != nil {
		t.Fatal(err)
	}
	run := &kept{}
	for i, data := range [][]float32{{4, 5, 6, 7}, {0.5, 0.5, 0.75, 0.25}} {
		if err := plan.Taps[i].Func(&hooks.Activation{First: 10, Width: 2, Data: data, Rows: []bool{true, true}, Run: run}); err != nil {
			t.Fatal(err)
		}
	}
	want := []hooks.Reading{
		{Hook: "experts", Site: hooks.At(hooks.ExpertIDs, 1), Kind: hooks.Expert, Position: 11, Index: 6, Value: 0.75},
		{Hook: "experts", Site: hooks.At(hooks.ExpertIDs, 1), Kind: hooks.Expert, Position: 11, Index: 7, Value: 0.25},
	}
	if !slices.Equal(run.readings, want) {
		t.Errorf("readings = %v, want %v", run.readings, want)
	}
}

func TestRandom(t *testing.T) {
	m, err := Parse("off-drop=1/0,1/1;scale*2=2/7")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	seen := map[string]bool{}
	for range 50 {
		got, err := m.Random(shape(), r)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range got {
			if e.Layer != m[i].Layer || e.Mode != m[i].Mode || e.Value != m[i].Value || slices.Contains(m.Experts(), e.Expert) {
				t.Errorf("random mask %v of %v", got, m)
			}
		}
		seen[got.String()] = true
	}
	if len(seen) < 20 {
		t.Errorf("50 draws gave %d masks", len(seen))
	}
	wide := Of(OffDrop, 0, []Expert{{1, 0}, {1, 1}, {1, 2}, {1, 3}, {1, 4}})
	if _, err := wide.Random(shape(), r); err == nil {
		t.Error("five others of eight experts were found beside five")
	}
}

// TestSearch has a worth that is known: experts 1 and 3 gain together, 2 costs too much.
func TestSearch(t *testing.T) {
	tried := 0
	s := Search{
		Candidates: Of(OffDrop, 0, []Expert{{1, 0}, {1, 1}, {1, 2}, {1, 3}, {1, 4}}), Most: 4, Beam: 2, Bound: 0.5,
		Measure: func(m Mask) (w Worth, err error) {
			tried++
			for _, e := range m {
				switch e.Expert.Expert {
				case 1, 3:
					w.Gain++
				case 2:
					w.Gain, w.Loss = w.Gain+5, 1
				case 4:
					return w, &hooks.MaskError{}
				}
			}
			return w, nil
		},
	}
	found, err := s.Run()
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || found[1].Mask.String() != "off-drop=1/1,1/3" || found[1].Worth.Gain != 2 {
		t.Errorf("found %v, want off-drop=1/1,1/3 in the end", found)
	}
	boom := errors.New("boom")
	s.Measure = func(Mask) (Worth, error) { return Worth{}, boom }
	if _, err := s.Run(); !errors.Is(err, boom) {
		t.Errorf("Run = %v, want the error of Measure", err)
	}
}
