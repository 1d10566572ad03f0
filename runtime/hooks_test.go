// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
)

var prompt = []int32{3, 17, 42, 5, 99, 23, 8}

func tiny(t testing.TB, c Config) *Model {
	return open(t, fixture.Path(t, "fixtures/gguf/llama/q4_1.gguf"), c)
}

func plan(p hooks.Plan) hooks.Hook {
	return hooks.HookFunc(func(*hooks.Shape) (hooks.Plan, error) { return p, nil })
}

func direction(n int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// trace returns one site's activations under the given hooks.
func trace(t testing.TB, m *Model, site hooks.Site, list ...hooks.Hook) []float32 {
	t.Helper()
	got, err := m.Trace(t.Context(), prompt, TraceOptions{Sites: []hooks.Site{site}, Hooks: list})
	if err != nil {
		t.Fatal(err)
	}
	return got[0].Data
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

func TestNoHookRunsTheUntouchedGraph(t *testing.T) {
	m := tiny(t, Config{})
	s := newSession(t, m)
	untouched := s.variant
	a, err := s.Attach(plan(hooks.Plan{Edits: []hooks.Edit{{Name: "v", Site: hooks.At(hooks.ResidPost, 1), Directions: [][]float32{direction(m.shape.Width, 1)}}}}))
	if err != nil {
		t.Fatal(err)
	}
	if s.variant == untouched {
		t.Error("an edit left the graph as it was")
	}
	if err := s.Detach(a); err != nil {
		t.Fatal(err)
	}
	if s.variant != untouched || len(m.variants.built) != 2 {
		t.Error("detaching did not bring the untouched graph back")
	}
}

func TestObservingChangesNothing(t *testing.T) {
	for _, q := range []Quant{Keep, Float32} {
		m := tiny(t, Config{Quant: q})
		plain := trace(t, m, hooks.Once(hooks.Logits))
		var taps []hooks.Tap
		seen := 0
		for s := range m.shape.Widths {
			taps = append(taps, hooks.Tap{Name: "watch", Site: s, ReadOnly: true, Func: func(*hooks.Activation) error { seen++; return nil }})
		}
		watched := trace(t, m, hooks.Once(hooks.Logits), plan(hooks.Plan{Taps: taps}))
		if !sameBits(plain, watched) {
			t.Errorf("%s: logits differ while every site is watched", q)
		}
		if seen != len(taps) {
			t.Errorf("%s: %d taps were called, want %d", q, seen, len(taps))
		}
		one := collect(t, newSession(t, m), prompt, Options{MaxTokens: 8, IgnoreEOS: true})
		s := newSession(t, m)
		if _, err := s.Attach(plan(hooks.Plan{Taps: taps})); err != nil {
			t.Fatal(err)
		}
		if two := collect(t, s, prompt, Options{MaxTokens: 8, IgnoreEOS: true}); !slices.Equal(one, two) {
			t.Errorf("%s: watched tokens %v, want %v", q, two, one)
		}
	}
}

// edits is one edit of every kind.
func edits(site hooks.Site, width int) []hooks.Edit {
	v, w := direction(width, 1), direction(width, 2)
	return []hooks.Edit{
		{Name: "add", Site: site, Op: hooks.Add, Directions: [][]float32{v}, Strength: hooks.NewKnob(1.5)},
		{Name: "add, special rows", Site: site, Op: hooks.Add, Directions: [][]float32{v}, Where: hooks.Where{From: 2, To: 5}},
		{Name: "norm", Site: site, Op: hooks.AddKeepNorm, Directions: [][]float32{v}, Strength: hooks.NewKnob(0.7)},
		{Name: "project", Site: site, Op: hooks.Project, Directions: [][]float32{v}},
		{Name: "half project", Site: site, Op: hooks.Project, Directions: [][]float32{v}, Strength: hooks.NewKnob(0.5)},
		{Name: "project+", Site: site, Op: hooks.ProjectPositive, Directions: [][]float32{v}},
		{Name: "clamp", Site: site, Op: hooks.Clamp, Directions: [][]float32{v}, Low: -0.1, High: 0.2},
		{Name: "rotate", Site: site, Op: hooks.Rotate, Directions: [][]float32{v, w}, Strength: hooks.NewKnob(70)},
	}
}

func TestEditsInTheGraphEqualEditsInGo(t *testing.T) {
	for _, q := range []Quant{Keep, Float32} {
		m := tiny(t, Config{Quant: q})
		for _, site := range []hooks.Site{
			hooks.Once(hooks.Embeddings), hooks.At(hooks.ResidPre, 1), hooks.At(hooks.AttnZ, 0), hooks.At(hooks.AttnOut, 1), hooks.At(hooks.ResidMid, 0),
			hooks.At(hooks.MLPIn, 2), hooks.At(hooks.MLPAct, 1), hooks.At(hooks.MLPOut, 0), hooks.At(hooks.ResidPost, 2), hooks.Once(hooks.FinalNorm), hooks.Once(hooks.Logits),
		} {
			for _, e := range edits(site, m.shape.Widths[site]) {
				inGraph := trace(t, m, site, plan(hooks.Plan{Edits: []hooks.Edit{e}}))
				inGo := trace(t, m, site, plan(hooks.Plan{Taps: []hooks.Tap{e.Tap()}}))
				// Both start from the same bits; 1e-5 of the activation's norm is about a hundred roundings of a float32.
				if d := distance(inGraph, inGo) / norm(inGo); !(d <= 1e-5) {
					t.Errorf("%s at %s, %s: graph and Go are %.1e of the norm apart", e.Name, site, q, d)
				}
				if plain := trace(t, m, site); sameBits(plain, inGraph) {
					t.Errorf("%s at %s, %s: changes nothing", e.Name, site, q)
				}
			}
		}
	}
}

func distance(a, b []float32) float64 {
	sum := 0.0
	for i, x := range a {
		sum += (float64(x) - float64(b[i])) * (float64(x) - float64(b[i]))
	}
	return math.Sqrt(sum)
}

func norm(a []float32) float64 { return distance(a, make([]float32, len(a))) }

func TestAlgebraOfEdits(t *testing.T) {
	m := tiny(t, Config{})
	site, logits := hooks.At(hooks.ResidPost, 1), hooks.Once(hooks.Logits)
	v := direction(m.shape.Width, 1)
	add := func(c float32) hooks.Edit {
		return hooks.Edit{Name: "add", Site: site, Directions: [][]float32{v}, Strength: hooks.NewKnob(c)}
	}
	project := hooks.Edit{Name: "project", Site: site, Op: hooks.Project, Directions: [][]float32{v}}
	plain := trace(t, m, logits)

	for _, e := range edits(site, m.shape.Width) {
		if e.Op == hooks.Rotate {
			continue // its strength is an angle
		}
		e.Strength = hooks.NewKnob(0)
		if !sameBits(plain, trace(t, m, logits, plan(hooks.Plan{Edits: []hooks.Edit{e}}))) {
			t.Errorf("%s at strength 0 changes the logits", e.Name)
		}
	}
	there := trace(t, m, site, plan(hooks.Plan{Edits: []hooks.Edit{add(2), add(-2)}}))
	if d := distance(there, trace(t, m, site)) / norm(there); !(d <= 1e-6) { // two roundings of a float32
		t.Errorf("v then -v is %.1e of the norm away from the start", d)
	}
	once := trace(t, m, site, plan(hooks.Plan{Edits: []hooks.Edit{project}}))
	twice := trace(t, m, site, plan(hooks.Plan{Edits: []hooks.Edit{project, project}}))
	if d := distance(once, twice) / norm(once); !(d <= 1e-6) {
		t.Errorf("projecting twice is %.1e of the norm away from once", d)
	}
	for _, op := range []hooks.Edit{
		{Name: "rotate", Site: site, Op: hooks.Rotate, Directions: [][]float32{v, direction(m.shape.Width, 2)}, Strength: hooks.NewKnob(123)},
		{Name: "norm", Site: site, Op: hooks.AddKeepNorm, Directions: [][]float32{v}, Strength: hooks.NewKnob(3)},
	} {
		before, after := norm(trace(t, m, site)), norm(trace(t, m, site, plan(hooks.Plan{Edits: []hooks.Edit{op}})))
		if math.Abs(after/before-1) > 1e-6 {
			t.Errorf("%s changes the norm from %g to %g", op.Name, before, after)
		}
	}
}

func TestKnobTurnsWithoutANewGraph(t *testing.T) {
	m := tiny(t, Config{})
	s := newSession(t, m)
	k := hooks.NewKnob(0)
	e := hooks.Edit{Name: "v", Site: hooks.At(hooks.ResidPost, 1), Directions: [][]float32{direction(m.shape.Width, 1)}, Strength: k}
	if _, err := s.Attach(plan(hooks.Plan{Edits: []hooks.Edit{e}})); err != nil {
		t.Fatal(err)
	}
	plain := collect(t, newSession(t, m), prompt, Options{MaxTokens: 12, IgnoreEOS: true})
	built := len(m.variants.built)
	var got []int32
	for tok, err := range s.Generate(t.Context(), prompt, Options{MaxTokens: 12, IgnoreEOS: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, tok.ID); len(got) == 4 {
			k.Set(20)
		}
	}
	if !slices.Equal(got[:4], plain[:4]) || slices.Equal(got[4:], plain[4:]) {
		t.Errorf("tokens with the knob turned after 4: %v, plain: %v", got, plain)
	}
	if len(m.variants.built) != built {
		t.Error("turning a knob built a graph")
	}
}

func TestWhatCannotWorkIsRefused(t *testing.T) {
	m := tiny(t, Config{})
	good := direction(m.shape.Width, 1)
	edit := func(e hooks.Edit) hooks.Plan { return hooks.Plan{Edits: []hooks.Edit{e}} }
	var site *hooks.SiteError
	var arithmetic *hooks.EditError
	for _, c := range []struct {
		name string
		plan hooks.Plan
		as   any
		want []string
	}{
		{"no such layer", edit(hooks.Edit{Site: hooks.At(hooks.ResidPost, 99), Directions: [][]float32{good}}), &site, []string{"resid_post.99", "blocks 0 to"}},
		{"no router", edit(hooks.Edit{Site: hooks.At(hooks.RouterLogits, 0), Directions: [][]float32{good}}), &site, []string{"router_logits.0", "no router"}},
		{"wrong width", edit(hooks.Edit{Site: hooks.At(hooks.ResidPost, 0), Directions: [][]float32{good[1:]}}), &arithmetic, []string{"resid_post.0", "width"}},
		{"zero vector", edit(hooks.Edit{Site: hooks.At(hooks.ResidPost, 0), Directions: [][]float32{make([]float32, len(good))}}), &arithmetic, []string{"zero vector"}},
		{"not a number", edit(hooks.Edit{Site: hooks.At(hooks.ResidPost, 0), Directions: [][]float32{append([]float32{float32(math.NaN())}, good[1:]...)}}), &arithmetic, []string{"NaN", "index 0"}},
		{"no direction", edit(hooks.Edit{Site: hooks.At(hooks.ResidPost, 0)}), &arithmetic, []string{"1 directions"}},
		{"parallel plane", edit(hooks.Edit{Site: hooks.At(hooks.ResidPost, 0), Op: hooks.Rotate, Directions: [][]float32{good, good}}), &arithmetic, []string{"parallel"}},
		{"empty clamp", edit(hooks.Edit{Site: hooks.At(hooks.ResidPost, 0), Op: hooks.Clamp, Directions: [][]float32{good}, Low: 1, High: -1}), &arithmetic, []string{"1..-1"}},
		{"tap nowhere", hooks.Plan{Taps: []hooks.Tap{{Site: hooks.At(hooks.ResidPost, -99), Func: func(*hooks.Activation) error { return nil }}}}, &site, []string{"resid_post.-99"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSession(t, m)
			_, err := s.Attach(plan(c.plan))
			if err == nil || !errors.As(err, c.as) {
				t.Fatalf("Attach = %v, want a %T", err, c.as)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
			if got := collect(t, s, prompt, Options{MaxTokens: 1, IgnoreEOS: true}); len(got) != 1 {
				t.Errorf("the session does not work on: %v", got)
			}
		})
	}
}

func TestFailingTapEndsItsRunOnly(t *testing.T) {
	m := tiny(t, Config{})
	want := collect(t, newSession(t, m), prompt, Options{MaxTokens: 6, IgnoreEOS: true})
	boom := errors.New("boom")
	for name, fail := range map[string]func(){"error": nil, "panic": func() { panic(boom) }, "nil dereference": func() { var p *int; *p = 1 }} {
		t.Run(name, func(t *testing.T) {
			s := newSession(t, m)
			armed := true
			a, err := s.Attach(plan(hooks.Plan{Taps: []hooks.Tap{{Name: "bad", Site: hooks.At(hooks.ResidPost, 1), ReadOnly: true, Func: func(a *hooks.Activation) error {
				if !armed || a.Phase != hooks.Decode {
					return nil
				}
				if fail != nil {
					fail()
				}
				return boom
			}}}}))
			if err != nil {
				t.Fatal(err)
			}
			var got error
			n := 0
			for _, err := range s.Generate(t.Context(), prompt, Options{MaxTokens: 6, IgnoreEOS: true}) {
				if err != nil {
					got = err
				} else {
					n++
				}
			}
			var tapErr *TapError
			if !errors.As(got, &tapErr) || tapErr.Site.String() != "resid_post.1" || n != 1 {
				t.Fatalf("after %d tokens: %v, want a TapError at resid_post.1 after 1", n, got)
			}
			if name != "nil dereference" && !errors.Is(got, boom) {
				t.Errorf("%v does not wrap the tap's error", got)
			}
			if (tapErr.Stack != "") != (name != "error") {
				t.Errorf("stack is %q", tapErr.Stack)
			}
			armed = false
			if ids := collect(t, s, prompt, Options{MaxTokens: 6, IgnoreEOS: true}); !slices.Equal(ids, want) {
				t.Errorf("afterwards the session gives %v, want %v", ids, want)
			}
			if err := s.Detach(a); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHooksActInOrderAndPhase(t *testing.T) {
	m := tiny(t, Config{})
	s := newSession(t, m)
	var got []string
	tap := func(name string, site hooks.Site, w hooks.Where) hooks.Tap {
		return hooks.Tap{Name: name, Site: site, Where: w, ReadOnly: true, Func: func(a *hooks.Activation) error {
			got = append(got, name)
			return nil
		}}
	}
	late, early := hooks.At(hooks.ResidPost, 2), hooks.At(hooks.ResidPost, 0)
	for _, p := range []hooks.Plan{
		{Taps: []hooks.Tap{tap("first at 2", late, hooks.Where{Phases: hooks.Decode})}},
		{Taps: []hooks.Tap{tap("at 0", early, hooks.Where{}), tap("second at 2", late, hooks.Where{Phases: hooks.Prefill})}},
		{Taps: []hooks.Tap{tap("third at 2", late, hooks.Where{From: len(prompt)})}},
	} {
		if _, err := s.Attach(plan(p)); err != nil {
			t.Fatal(err)
		}
	}
	collect(t, s, prompt, Options{MaxTokens: 2, IgnoreEOS: true})
	want := []string{"at 0", "second at 2", "at 0", "first at 2", "third at 2"}
	if !slices.Equal(got, want) {
		t.Errorf("taps ran as %q, want %q", got, want)
	}
}

// TestAttachAllIsOneGraphOrNone: several hooks act as if attached one after the other, with one graph built; one that cannot be attached keeps all away.
func TestAttachAllIsOneGraphOrNone(t *testing.T) {
	m := tiny(t, Config{})
	width := m.shape.Width
	var list []hooks.Hook
	for i := range 3 {
		list = append(list, plan(hooks.Plan{Edits: []hooks.Edit{{Name: "v", Site: hooks.At(hooks.ResidPost, i%2), Directions: [][]float32{direction(width, uint64(i))}}}}))
	}
	wrong := plan(hooks.Plan{Edits: []hooks.Edit{{Name: "w", Site: hooks.At(hooks.ResidPost, 1), Directions: [][]float32{{1}}}}})
	s := newSession(t, m)
	before := len(m.variants.built)
	if _, err := s.AttachAll(list[0], wrong, list[1]); err == nil || len(s.attached) != 0 || len(m.variants.built) != before {
		t.Errorf("with one of another width: %v, %d attached", err, len(s.attached))
	}
	all, err := s.AttachAll(list...)
	if err != nil || len(all) != 3 || len(m.variants.built) != before+1 {
		t.Fatalf("%d attachments, %d graphs, %v; want 3 and one more than %d", len(all), len(m.variants.built), err, before)
	}
	signature := s.program.signature()
	for _, a := range all {
		if err := s.Detach(a); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range list {
		if _, err := s.Attach(h); err != nil {
			t.Fatal(err)
		}
	}
	if s.program.signature() != signature {
		t.Errorf("one by one the session has another program")
	}
}
