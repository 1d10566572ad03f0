// SPDX-License-Identifier: Apache-2.0

package itda

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/steering/dictionary"
)

const width = 16

// stream is rows that are sums of a few of forty directions, the same for the same seed.
func stream(seed uint64, rows int) []float32 {
	parts := rand.New(rand.NewPCG(1, 1))
	m := make([]float64, 40*width)
	for i := range m {
		m[i] = parts.NormFloat64()
	}
	r := rand.New(rand.NewPCG(seed, 2))
	out := make([]float32, rows*width)
	for i := range rows {
		for range 3 {
			part, weight := r.IntN(40), 1+r.Float64()
			for k := range width {
				out[i*width+k] += float32(weight * m[part*width+k])
			}
		}
	}
	return out
}

func at(text int) func(row int) dictionary.Atom {
	return func(row int) dictionary.Atom { return dictionary.Atom{Text: text, Position: row} }
}

func fit(t *testing.T, s Settings, batches int) *Trainer {
	t.Helper()
	f, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	for i := range batches {
		f.Step(stream(uint64(i), 50), at(i))
	}
	return f
}

// plain is the rule as it is written down: seeds, then each bad row of a batch against the atoms before the batch.
func plain(t *testing.T, s Settings, batches int) (atoms []dictionary.Atom) {
	t.Helper()
	var m []float32
	unit := func(x []float32) []float32 {
		out := slices.Clone(x)
		for i := range out {
			out[i] = float32(float64(x[i]) / math.Sqrt(square(x)))
		}
		return out
	}
	for b := range batches {
		rows, i := stream(uint64(b), 50), 0
		for ; i < 50 && len(atoms) < s.Width; i++ {
			m = append(m, unit(rows[i*width:(i+1)*width])...)
			atoms = append(atoms, dictionary.Atom{Text: b, Position: i})
		}
		form := &dictionary.Form{In: width, Out: width, N: len(atoms), Dec: slices.Clone(m)}
		form.Act = dictionary.Activation{Kind: dictionary.Pursuit, Pursuit: dictionary.PursuitRule{K: s.K}}
		d, err := dictionary.New(form)
		if err != nil {
			t.Fatal(err)
		}
		coder, y := d.NewCoder(), make([]float32, width)
		for ; i < 50; i++ {
			x := rows[i*width : (i+1)*width]
			d.Decode(y, coder.Encode(nil, x), nil)
			product, unitError := 0.0, 0.0
			for k, v := range x {
				product += float64(v) * float64(y[k])
				unitError += math.Pow(float64(v)/math.Sqrt(square(x))-float64(y[k])/math.Sqrt(square(y)), 2) / width
			}
			bad := map[Rule]bool{
				Cosine: product/math.Sqrt(square(x)*square(y)) < s.Threshold, Mean: unitError > s.Threshold,
				Square: square(x)-2*product+square(y) > s.Threshold,
			}[s.Rule]
			if bad && len(atoms) < s.Most {
				m = append(m, unit(x)...)
				atoms = append(atoms, dictionary.Atom{Text: b, Position: i})
			}
		}
	}
	return atoms
}

func TestTrainerFollowsItsRule(t *testing.T) {
	for _, s := range []Settings{
		{Width: width, Most: 1000, K: 4, Rule: Cosine, Threshold: 0.95},
		{Width: width, Most: 1000, K: 4, Rule: Mean, Threshold: 0.1 / width},
		{Width: width, Most: 1000, K: 3, Rule: Square, Threshold: 9},
		{Width: width, Most: 30, K: 4, Rule: Cosine, Threshold: 0.99},
		{Width: width, Most: 5, K: 4, Rule: Cosine, Threshold: 0.99},
	} {
		want := plain(t, s, 12)
		f := fit(t, s, 12)
		if s.Most >= width && len(want) <= width {
			t.Fatalf("%+v: no atom beyond the seeds: the test shows nothing", s)
		}
		if s.Most < width {
			want = want[:s.Most]
		}
		if !slices.Equal(f.atoms, want) {
			t.Errorf("%+v: %d atoms, want %d: %v, want %v", s, len(f.atoms), len(want), f.atoms, want)
		}
		if f.Full() != (len(want) == s.Most) {
			t.Errorf("%+v: Full() = %v with %d atoms", s, f.Full(), len(want))
		}
	}
}

func TestMassiveRowsAreLeftOut(t *testing.T) {
	rows := stream(1, 50)
	for i := range width {
		rows[7*width+i] *= 50
		rows[8*width+i] = 0
		rows[9*width+i] = float32(math.NaN())
	}
	for massive, want := range map[bool]int{false: 3, true: 2} {
		f, err := New(Settings{Width: width, Most: 100, K: 2, Rule: Cosine, Threshold: 0.9, Massive: massive})
		if err != nil {
			t.Fatal(err)
		}
		f.Step(rows, at(0))
		if _, left := f.Seen(); left != want {
			t.Errorf("massive %v: %d rows left out, want %d", massive, left, want)
		}
	}
}

func TestResumeGoesOnAsIfNothingHadHappened(t *testing.T) {
	s := Settings{Width: width, Most: 1000, K: 4, Rule: Cosine, Threshold: 0.95}
	whole := fit(t, s, 12)
	part := fit(t, s, 5)
	path := filepath.Join(t.TempDir(), "unfinished.safetensors")
	if err := part.Save(path, 5, "texts"); err != nil {
		t.Fatal(err)
	}
	again, next, err := Resume(path, "texts", s)
	if err != nil || next != 5 {
		t.Fatalf("Resume = %d, %v", next, err)
	}
	for i := next; i < 12; i++ {
		again.Step(stream(uint64(i), 50), at(i))
	}
	if !slices.Equal(again.atoms, whole.atoms) || !slices.Equal(again.growth.Atoms(), whole.growth.Atoms()) || again.tokens != whole.tokens {
		t.Errorf("%d atoms of %d rows after a break, %d of %d without", again.Len(), again.tokens, whole.Len(), whole.tokens)
	}
	if _, _, err := Resume(path, "others", s); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("Resume with another note = %v, want an error that says what to do", err)
	}
	s.Threshold = 0.9
	if _, _, err := Resume(path, "texts", s); err == nil {
		t.Error("Resume with another threshold = nil error")
	}
}

func TestDistinct(t *testing.T) {
	s := Settings{Width: width, Most: 1000, K: 4, Rule: Cosine, Threshold: 0.97}
	f := fit(t, s, 12)
	all, err := f.Dictionary(0)
	if err != nil {
		t.Fatal(err)
	}
	some, err := f.Dictionary(0.8)
	if err != nil {
		t.Fatal(err)
	}
	n := some.Form.N
	if n >= all.Form.N || n < width || len(some.Atoms) != n {
		t.Fatalf("%d of %d atoms stay, with %d sources", n, all.Form.N, len(some.Atoms))
	}
	for i := range n {
		for j := range i {
			c := 0.0
			for k, v := range some.Row(i) {
				c += float64(v) * float64(some.Row(j)[k])
			}
			if math.Abs(c) > 0.8+1e-6 {
				t.Fatalf("atoms %d and %d have cosine %v, want at most 0.8", j, i, c)
			}
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for _, s := range []Settings{
		{}, {Width: 4, Most: 1, K: 1}, {Width: 0, Most: 1, K: 1, Rule: Cosine}, {Width: 576, Most: 9, K: 9, Rule: Mean, Threshold: 0.01},
	} {
		if _, err := New(s); err == nil {
			t.Errorf("New(%+v) = nil error", s)
		}
	}
}

func TestParseThreshold(t *testing.T) {
	for in, want := range map[string]Rule{"cos:0.85": Cosine, "mse:4e-4": Mean, "square:3": Square, "cos:-0.2": Cosine} {
		if got, _, err := ParseThreshold(in); got != want || err != nil {
			t.Errorf("ParseThreshold(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "cos", "cos:", "cos:2", "mse:-1", "l1:3", "cos:NaN", "mse:Inf"} {
		if _, _, err := ParseThreshold(in); err == nil {
			t.Errorf("ParseThreshold(%q) = nil error", in)
		}
	}
}

// TestMemoryIsFlatInTokens: once a dictionary is full of what there is to learn, more rows leave the heap as it is.
func TestMemoryIsFlatInTokens(t *testing.T) {
	f := fit(t, Settings{Width: width, Most: 1000, K: 8, Rule: Cosine, Threshold: 0.5}, 20)
	rows := stream(5, 50)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, n := heap(), f.Len()
	for range 2000 {
		f.Step(rows, at(5))
	}
	// 100,000 rows are 6.4 MB; what the tests' own machinery takes is far below a tenth of that.
	if after := heap(); f.Len() == n && after > before+600<<10 {
		t.Errorf("heap grew from %d to %d bytes over 100,000 rows", before, after)
	}
	if f.Len() != n {
		t.Errorf("%d atoms became %d on rows seen before", n, f.Len())
	}
}
