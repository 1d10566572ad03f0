// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/experts"
)

func open(t testing.TB, name string) *runtime.Model {
	t.Helper()
	path := fixture.Path(t, name)
	if _, err := runtime.FindLibrary(); err != nil {
		if os.Getenv("TRIMTAB_REQUIRE_NATIVE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	m, err := runtime.Open(path, runtime.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func direction(scale float32) []float32 {
	v := make([]float32, 64)
	for i := range v {
		v[i] = scale * float32((i*7)%11-5)
	}
	return v
}

func with(h *steering.Steering, where hooks.Where) *steering.Steering {
	spec := h.Spec()
	spec.Where = where
	v, err := steering.NewVector("v", map[int][]float32{0: direction(1)})
	if err != nil {
		panic(err)
	}
	out, err := steering.New(spec, v)
	if err != nil {
		panic(err)
	}
	return out
}

// faulty is a hook that does not do what it says.
type faulty struct {
	steering.Hook
	bind func(n int, sh *hooks.Shape) (hooks.Plan, error) // n counts calls
	n    int
}

func (f *faulty) Bind(sh *hooks.Shape) (hooks.Plan, error) {
	f.n++
	return f.bind(f.n, sh)
}

// lying declares another direction than it adds.
func lying() steering.Hook {
	h := steering.Add(hooks.At(hooks.ResidPost, 1), direction(1), 1)
	other := steering.Add(hooks.At(hooks.ResidPost, 1), direction(-1), 1)
	return &faulty{Hook: h, bind: func(n int, sh *hooks.Shape) (hooks.Plan, error) {
		if n == 1 {
			return h.Bind(sh)
		}
		return other.Bind(sh)
	}}
}

// deaf acts whatever its strength.
func deaf() steering.Hook {
	h := steering.Add(hooks.At(hooks.ResidPost, 1), direction(1), 1)
	return &faulty{Hook: h, bind: func(int, *hooks.Shape) (hooks.Plan, error) {
		return hooks.Plan{Taps: []hooks.Tap{{Name: "deaf", Site: hooks.At(hooks.ResidPost, 1), Func: func(a *hooks.Activation) error {
			a.Data[0]++
			a.Data[len(a.Data)-1]++
			return nil
		}}}}, nil
	}}
}

// swallowed writes a copy that nothing reads, as an edit does whose value a fused node passes by: the site moves, the model does not.
func swallowed() steering.Hook {
	h := steering.Add(hooks.At(hooks.ResidPost, 1), direction(1), 1)
	back := []float32{}
	return &faulty{Hook: h, bind: func(int, *hooks.Shape) (hooks.Plan, error) {
		site, next := hooks.At(hooks.ResidPost, 1), hooks.At(hooks.ResidPre, 2)
		return hooks.Plan{Taps: []hooks.Tap{
			{Name: "there", Site: site, Func: func(a *hooks.Activation) error {
				back = append(back[:0], a.Data...)
				for i := range a.Data {
					a.Data[i] += h.Strength().Value()
				}
				return nil
			}},
			{Name: "back", Site: next, Func: func(a *hooks.Activation) error {
				copy(a.Data, back)
				return nil
			}},
		}}, nil
	}}
}

func TestCheck(t *testing.T) {
	m := open(t, "fixtures/gguf/llama/f32.gguf")
	post := func(layer int) hooks.Site { return hooks.At(hooks.ResidPost, layer) }
	add := func(scale, strength float32) *steering.Steering {
		return steering.Add(post(1), direction(scale), strength)
	}
	for _, tc := range []struct {
		name    string
		hook    steering.Hook
		others  []steering.Hook
		note    string // "": none at all
		refusal string // "": accepted
	}{
		{"a vector", add(0.1, 1), nil, "", ""},
		{"a vector behind the last block", steering.Add(hooks.Once(hooks.FinalNorm), direction(0.1), 1), nil, "", ""},
		{"a vector that keeps the norm", steering.KeepNorm(post(0), direction(0.1), 1), nil, "", ""},
		{"a projection", steering.Project(post(1), direction(1)), nil, "", ""},
		{"a rotation", steering.Rotate(post(1), direction(1), append(make([]float32, 63), 1), 30), nil, "", ""},
		{"strength 0", add(0.1, 0), nil, "its strength is 0", ""},
		{"generated tokens alone", with(add(0.1, 0.1), hooks.Where{Phases: hooks.Decode}), nil, "", ""},
		{"a position far behind", with(add(0.1, 0.1), hooks.Where{From: 40}), nil, "", ""},
		{"a position beyond what is tried", with(add(0.1, 0.1), hooks.Where{From: 400}), nil, "it was not tried", ""},
		{"no effect", add(1e-12, 1), nil, "", "resid_post.1 it changes nothing"},
		{"the last block", steering.Add(post(2), direction(1), 1), nil, "", ""},
		{"an early position of the last block", with(steering.Add(post(2), direction(1), 1), hooks.Where{From: 2, To: 3}), nil, "", "resid_post.2 it moves the activation, but nothing"},
		{"a value that nothing reads", swallowed(), nil, "", "resid_pre.2 it moves the activation, but nothing"},
		{"a range that nothing leaves", steering.Clamp(post(1), direction(1), -1e6, 1e6), nil, "did not fire", ""},
		{"a strength that breaks everything", add(1, 100), nil, "the text may break", ""},
		{"a strength beyond all numbers", add(1e30, 1e30), nil, "", "not finite"},
		{"another direction", lying(), nil, "", "not where the edit was to bring it"},
		{"strength 0 that acts", deaf(), nil, "", "at strength 0"},
		{"two", add(0.1, 1), []steering.Hook{add(0.1, 1)}, "", ""},
		{"two that cancel", add(0.1, 1), []steering.Hook{add(0.1, -1)}, "", "they cancel each other"},
		{"three that cancel", add(0.1, 2), []steering.Hook{add(0.1, -1), add(-0.1, 1)}, "", "they cancel each other"},
		{"the opposite elsewhere", add(0.1, 1), []steering.Hook{steering.Add(post(0), direction(0.1), -1)}, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := tc.hook.Strength().Value()
			notes, err := New(m).Check(t.Context(), tc.hook, tc.others...)
			said := strings.Join(notes, "\n")
			if tc.refusal == "" && (err != nil || !strings.Contains(said, tc.note) || (tc.note == "") != (said == "")) {
				t.Errorf("found %q, %v; want a note with %q", said, err, tc.note)
			}
			var refused *Error
			if tc.refusal != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), tc.refusal)) {
				t.Errorf("found %v, want a refusal with %q", err, tc.refusal)
			}
			if now := tc.hook.Strength().Value(); now != before {
				t.Errorf("the strength is %g, it was %g", now, before)
			}
		})
	}
}

// TestCheckOfMasks: an expert that the built-in prompt does not choose is no fault of the mask.
func TestCheckOfMasks(t *testing.T) {
	m := open(t, "organism/model")
	quiet, loud := 0, 0
	for e := range 16 {
		for _, mode := range []experts.Mode{experts.OffDrop, experts.Soft} {
			notes, err := New(m).Check(t.Context(), steering.NewMasking(experts.Of(mode, 0, []experts.Expert{{Layer: 1, Expert: e}})))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(strings.Join(notes, ""), "did not fire") {
				quiet++
			} else {
				loud++
			}
		}
	}
	if quiet == 0 || loud == 0 {
		t.Errorf("%d masks did not fire, %d did; want some of both", quiet, loud)
	}
}

// BenchmarkCheck is what attaching a vector costs more.
func BenchmarkCheck(b *testing.B) {
	m, err := runtime.Open(fixture.SmolLM2(b), runtime.Config{Threads: 1})
	if err != nil {
		b.Skip(err)
	}
	defer m.Close()
	v := make([]float32, m.Shape().Width)
	for i := range v {
		v[i] = float32(i%7) - 3
	}
	tester, h := New(m), steering.Add(hooks.At(hooks.ResidPost, 14), v, 1)
	for b.Loop() {
		if _, err := tester.Check(b.Context(), h); err != nil {
			b.Fatal(err)
		}
	}
}
