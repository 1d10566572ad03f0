// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
)

// spoken is what one generation gave: tokens, and the logits behind each but the last, as a tap at the logits sees them.
type spoken struct {
	ids      []int32
	readings []hooks.Reading
	logits   []float32
	err      error
}

// speak generates n tokens under hooks in a session of its own.
func speak(ctx context.Context, m *Model, prompt []int32, n int, list ...hooks.Hook) spoken {
	return speakOn(ctx, m, prompt, n, list, func(int) {})
}

// speakOn calls each with the number of tokens generated so far, before each.
func speakOn(ctx context.Context, m *Model, prompt []int32, n int, list []hooks.Hook, each func(int)) (out spoken) {
	s, err := m.NewSession()
	if err != nil {
		return spoken{err: err}
	}
	defer s.Close()
	watch := plan(hooks.Plan{Taps: []hooks.Tap{{Name: "logits", Site: hooks.Once(hooks.Logits), ReadOnly: true, Func: func(a *hooks.Activation) error {
		out.logits = append(out.logits, a.Data[len(a.Data)-a.Width:]...)
		return nil
	}}}})
	for _, h := range append(slices.Clone(list), watch) {
		if _, err := s.Attach(h); err != nil {
			return spoken{err: err}
		}
	}
	each(0)
	for tok, err := range s.Generate(ctx, prompt, Options{MaxTokens: n, IgnoreEOS: true, Sampling: Sampling{Temperature: 0.7, Seed: 5}}) {
		if err != nil {
			out.err = err
			return out
		}
		out.ids, out.readings = append(out.ids, tok.ID), append(out.readings, tok.Readings...)
		each(len(out.ids))
	}
	return out
}

// kinds are sets of hooks of every built-in kind of edit, watching and writing taps, and none.
func kinds(m *Model) map[string][]hooks.Hook {
	sh := &m.shape
	out := map[string][]hooks.Hook{"none": nil}
	for i, e := range edits(hooks.At(hooks.ResidPost, sh.Layers-1), sh.Width) {
		out[fmt.Sprintf("%d %s", i, e.Op)] = []hooks.Hook{plan(hooks.Plan{Edits: []hooks.Edit{e}})}
	}
	v := direction(sh.Width, 3)
	some := hooks.Edit{Name: "some", Site: hooks.At(hooks.AttnOut, 0), Directions: [][]float32{v}, Strength: hooks.NewKnob(2), Where: hooks.Where{Phases: hooks.Decode, From: 9}}
	out["in some rows"] = []hooks.Hook{plan(hooks.Plan{Edits: []hooks.Edit{some}})}
	tap := hooks.Tap{Name: "write", Site: hooks.At(hooks.ResidPost, 0), Func: func(a *hooks.Activation) error {
		for i, on := range a.Rows {
			if on {
				a.Row(i)[a.First%a.Width] += 1
			}
		}
		return nil
	}}
	out["edit and tap"] = []hooks.Hook{plan(hooks.Plan{Edits: []hooks.Edit{{Name: "v", Site: tap.Site, Directions: [][]float32{v}}}, Taps: []hooks.Tap{tap}})}
	for _, bits := range []int{6, 8, 32} {
		out[fmt.Sprintf("encoder of %d bits", bits)] = []hooks.Hook{encoding(sh.Width, bits)}
	}
	if len(sh.Routers) > 0 {
		for name, list := range masks(m, routers(m)[0]) {
			out["mask "+name] = []hooks.Hook{plan(hooks.Plan{Edits: list})}
		}
		site := hooks.At(hooks.RouterLogits, routers(m)[0])
		v := make([]float32, sh.Widths[site])
		v[0], v[1] = 1, -1
		out["raise"] = []hooks.Hook{plan(hooks.Plan{Edits: []hooks.Edit{{Name: "raise", Site: site, Op: hooks.Raise, Directions: [][]float32{v}}}})}
	}
	return out
}

// encoding writes the largest of an encoder's products into the activation.
func encoding(width, bits int) hooks.Hook {
	e := &hooks.Encoder{Name: "e", Rows: 48, Weight: direction(48*width, 9), Bits: bits}
	return plan(hooks.Plan{Taps: []hooks.Tap{{Name: "e", Site: hooks.At(hooks.ResidPost, 0), Encoder: e, Func: func(a *hooks.Activation) error {
		for i := range a.Rows {
			a.Row(i)[0] += slices.Max(a.ProductRow(i)) / 16
		}
		return nil
	}}}})
}

// batched are small models of several families, dense and mixtures, with caches of every kind.
func batched(t *testing.T, f func(t *testing.T, path string, c Config)) {
	t.Helper()
	for _, x := range []struct {
		path string
		c    Config
	}{
		{fixture.Path(t, "fixtures/gguf/llama/q4_1.gguf"), Config{}},
		{fixture.Path(t, "fixtures/gguf/llama/q4_1.gguf"), Config{KV: KVInt8, Threads: 2}},
		{fixture.Path(t, "fixtures/gguf/llama/q4_1.gguf"), Config{KV: KVFull, Quant: Float32}},
		{fixture.Path(t, "organism/model"), Config{Quant: Q8}},
		{fixture.Path(t, "fixtures/models/mixtral"), Config{}},
		{fixture.Path(t, "fixtures/models/qwen2_moe"), Config{}},
		{filepath.Join("testdata", "families", "deepseek_v3"), Config{}},
		{filepath.Join("testdata", "families", "gpt_oss"), Config{}},
		{filepath.Join("testdata", "families", "gemma2"), Config{}},
		{filepath.Join("testdata", "families", "phi3_long"), Config{}},
	} {
		t.Run(fmt.Sprintf("%s/%s/%s", filepath.Base(x.path), x.c.Quant, x.c.KV), func(t *testing.T) { f(t, x.path, x.c) })
	}
}

// TestSharedPassesGiveWhatEachSessionGivesAlone: in a model whose sessions share passes a session's logits are the same bits whoever runs beside it, and
// those of a model whose sessions share none.
func TestSharedPassesGiveWhatEachSessionGivesAlone(t *testing.T) {
	batched(t, func(t *testing.T, path string, c Config) {
		c.Kernels = Own
		alone := open(t, path, c)
		c.Batch = 5
		m := open(t, path, c)
		list := kinds(m)
		want := map[string]spoken{}
		const n = 12
		for name, h := range list {
			want[name] = speak(t.Context(), m, promptOf(m), n, h...)
			plain := speak(t.Context(), alone, promptOf(m), n, h...)
			if want[name].err != nil || plain.err != nil {
				t.Fatalf("%s: %v, %v", name, want[name].err, plain.err)
			}
			if !sameBits(want[name].logits, plain.logits) {
				t.Errorf("%s: %.1e standard deviations from a model without shared passes", name, deviation(want[name].logits, plain.logits))
			}
		}
		var wg sync.WaitGroup
		meet := newMeetings(len(list))
		for name, h := range list {
			wg.Go(func() {
				defer meet.leave()
				got := speakOn(t.Context(), m, promptOf(m), n, h, meet.at)
				same := sameBits(got.logits, want[name].logits)
				if filepath.Base(path) == "gpt_oss" { // ONNX Runtime's MoE sums by the number of rows: float32 in another order, the models' own limit
					same = deviation(got.logits, want[name].logits) < 1e-4
				}
				if got.err != nil || !slices.Equal(got.ids, want[name].ids) || !same {
					t.Errorf("%s beside others: tokens %v, error %v, want %v; logits %.1e standard deviations off", name, got.ids, got.err, want[name].ids,
						deviation(got.logits, want[name].logits))
				}
			})
		}
		wg.Wait()
		if most := m.batch.largest(); most < 2 {
			t.Errorf("the largest pass had %d rows: nothing was shared", most)
		}
	})
}

// meetings bring sessions to the same token at the same time, so that they share passes however a machine schedules them.
type meetings struct {
	mu            sync.Mutex
	cond          *sync.Cond
	size, arrived int
	round         int
}

func newMeetings(size int) *meetings {
	m := &meetings{size: size}
	m.cond = sync.NewCond(&m.mu)
	return m
}

func (m *meetings) at(int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.arrived++
	for round := m.round; round == m.round; m.cond.Wait() {
		m.open()
		if round != m.round {
			return
		}
	}
}

// open lets everybody go on once all are there.
func (m *meetings) open() {
	if m.arrived >= m.size {
		m.arrived, m.round = 0, m.round+1
		m.cond.Broadcast()
	}
}

func (m *meetings) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.size--
	if m.arrived > 0 {
		m.open()
	}
}

// largest returns the most rows of a pass so far.
func (b *batch) largest() (most int) {
	for _, g := range b.graphs {
		for n := range g.bindings {
			if g.bindings[n].Binding != nil {
				most = max(most, n)
			}
		}
	}
	return most
}

// TestSharedPassesOfSmolLM2 mixes sessions with hooks of every kind of the grammar, and two without, over a cache of each kind.
func TestSharedPassesOfSmolLM2(t *testing.T) {
	for _, c := range []Config{{Threads: 1}, {KV: KVInt8}} {
		alone := open(t, fixture.SmolLM2(t), c)
		c.Batch = 8
		m := open(t, fixture.SmolLM2(t), c)
		list := builtin(t)
		list["none"], list["none again"] = plan(hooks.Plan{}), plan(hooks.Plan{})
		ids, n := encoded(t, m, "Here is how to cook rice with a friend: first wash it, then"), 8
		want := map[string]spoken{}
		for name, h := range list {
			want[name] = speak(t.Context(), m, ids, n, h)
			if plain := speak(t.Context(), alone, ids, n, h); want[name].err != nil || plain.err != nil || !sameBits(plain.logits, want[name].logits) {
				t.Errorf("%s: tokens %v, error %v; %v, %v in a model without shared passes", name, want[name].ids, want[name].err, plain.ids, plain.err)
			}
		}
		var wg sync.WaitGroup
		meet := newMeetings(len(list))
		for name, h := range list {
			wg.Go(func() {
				defer meet.leave()
				got := speakOn(t.Context(), m, ids, n, []hooks.Hook{h}, meet.at)
				if got.err != nil || !slices.Equal(got.ids, want[name].ids) || !sameBits(got.logits, want[name].logits) || !slices.Equal(got.readings, want[name].readings) {
					t.Errorf("%s beside others: tokens %v, error %v, want %v; logits %.1e standard deviations off", name, got.ids, got.err, want[name].ids,
						deviation(got.logits, want[name].logits))
				}
			})
		}
		wg.Wait()
		if most := m.batch.largest(); most != 8 {
			t.Errorf("the largest pass had %d rows, want 8", most)
		}
	}
}

var errTest = errors.New("enough")

// TestOneSessionsEndHarmsNoOther: while others generate, one is cancelled, one closed, one has a failing tap and one a tap that panics.
func TestOneSessionsEndHarmsNoOther(t *testing.T) {
	m := tiny(t, Config{Batch: 8})
	const n = 60
	want := speak(t.Context(), m, prompt, n)
	if want.err != nil {
		t.Fatal(want.err)
	}
	failing := func(f func() error) hooks.Hook {
		return plan(hooks.Plan{Taps: []hooks.Tap{{Name: "bad", Site: hooks.At(hooks.ResidPost, 1), ReadOnly: true, Func: func(a *hooks.Activation) error {
			if a.First == 20 {
				return f()
			}
			return nil
		}}}})
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 3 {
				if got := speak(t.Context(), m, prompt, n); got.err != nil || !slices.Equal(got.ids, want.ids) || !sameBits(got.logits, want.logits) {
					t.Errorf("beside sessions that end: error %v, tokens %v, want %v", got.err, got.ids, want.ids)
				}
			}
		})
	}
	ends := map[string]func() error{
		"error": func() error { return speak(t.Context(), m, prompt, n, failing(func() error { return errTest })).err },
		"panic": func() error { return speak(t.Context(), m, prompt, n, failing(func() error { panic(errTest) })).err },
		"cancelled": func() error {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			return speak(ctx, m, prompt, n, failing(func() error { cancel(); return nil })).err
		},
		"closed": func() error {
			s := newSession(t, m)
			i := 0
			for _, err := range s.Generate(t.Context(), prompt, Options{MaxTokens: n, IgnoreEOS: true}) {
				if err != nil {
					return err
				}
				if i++; i == 7 {
					go s.Close()
				}
			}
			return nil
		},
	}
	for name, end := range ends {
		wg.Go(func() {
			for range 3 {
				err := end()
				switch {
				case name == "cancelled" && errors.Is(err, context.Canceled), name == "closed" && (err == nil || errors.Is(err, ErrClosed)):
				case name != "cancelled" && name != "closed" && errors.Is(err, errTest):
				default:
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	wg.Wait()
	if m.batch.leading || m.batch.awaited != 0 || len(m.batch.waiting) != 0 {
		t.Errorf("nobody runs, and yet: leading %v, %d awaited, %d waiting", m.batch.leading, m.batch.awaited, len(m.batch.waiting))
	}
}

// TestHooksComeAndGoBetweenSharedPasses attaches and detaches while others generate, over more sets of sites than graphs are kept for.
func TestHooksComeAndGoBetweenSharedPasses(t *testing.T) {
	m := tiny(t, Config{Batch: 3})
	want := speak(t.Context(), m, prompt, 10)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if got := speak(t.Context(), m, prompt, 10); got.err != nil || !slices.Equal(got.ids, want.ids) {
					t.Errorf("beside changing hooks: error %v, tokens %v, want %v", got.err, got.ids, want.ids)
					return
				}
			}
		}
	})
	s := newSession(t, m)
	for site := range m.shape.Widths {
		if site.Point == hooks.Logits {
			continue
		}
		e := hooks.Edit{Name: "v", Site: site, Directions: [][]float32{direction(m.shape.Widths[site], 4)}}
		a, err := s.Attach(plan(hooks.Plan{Edits: []hooks.Edit{e}}))
		if err != nil {
			t.Fatal(err)
		}
		collect(t, s, prompt, Options{MaxTokens: 3, IgnoreEOS: true})
		if err := s.Detach(a); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	if n := len(m.batch.graphs); n > mostGraphs+1 {
		t.Errorf("%d graphs are kept, want at most %d", n, mostGraphs+1)
	}
}

func TestBatchRefused(t *testing.T) {
	for _, tc := range []struct {
		path string
		c    Config
		say  string
	}{
		{fixture.Path(t, "fixtures/gguf/llama/q4_1.gguf"), Config{Batch: 65}, "between 0 and 64"},
		{fixture.Path(t, "fixtures/gguf/llama/q4_1.gguf"), Config{Batch: 2, Kernels: ORT}, "want the kernels own"},
		{fixture.Path(t, "fixtures/onnx/llama-optimum"), Config{Batch: 2}, "an ONNX export's graph runs one sequence"},
	} {
		m, err := Open(tc.path, tc.c)
		if err == nil {
			m.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tc.say) {
			t.Errorf("Open(%+v) = %v, want it to say %q", tc.c, err, tc.say)
		}
	}
}

func BenchmarkBatch(b *testing.B) {
	m := open(b, fixture.SmolLM2(b), Config{Threads: 1, Batch: 8})
	v := direction(m.shape.Width, 1)
	var p hooks.Plan
	for i := 10; i < 15; i++ {
		p.Edits = append(p.Edits, hooks.Edit{Name: "v", Site: hooks.At(hooks.ResidPost, i), Directions: [][]float32{v}})
	}
	for _, steered := range []bool{false, true} {
		for _, n := range []int{1, 2, 4, 8} {
			b.Run(fmt.Sprintf("steered=%v/sessions=%d", steered, n), func(b *testing.B) { benchmarkBatch(b, m, n, steered, plan(p)) })
		}
	}
}

// benchmarkBatch lets n sessions generate b.N tokens each; with steered, every second one has the hook.
func benchmarkBatch(b *testing.B, m *Model, n int, steered bool, h hooks.Hook) {
	sessions := make([]*Session, n)
	for i := range sessions {
		sessions[i] = newSession(b, m)
		if steered && i%2 == 0 {
			if _, err := sessions[i].Attach(h); err != nil {
				b.Fatal(err)
			}
		}
		collect(b, sessions[i], long(32), Options{MaxTokens: 2, IgnoreEOS: true})
	}
	b.ResetTimer()
	var wg sync.WaitGroup
	for _, s := range sessions {
		wg.Go(func() { collect(b, s, long(32), Options{MaxTokens: b.N, IgnoreEOS: true}) })
	}
	wg.Wait()
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "tokens/s")
}
