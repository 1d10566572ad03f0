// SPDX-License-Identifier: Apache-2.0

package train

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// world is a source whose activations are made of few known directions; position 0 of each text is massive.
type world struct {
	in, n, texts, tokens, active int
	signed                       bool
	rows                         []float32 // the directions
	reads                        int
	fail                         int // the read that fails; 0 is none
}

func newWorld(in, n, active, texts, tokens int, signed bool) *world {
	w := &world{in: in, n: n, texts: texts, tokens: tokens, active: active, signed: signed, rows: make([]float32, n*in)}
	r := rand.New(rand.NewPCG(11, 12))
	for i := range w.rows {
		w.rows[i] = float32(r.NormFloat64())
	}
	for i := range n {
		normalise(w.rows[i*in : (i+1)*in])
	}
	return w
}

func (w *world) Texts() int       { return w.texts }
func (w *world) Length(i int) int { return w.tokens }

var errRead = errors.New("the model is gone")

func (w *world) Rows(ctx context.Context, dst []float32, i int) ([]float32, error) {
	if w.reads++; w.reads == w.fail {
		return dst, errRead
	}
	r := rand.New(rand.NewPCG(77, uint64(i)))
	for t := range w.tokens {
		from := len(dst)
		for range w.in {
			dst = append(dst, float32(0.3+0.01*r.NormFloat64()))
		}
		for range w.active {
			z := float32(3 + 2*r.Float64())
			if w.signed && r.IntN(2) == 0 {
				z = -z
			}
			if t == 0 {
				z *= 500
			}
			f := r.IntN(w.n)
			addScaled(dst[from:], z, w.rows[f*w.in:(f+1)*w.in])
		}
	}
	return dst, ctx.Err()
}

// recovered is the share of known directions that a learnt row points along, sign aside.
func (w *world) recovered(d *dictionary.Dictionary) float64 {
	found := 0
	for i := range w.n {
		for f := range d.Form.N {
			if math.Abs(float64(dot(d.Row(f), w.rows[i*w.in:(i+1)*w.in]))) > 0.95 {
				found++
				break
			}
		}
	}
	return float64(found) / float64(w.n)
}

func finish(t *testing.T, tr *Trainer) (last Progress) {
	t.Helper()
	for {
		p, done, err := tr.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return last
		}
		last = p
	}
}

// quality measures a dictionary on texts that it was not trained on.
func (w *world) quality(t *testing.T, d *dictionary.Dictionary) dictionary.Quality {
	t.Helper()
	s, coder := d.NewFidelity(), d.NewCoder()
	for i := range 10 {
		rows, err := w.Rows(t.Context(), nil, 1_000_000+i)
		if err != nil {
			t.Fatal(err)
		}
		for r := w.in; r < len(rows); r += w.in {
			x := rows[r : r+w.in]
			s.Add(coder.Encode(nil, x), x, x)
		}
	}
	return s.Quality()
}

func TestKnownDirectionsAreFound(t *testing.T) {
	for _, arch := range Archs() {
		t.Run(string(arch), func(t *testing.T) {
			w := newWorld(32, 30, 3, 60, 65, arch == AbsTopK)
			c := Config{Arch: arch, In: w.in, Width: 40, K: 3, Passes: 30, Batch: 64, Rate: 3e-3, Seed: 5}
			tr, err := New(c, w, nil)
			if err != nil {
				t.Fatal(err)
			}
			last := finish(t, tr)
			d, err := tr.Dictionary()
			if err != nil {
				t.Fatal(err)
			}
			share, q := w.recovered(d), w.quality(t, d)
			t.Logf("%.0f %% of the directions, %+v, last step %+v", 100*share, q, last)
			// Far from chance: a random row is within cosine 0.95 of a direction with a probability below 1e-10.
			if share < 0.9 || q.FVU > 0.1 || q.L0 < 2 || q.L0 > 4 {
				t.Errorf("%.0f %% of the directions found, FVU %.3f, L0 %.2f; want 90 %%, at most 0.1 and 2 to 4", 100*share, q.FVU, q.L0)
			}
			for f := range d.Form.N {
				if n := dot(d.Row(f), d.Row(f)); math.Abs(float64(n)-1) > 1e-5 {
					t.Fatalf("row %d has a squared length of %g, want 1", f, n)
				}
			}
		})
	}
}

func TestReadBack(t *testing.T) {
	for _, arch := range Archs() {
		w := newWorld(12, 16, 2, 10, 33, arch == AbsTopK)
		tr, err := New(Config{Arch: arch, In: w.in, Width: 20, K: 2, Passes: 2, Batch: 32}, w, nil)
		if err != nil {
			t.Fatal(err)
		}
		finish(t, tr)
		d, err := tr.Dictionary()
		if err != nil {
			t.Fatal(err)
		}
		d.Address.Site = hooks.At(hooks.ResidPost, 3)
		folder := filepath.Join(t.TempDir(), string(arch))
		if err := dictionary.WriteSAELens(folder, d); err != nil {
			t.Fatal(err)
		}
		got, err := dictionary.Open(folder, dictionary.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Address.Site != d.Address.Site || got.Form.Act.Kind != d.Form.Act.Kind || got.Form.Act.K != d.Form.Act.K {
			t.Errorf("%s: read back %s with k %d at %s, want %s with %d at %s", arch, got.Form.Act.Kind, got.Form.Act.K, got.Address.Site, d.Form.Act.Kind, d.Form.Act.K, d.Address.Site)
		}
		rows, _ := w.Rows(t.Context(), nil, 3)
		a, b := d.NewCoder(), got.NewCoder()
		for r := 0; r < len(rows); r += w.in {
			if x, y := a.Encode(nil, rows[r:r+w.in]), b.Encode(nil, rows[r:r+w.in]); !slices.Equal(x, y) {
				t.Fatalf("%s: row %d has code %v, read back %v", arch, r/w.in, x, y)
			}
		}
	}
}

func same(t *testing.T, what string, a, b *Trainer) {
	t.Helper()
	x, y := a.tensors(), b.tensors()
	for name := range x {
		for i := range x[name] {
			if math.Float32bits(x[name][i]) != math.Float32bits(y[name][i]) {
				t.Fatalf("%s: %s[%d] = %g, want %g", what, name, i, x[name][i], y[name][i])
			}
		}
	}
	if a.w.cut != b.w.cut || a.steps != b.steps || !slices.Equal(a.silent, b.silent) {
		t.Fatalf("%s: %d steps and cut %g, want %d and %g", what, a.steps, a.w.cut, b.steps, b.w.cut)
	}
}

// TestResumedEqualsUninterrupted stops after every number of steps, with texts that fit the buffer and with texts that do not.
func TestResumedEqualsUninterrupted(t *testing.T) {
	for _, arch := range Archs() {
		for _, rows := range []int{1000, 70} {
			w := newWorld(8, 10, 2, 9, 17, arch == AbsTopK)
			c := Config{Arch: arch, In: w.in, Width: 12, K: 2, Passes: 3, Batch: 16, Buffer: rows, DeadAfter: 40, Threads: 1}
			whole, err := New(c, w, nil)
			if err != nil {
				t.Fatal(err)
			}
			finish(t, whole)
			for stop := int64(1); stop <= whole.steps; stop += 4 {
				same(t, string(arch), resumed(t, w, c, stop), whole)
			}
		}
	}
}

// resumed trains with an interruption, on another number of threads behind it.
func resumed(t *testing.T, w *world, c Config, stop int64) *Trainer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.safetensors")
	tr, err := New(c, w, nil)
	if err != nil {
		t.Fatal(err)
	}
	for tr.steps < stop {
		if _, _, err := tr.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.Save(path, "tiny"); err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(t.Context(), path, "other", c, w, nil); err == nil || !strings.Contains(err.Error(), "want a checkpoint of the same training") {
		t.Fatalf("Resume with another note = %v, want a refusal", err)
	}
	c.Threads = 3
	if tr, err = Resume(t.Context(), path, "tiny", c, w, nil); err != nil {
		t.Fatal(err)
	}
	finish(t, tr)
	return tr
}

// TestMatryoshka holds nested features to what they are for: the first ones do better by themselves than those of a BatchTopK, and one group is a BatchTopK.
func TestMatryoshka(t *testing.T) {
	w := newWorld(16, 24, 4, 40, 33, false)
	train := func(arch Arch, groups []int) *Trainer {
		tr, err := New(Config{Arch: arch, In: w.in, Width: 32, K: 4, Passes: 20, Batch: 64, Rate: 3e-3, Groups: groups}, w, nil)
		if err != nil {
			t.Fatal(err)
		}
		finish(t, tr)
		return tr
	}
	plain := train(BatchTopK, nil)
	same(t, "one group", train(Matryoshka, []int{32}), plain)
	prefix := func(tr *Trainer) float64 {
		d, err := tr.Dictionary()
		if err != nil {
			t.Fatal(err)
		}
		f := *d.Form
		f.N, f.Enc, f.Dec, f.EncBias, f.Act.Threshold = 8, f.Enc[:8*f.In], f.Dec[:8*f.In], f.EncBias[:8], f.Act.Threshold[:8]
		part, err := dictionary.New(&f)
		if err != nil {
			t.Fatal(err)
		}
		return w.quality(t, part).FVU
	}
	nested, flat := prefix(train(Matryoshka, []int{8, 32})), prefix(plain)
	t.Logf("FVU of the first 8 features: nested %.3f, flat %.3f", nested, flat)
	if nested > 0.9*flat {
		t.Errorf("FVU of the first 8 features: nested %.3f, want well below the %.3f of features that are not", nested, flat)
	}
}

// TestMemoryIsFlat reads sixteen times as many activations as fit the buffer.
func TestMemoryIsFlat(t *testing.T) {
	w := newWorld(32, 40, 3, 256, 65, false)
	tr, err := New(Config{Arch: TopK, In: w.in, Width: 64, K: 3, Passes: 1, Batch: 64, Buffer: 1024}, w, nil)
	if err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for tr.round < 3 {
		if _, _, err := tr.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before := heap()
	finish(t, tr)
	if tr.round < 15 {
		t.Fatalf("%d rounds, want the buffer filled at least 15 times", tr.round)
	}
	// A buffer is 128 KiB; a leak of the activations would be 1.6 MiB.
	if after := heap(); after > before+64<<10 {
		t.Errorf("heap grew from %d to %d bytes", before, after)
	}
	runtime.KeepAlive(tr)
}

func TestMassiveRowsAreLeftOut(t *testing.T) {
	w := newWorld(8, 10, 2, 6, 11, false)
	tr, err := New(Config{Arch: TopK, In: w.in, Width: 12, K: 2, Batch: 16}, w, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := tr.Step(t.Context())
	if err != nil || p.Massive != 6 || len(tr.order) != 60 {
		t.Errorf("Step() = %+v, %v with %d rows; want 6 massive ones left out of 66", p, err, len(tr.order))
	}
}

func TestErrors(t *testing.T) {
	w := newWorld(4, 5, 1, 3, 5, false)
	for name, c := range map[string]Config{
		"architecture": {Arch: "relu", In: 4, Width: 8, K: 1},
		"k":            {Arch: TopK, In: 4, Width: 8, K: 9},
		"groups":       {Arch: Matryoshka, In: 4, Width: 8, K: 1, Groups: []int{4, 2}},
		"rate":         {Arch: TopK, In: 4, Width: 8, K: 1, Rate: math.NaN()},
		"buffer":       {Arch: TopK, In: 4, Width: 8, K: 1, Buffer: 10},
	} {
		if _, err := New(c, w, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New(%+v) = %v, want an error about %s", c, err, name)
		}
	}
	w.fail = 2
	tr, err := New(Config{Arch: TopK, In: 4, Width: 8, K: 1, Batch: 2, Buffer: 2}, w, nil)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, _, err = tr.Step(t.Context())
	}
	if !errors.Is(err, errRead) {
		t.Errorf("Step() = %v, want %v", err, errRead)
	}
}
