// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
)

// TestForksGoOnAsTheirSessionWould: with every kind of cache, of the project's own graphs, of exports with and without one, of shared passes.
func TestForksGoOnAsTheirSessionWould(t *testing.T) {
	llama := fixture.Path(t, "fixtures/gguf/llama/q4_1.gguf")
	for _, x := range []struct {
		path string
		c    Config
	}{
		{llama, Config{}},
		{llama, Config{KV: KVFull}},
		{llama, Config{KV: KVInt8}},
		{llama, Config{Kernels: ORT}},
		{llama, Config{Batch: 4}},
		{fixture.Path(t, "fixtures/models/mixtral"), Config{}},
		{fixture.Path(t, "fixtures/onnx/llama-optimum"), Config{}},
		{fixture.Path(t, "fixtures/onnx/llama-genai-fp32"), Config{}},
		{fixture.Path(t, "fixtures/onnx/llama-optimum-nopast"), Config{}},
	} {
		t.Run(fmt.Sprintf("%s/%s%s batch %d", filepath.Base(x.path), x.c.Kernels, x.c.KV, x.c.Batch), func(t *testing.T) {
			m := open(t, x.path, x.c)
			e := hooks.Edit{Name: "v", Site: hooks.At(hooks.ResidPost, 0), Directions: [][]float32{direction(m.shape.Width, 3)}, Strength: hooks.NewKnob(1.5)}
			for name, p := range map[string]hooks.Plan{"none": {}, "edit": {Edits: []hooks.Edit{e}}, "writing tap": {Taps: []hooks.Tap{e.Tap()}}} {
				compareForks(t, m, name, plan(p))
			}
		})
	}
}

func compareForks(t *testing.T, m *Model, name string, h hooks.Hook) {
	t.Helper()
	o := Options{MaxTokens: 6, IgnoreEOS: true}
	s := newSession(t, m)
	if _, err := s.Attach(h); err != nil {
		t.Fatal(err)
	}
	text := long(min(270, m.config.Context-20)) // grown beyond the first capacity, where there is room for it; with decoded tokens behind
	text = append(text, collect(t, s, text, Options{MaxTokens: 5, IgnoreEOS: true})[:4]...)
	const forks = 3
	list := make([]*Session, forks)
	for i := range list {
		var err error
		if list[i], err = s.Fork(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(list[i].Close)
		if len(list[i].Attachments()) != 1 {
			t.Fatalf("%s: the fork has %d hooks, want 1", name, len(list[i].Attachments()))
		}
	}
	next := func(i int) []int32 { return append(slices.Clone(text), int32(60+i)) }
	want := make([][]int32, forks)
	for i := range want { // the session itself, one after the other
		want[i] = collect(t, s, next(i), o)
	}
	kept := list[0].keep(next(0))
	switch _, exported := m.network.(*exportNetwork); {
	case name == "writing tap" && kept != 0:
		t.Errorf("%s: %d tokens of the prompt are kept, want 0: what the tap has seen is not known", name, kept)
	case name != "writing tap" && kept != len(text) && !exported:
		t.Errorf("%s: %d tokens of the prompt are kept, want %d", name, kept, len(text))
	}
	s.Close() // forks live on
	var wg sync.WaitGroup
	for i, f := range list {
		wg.Go(func() {
			if got := collect(t, f, next(i), o); !slices.Equal(got, want[i]) {
				t.Errorf("%s: fork %d gives %v, the session itself %v", name, i, got, want[i])
			}
		})
	}
	wg.Wait()
}

// TestForkBetweenTokens forks while the session generates: the fork ends the answer as the session does.
func TestForkBetweenTokens(t *testing.T) {
	for _, batch := range []int{0, 4} {
		m := tiny(t, Config{Batch: batch})
		s := newSession(t, m)
		o := Options{MaxTokens: 12, IgnoreEOS: true}
		var ids []int32
		var f *Session
		for tok, err := range s.Generate(t.Context(), prompt, o) {
			if err != nil {
				t.Fatal(err)
			}
			if ids = append(ids, tok.ID); len(ids) == 5 {
				if f, err = s.Fork(); err != nil {
					t.Fatal(err)
				}
				defer f.Close()
			}
		}
		o.MaxTokens = 7
		if got := collect(t, f, append(slices.Clone(prompt), ids[:5]...), o); !slices.Equal(got, ids[5:]) {
			t.Errorf("batch %d: the fork goes on with %v, the session with %v", batch, got, ids[5:])
		}
	}
}

func TestForkAsksHooksAgain(t *testing.T) {
	m := tiny(t, Config{})
	s := newSession(t, m)
	asked := 0
	v := direction(m.shape.Width, 3)
	h := hooks.HookFunc(func(*hooks.Shape) (hooks.Plan, error) {
		asked++
		w := slices.Clone(v)
		if asked > 2 { // another direction: not what acted on the prompt
			w[0]++
		}
		return hooks.Plan{Edits: []hooks.Edit{{Name: "v", Site: hooks.At(hooks.ResidPost, 0), Directions: [][]float32{w}}}}, nil
	})
	if _, err := s.Attach(h); err != nil {
		t.Fatal(err)
	}
	ids := append(slices.Clone(prompt), collect(t, s, prompt, Options{MaxTokens: 2, IgnoreEOS: true})...)
	for i, want := range []int{len(ids) - 1, 0} {
		f, err := s.Fork()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if got := f.keep(ids); got != want {
			t.Errorf("fork %d keeps %d tokens, want %d", i, got, want)
		}
	}
	s.Close()
	if _, err := s.Fork(); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed session is forked: %v", err)
	}
}
