// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
)

// long is a prompt of n tokens for the tiny model.
func long(n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32((i*37 + 11) % 250)
	}
	return out
}

func TestChunksAndCacheChangeNothing(t *testing.T) {
	o := Options{MaxTokens: 10, IgnoreEOS: true}
	m := tiny(t, Config{Quant: Float32})
	for _, n := range []int{1, 7, 100, 300} { // 300 grows the cache beyond its first capacity
		want := collect(t, newSession(t, m), long(n), o)
		for _, chunk := range []int{1, 3, 64} {
			small := tiny(t, Config{Quant: Float32, Chunk: chunk})
			if got := collect(t, newSession(t, small), long(n), o); !slices.Equal(got, want) {
				t.Errorf("prompt of %d in chunks of %d: %v, want %v", n, chunk, got, want)
			}
		}
		s := newSession(t, m)
		collect(t, s, long(n)[:(n+1)/2], Options{MaxTokens: 3, IgnoreEOS: true})
		if got := collect(t, s, long(n), o); !slices.Equal(got, want) {
			t.Errorf("prompt of %d continued from half of it: %v, want %v", n, got, want)
		}
	}
}

func TestStoredWeightsGiveTheSameBitsInAnyChunks(t *testing.T) {
	whole := tiny(t, Config{Chunk: 512})
	want := traceOf(t, whole, long(300))
	for _, chunk := range []int{1, 5, 16, 100} {
		if !sameBits(want, traceOf(t, tiny(t, Config{Chunk: chunk}), long(300))) {
			t.Errorf("logits of 300 tokens in chunks of %d differ from those of one pass", chunk)
		}
	}
}

func traceOf(t *testing.T, m *Model, ids []int32) []float32 {
	t.Helper()
	got, err := m.Trace(t.Context(), ids, TraceOptions{Sites: []hooks.Site{hooks.Once(hooks.Logits)}})
	if err != nil {
		t.Fatal(err)
	}
	return got[0].Data
}

func TestCachesAgree(t *testing.T) {
	full := traceOf(t, tiny(t, Config{Quant: Float32, Kernels: Own, KV: KVFull}), long(300))
	// Two orders of summation of float32: the models' own tolerance.
	if d := deviation(full, traceOf(t, tiny(t, Config{Quant: Float32}), long(300))); !(d <= 1e-4) {
		t.Errorf("the project's attention and ONNX Runtime's are %.1e standard deviations apart", d)
	}
	// Half precision keeps 11 bits of keys and values: 2^-11 is 5e-4, softened by averaging over tokens.
	if d := deviation(traceOf(t, tiny(t, Config{Quant: Float32, KV: KVHalf}), long(300)), full); !(d <= 2e-2) || d == 0 {
		t.Errorf("half precision is %.1e standard deviations off", d)
	}
}

func TestCachedPrefixIsKeptOnlyUnderEqualHooks(t *testing.T) {
	m := tiny(t, Config{})
	s := newSession(t, m)
	o := Options{MaxTokens: 4, IgnoreEOS: true}
	collect(t, s, prompt, o)
	if n := s.keep(slices.Clone(prompt)); n != 0 {
		t.Errorf("asked the same again, %d tokens are kept, want 0: the same pass must run again", n)
	}
	first := collect(t, s, prompt, o)
	if again := collect(t, s, prompt, o); !slices.Equal(first, again) {
		t.Errorf("asked the same again: %v, want %v", again, first)
	}
	if n := s.keep(append(slices.Clone(prompt), first[:2]...)); n != len(prompt)+1 {
		t.Errorf("with two generated tokens %d tokens are kept, want %d", n, len(prompt)+1)
	}
	collect(t, s, prompt, o)
	if n := s.keep(append(slices.Clone(prompt), 1)); n != len(prompt) {
		t.Errorf("without hooks %d tokens are kept, want %d", n, len(prompt))
	}
	k := hooks.NewKnob(1)
	e := hooks.Edit{Name: "v", Site: hooks.At(hooks.ResidPost, 1), Directions: [][]float32{direction(m.shape.Width, 1)}, Strength: k}
	if _, err := s.Attach(plan(hooks.Plan{Edits: []hooks.Edit{e}})); err != nil {
		t.Fatal(err)
	}
	if n := s.keep(prompt); n != 0 {
		t.Errorf("after attaching, %d tokens are kept, want 0", n)
	}
	collect(t, s, prompt, o)
	k.Set(2)
	if n := s.keep(prompt); n != 0 {
		t.Errorf("after turning the knob, %d tokens are kept, want 0", n)
	}
	decodeOnly := newSession(t, m)
	e.Where.Phases = hooks.Decode
	if _, err := decodeOnly.Attach(plan(hooks.Plan{Edits: []hooks.Edit{e}})); err != nil {
		t.Fatal(err)
	}
	collect(t, decodeOnly, prompt, o)
	k.Set(3)
	if n := decodeOnly.keep(append(slices.Clone(prompt), 1)); n != len(prompt) {
		t.Errorf("after turning a decode-only knob, %d prompt tokens are kept, want %d", n, len(prompt))
	}
}

func TestSessionsRunSideBySide(t *testing.T) {
	m := tiny(t, Config{Threads: 1})
	hook := plan(hooks.Plan{Edits: []hooks.Edit{{Name: "v", Site: hooks.At(hooks.ResidPost, 0), Directions: [][]float32{direction(m.shape.Width, 1)}, Strength: hooks.NewKnob(3)}}})
	run := func(steered bool, n int) []int32 {
		s := newSession(t, m)
		defer s.Close()
		if steered {
			if _, err := s.Attach(hook); err != nil {
				t.Error(err)
			}
		}
		return collect(t, s, long(n), Options{MaxTokens: 8, IgnoreEOS: true})
	}
	want := [2][]int32{run(false, 5), run(true, 5)}
	if slices.Equal(want[0], want[1]) {
		t.Fatal("steering changes nothing: the test shows nothing")
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				if got := run(i%2 == 1, 5); !slices.Equal(got, want[i%2]) {
					t.Errorf("session %d: %v, want %v", i, got, want[i%2])
				}
			}
		})
	}
	wg.Wait()
}

func TestCancelStopsWithinAToken(t *testing.T) {
	m := open(t, fixture.SmolLM2(t), Config{})
	s := newSession(t, m)
	ctx, cancel := context.WithCancel(t.Context())
	var got error
	var cancelled time.Time
	n := 0
	for _, err := range s.Generate(ctx, long(20), Options{MaxTokens: 1000, IgnoreEOS: true}) {
		if got = err; err != nil {
			break
		}
		if n++; n == 3 {
			cancelled = time.Now()
			cancel()
		}
	}
	if !errors.Is(got, context.Canceled) || n != 3 {
		t.Errorf("cancelled after 3 tokens: %d tokens, error %v", n, got)
	}
	t.Logf("stopped after %v", time.Since(cancelled))

	// In the middle of a native run: a long prompt as one pass takes seconds; what is stopped must not take the whole of it.
	ctx, cancel = context.WithCancel(t.Context())
	start := time.Now()
	time.AfterFunc(30*time.Millisecond, cancel)
	for _, err := range s.Generate(ctx, long(700), Options{MaxTokens: 1}) {
		got = err
	}
	stopped := time.Since(start)
	if !errors.Is(got, context.Canceled) {
		t.Errorf("cancelled prefill: %v", got)
	}
	start = time.Now()
	if ids := collect(t, s, long(700), Options{MaxTokens: 1}); len(ids) != 1 {
		t.Errorf("the session does not work on: %v", ids)
	}
	if whole := time.Since(start); stopped > whole/2 {
		t.Errorf("a cancelled prefill took %v, a whole one %v", stopped, whole)
	}
}

func TestCloseTwiceAndAfterwards(t *testing.T) {
	m := tiny(t, Config{})
	s := newSession(t, m)
	for _, err := range s.Generate(t.Context(), prompt, Options{MaxTokens: 100, IgnoreEOS: true}) {
		if err != nil {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("closed while generating: %v", err)
			}
			break
		}
		s.Close()
	}
	s.Close()
	if _, err := s.Attach(plan(hooks.Plan{})); !errors.Is(err, ErrClosed) {
		t.Errorf("Attach after Close = %v", err)
	}
	open := newSession(t, m)
	if err := errors.Join(m.Close(), m.Close()); err != nil {
		t.Error(err)
	}
	for _, err := range open.Generate(t.Context(), prompt, Options{}) {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("Generate after the model's Close = %v", err)
		}
	}
	if _, err := m.NewSession(); !errors.Is(err, ErrClosed) {
		t.Errorf("NewSession after Close = %v", err)
	}
}

func TestContextFullAndBusy(t *testing.T) {
	m := tiny(t, Config{Context: 12})
	s := newSession(t, m)
	var got error
	n := 0
	for _, err := range s.Generate(t.Context(), prompt, Options{IgnoreEOS: true}) {
		if err != nil {
			got = err
			break
		}
		if n++; n == 1 {
			for _, err := range s.Generate(t.Context(), prompt, Options{}) {
				if !errors.Is(err, ErrBusy) {
					t.Errorf("a second generation: %v", err)
				}
			}
		}
	}
	if !errors.Is(got, ErrContextFull) || n != 12-len(prompt)+1 {
		t.Errorf("context of 12, prompt of %d: %d tokens, then %v", len(prompt), n, got)
	}
	for _, err := range s.Generate(t.Context(), long(13), Options{}) {
		if !errors.Is(err, ErrContextFull) {
			t.Errorf("a prompt beyond the context: %v", err)
		}
	}
}

func TestNothingIsAllocatedPerToken(t *testing.T) {
	m := tiny(t, Config{Threads: 1})
	v := direction(m.shape.Width, 1)
	all := hooks.Plan{}
	for i := range m.shape.Layers {
		all.Edits = append(all.Edits, hooks.Edit{Name: "v", Site: hooks.At(hooks.ResidPost, i), Directions: [][]float32{v}})
		all.Taps = append(all.Taps, hooks.Tap{Name: "t", Site: hooks.At(hooks.MLPOut, i), ReadOnly: true, Func: func(*hooks.Activation) error { return nil }})
	}
	for name, hook := range map[string]hooks.Hook{"none": plan(hooks.Plan{}), "edits and taps everywhere": plan(all)} {
		for what, sampling := range map[string]Sampling{
			"greedy":    {},
			"sampled":   {Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05, Seed: 1},
			"penalties": {Temperature: 0.8, RepeatPenalty: 1.1, FrequencyPenalty: 0.1},
		} {
			s := newSession(t, m)
			if _, err := s.Attach(hook); err != nil {
				t.Fatal(err)
			}
			next, stop := pull(t, s, sampling)
			if n := testing.AllocsPerRun(50, next); n != 0 {
				t.Errorf("hooks %s, %s: %v allocations a token, want 0", name, what, n)
			}
			stop()
		}
	}
}

// pull starts a generation and returns a function that makes it give one token.
func pull(t *testing.T, s *Session, sampling Sampling) (next, stop func()) {
	step, done := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, err := range s.Generate(t.Context(), prompt, Options{Sampling: sampling, IgnoreEOS: true}) {
			if err != nil {
				t.Error(err)
			}
			if _, ok := <-step; !ok {
				break
			}
			done <- struct{}{}
		}
	})
	next = func() { step <- struct{}{}; <-done }
	for range 5 {
		next() // the first tokens make feeds and scratch
	}
	return next, func() { close(step); wg.Wait() }
}
