// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

func randomVector(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 9))
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(r.NormFloat64())
	}
	return out
}

func unitDictionary(seed uint64, n, d int) []float32 {
	m := randomVector(seed, n*d)
	unitRows(m, d)
	return m
}

func pursueFlat(t testing.TB, rows []float32, d int, rule PursuitRule) *Dictionary {
	t.Helper()
	dict, err := New(&Form{In: d, Out: d, N: len(rows) / d, Dec: rows, Act: Activation{Kind: Pursuit, Pursuit: rule}})
	if err != nil {
		t.Fatal(err)
	}
	return dict
}

// example has every part a form can have, with numbers of the size that real ones have.
func example(kind Kind, norm Norm) *Form { return exampleOf(kind, norm, 60) }

// exampleOf is a form of n features, a multiple of 12.
func exampleOf(kind Kind, norm Norm, n int) *Form {
	const d = 24
	f := &Form{
		In: d, Out: d, N: n, Norm: norm, Scale: 0.4, PreSub: randomVector(1, d), Enc: randomVector(2, n*d), EncBias: randomVector(3, n),
		Dec: randomVector(4, n*d), DecBias: randomVector(5, d), Act: Activation{Kind: kind},
	}
	if norm == ConstantNorm {
		f.OutScale = 1 / f.Scale
	}
	a := &f.Act
	switch kind {
	case TopK, RawTopK, AbsTopK:
		a.K = 7
	case GroupMax:
		a.K = 12
	case JumpReLU:
		a.Threshold = randomVector(6, n)
	case Gated:
		a.GateBias, a.MagBias, a.MagScale = randomVector(6, n), randomVector(7, n), randomVector(8, n)
		exponentiate(a.MagScale)
		f.EncBias = nil
	case TopAFA:
		f.EncBias = nil
	case Pursuit:
		f.Enc, f.EncBias = nil, nil
		unitRows(f.Dec, d)
		a.Pursuit = PursuitRule{Method: Matching, K: 9}
	}
	return f
}

// plain is the twin of Coder: one line a formula, in double precision, everything sorted.
func plain(f *Form, x []float32) []float32 {
	scale, shift := f.stats(x)
	in := make([]float64, f.In)
	for i, v := range x {
		in[i] = (float64(v) - shift) * scale
		if f.PreSub != nil {
			in[i] -= float64(f.PreSub[i])
		}
	}
	u := make([]float64, f.N)
	for i := range u {
		for j, v := range in {
			u[i] += float64(f.Enc[i*f.In+j]) * v
		}
		if f.EncBias != nil && f.Act.Kind != Gated {
			u[i] += float64(f.EncBias[i])
		}
	}
	z := make([]float32, f.N)
	keep := func(score func(i int) float64, k int) {
		order := make([]int, f.N)
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(score(b), score(a)) })
		for _, i := range order[:k] {
			z[i] = float32(u[i])
		}
	}
	relu := func() {
		for i := range z {
			z[i] = max(z[i], 0)
		}
	}
	a := &f.Act
	switch a.Kind {
	case ReLU, TanhReLU:
		keep(func(i int) float64 { return u[i] }, f.N)
		relu()
		if a.Kind == TanhReLU {
			for i := range z {
				z[i] = float32(math.Tanh(float64(z[i])))
			}
		}
	case JumpReLU:
		for i := range z {
			if u[i] > float64(a.Threshold[i]) {
				z[i] = float32(max(u[i], 0))
			}
		}
	case TopK:
		keep(func(i int) float64 {
			if a.Gate != nil {
				return u[i] * float64(a.Gate[i])
			}
			return u[i]
		}, a.K)
		relu()
	case RawTopK:
		keep(func(i int) float64 { return u[i] }, a.K)
	case AbsTopK:
		keep(func(i int) float64 { return math.Abs(u[i]) }, a.K)
	case GroupMax:
		for g := range a.K {
			best, size := g*f.N/a.K, f.N/a.K
			for i := g * size; i < (g+1)*size; i++ {
				if u[i] > u[best] {
					best = i
				}
			}
			z[best] = float32(max(u[best], 0))
		}
	case Gated:
		for i := range z {
			if u[i]+float64(a.GateBias[i]) > 0 {
				z[i] = float32(max(u[i]*float64(a.MagScale[i])+float64(a.MagBias[i]), 0))
			}
		}
	}
	return z
}

func TestCoderEqualsItsPlainTwin(t *testing.T) {
	for kind := ReLU; kind <= Gated; kind++ {
		for norm := NoNorm; norm <= LayerNorm; norm++ {
			f := example(kind, norm)
			if kind == TopK && norm == LayerNorm {
				f.Act.Gate = rowNorms(f.Dec, f.Out)
			}
			d, err := New(f)
			if err != nil {
				t.Fatal(err)
			}
			coder := d.NewCoder()
			for seed := range uint64(20) {
				x := randomVector(100+seed, f.In)
				for i := range x {
					x[i] = x[i]*float32(seed) + 3
				}
				got, want := dense(coder.Encode(nil, x), f.N), plain(f, x)
				// Single against double precision over 24 products; behind tanh the largest value is 1 where u was up to 60.
				tolerance := 3e-6
				if kind == TanhReLU {
					tolerance = 3e-5
				}
				if e := worst(t, got, want); e > tolerance || !sameSupport(got, want) {
					t.Errorf("%s, norm %d: off by %.2g\n got %v\nwant %v", kind, norm, e, got, want)
				}
			}
		}
	}
}

// TestEditEqualsDecodingTheEditedCode is the identity that makes edits cheap, for every kind and norm.
func TestEditEqualsDecodingTheEditedCode(t *testing.T) {
	for kind := ReLU; kind <= Pursuit; kind++ {
		for norm := NoNorm; norm <= LayerNorm; norm++ {
			d, err := New(example(kind, norm))
			if err != nil {
				t.Fatal(err)
			}
			f := d.Form
			x := randomVector(42, f.In)
			code := d.NewCoder().Encode(nil, x)
			edits, err := d.Edits(
				Edit{3, Set, 2}, Edit{int(code[0].Index), Scale, 3}, Edit{int(code[len(code)-1].Index), AtMost, 0.1},
				Edit{50, Add, -1}, Edit{50, AtMost, -2}, Edit{51, AtLeast, 0.5}, Edit{3, Add, 1},
			)
			if err != nil {
				t.Fatal(err)
			}
			h := slices.Clone(x)
			d.Edit(h, code, h, edits)
			changed := dense(code, f.N)
			for _, e := range edits { // in their order, by feature
				changed[e.Feature] = e.apply(changed[e.Feature])
			}
			var after []Feature
			for i, v := range changed {
				if v != 0 {
					after = append(after, Feature{int32(i), v})
				}
			}
			before, then := make([]float32, f.Out), make([]float32, f.Out)
			d.Decode(before, code, x)
			d.Decode(then, after, x)
			for i := range then {
				then[i] += x[i] - before[i]
			}
			if e := worst(t, h, then); e > 1e-5 {
				t.Errorf("%s, norm %d: off by %.2g", kind, norm, e)
			}
		}
	}
}

func TestEditToThePresentValueLeavesEveryBit(t *testing.T) {
	for kind := ReLU; kind <= Pursuit; kind++ {
		d, err := New(example(kind, LayerNorm))
		if err != nil {
			t.Fatal(err)
		}
		x := randomVector(43, d.Form.In)
		code := d.NewCoder().Encode(nil, x)
		inactive := 0
		for value(code, inactive) != 0 {
			inactive++
		}
		edits, err := d.Edits(Edit{int(code[0].Index), Set, code[0].Value}, Edit{inactive, Set, 0}, Edit{int(code[len(code)-1].Index), Scale, 1})
		if err != nil {
			t.Fatal(err)
		}
		h := slices.Clone(x)
		d.Edit(h, code, x, edits)
		if !slices.Equal(h, x) {
			t.Errorf("%s: the activation changed", kind)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	for kind := ReLU; kind <= Pursuit; kind++ {
		d, err := New(example(kind, LayerNorm))
		if err != nil {
			t.Fatal(err)
		}
		f, coder := d.Form, d.NewCoder()
		x, out := randomVector(44, f.In), make([]float32, f.Out)
		code := coder.Encode(make([]Feature, 0, f.N), x)
		edits, err := d.Edits(Edit{3, Set, 2}, Edit{4, Add, 2})
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(10, func() {
			code = coder.Encode(code[:0], x)
			d.Decode(out, code, x)
			d.Edit(out, code, x, edits)
		}); n != 0 {
			t.Errorf("%s: %v allocations an activation, want none", kind, n)
		}
	}
}

func TestTies(t *testing.T) {
	// Four equal features: the lowest indices win, and a top-k of more than there are keeps all.
	rows := []float32{1, 0, 1, 0, 1, 0, 1, 0}
	for _, tc := range []struct {
		kind Kind
		k    int
		want []Feature
	}{
		{TopK, 2, []Feature{{0, 1}, {1, 1}}},
		{AbsTopK, 3, []Feature{{0, 1}, {1, 1}, {2, 1}}},
		{TopK, 9, []Feature{{0, 1}, {1, 1}, {2, 1}, {3, 1}}},
		{GroupMax, 2, []Feature{{0, 1}, {2, 1}}},
	} {
		d, err := New(&Form{In: 2, Out: 2, N: 4, Enc: rows, Dec: rows, Act: Activation{Kind: tc.kind, K: tc.k}})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.NewCoder().Encode(nil, []float32{1, 5}); !slices.Equal(got, tc.want) {
			t.Errorf("%s %d: %v, want %v", tc.kind, tc.k, got, tc.want)
		}
	}
}

// TestGramRowsChangeNothing compares a pursuit that updates its products with one that computes them anew.
func TestGramRowsChangeNothing(t *testing.T) {
	const d, n = 32, 200
	rows := unitDictionary(3, n, d)
	for _, method := range []Method{Matching, NonNegativeMatching, PlainMatching, Gradient} {
		with := pursueFlat(t, rows, d, PursuitRule{Method: method, K: 20})
		without := pursueFlat(t, rows, d, PursuitRule{Method: method, K: 20})
		without.gram.used.Store(gramBudget)
		a, b := with.NewCoder(), without.NewCoder()
		for seed := range uint64(50) {
			x := randomVector(1000+seed, d)
			got, want := dense(a.Encode(nil, x), n), dense(b.Encode(nil, x), n)
			// Twenty updates in single precision; a tie nearer than that would flip, which these seeds have none of.
			if e := worst(t, got, want); e > 1e-5 || !sameSupport(got, want) {
				t.Errorf("%s, seed %d: off by %.2g", method, seed, e)
			}
		}
	}
}

// TestCodersShareTables lets several goroutines fill one table of products.
func TestCodersShareTables(t *testing.T) {
	const d, n, workers = 16, 120, 4
	dict := pursueFlat(t, unitDictionary(5, n, d), d, PursuitRule{Method: Matching, K: 12})
	codes := make([][]Feature, workers)
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			coder := dict.NewCoder()
			for seed := range uint64(40) {
				codes[w] = coder.Encode(codes[w], randomVector(seed, d))
			}
		})
	}
	wait.Wait()
	for w := range workers {
		if !slices.Equal(codes[w], codes[0]) {
			t.Errorf("worker %d found other codes than worker 0", w)
		}
	}
}

func TestParseEdit(t *testing.T) {
	for _, tc := range []struct {
		text string
		want Edit
		ok   bool
	}{
		{"12=3.5", Edit{12, Set, 3.5}, true},
		{"12+=3", Edit{12, Add, 3}, true},
		{"0*=-2", Edit{0, Scale, -2}, true},
		{"7>=1e2", Edit{7, AtLeast, 100}, true},
		{"7<=0", Edit{7, AtMost, 0}, true},
		{"7", Edit{}, false},
		{"=1", Edit{}, false},
		{"x=1", Edit{}, false},
		{"-1=1", Edit{}, false},
		{"1=inf", Edit{}, false},
		{"1=nan", Edit{}, false},
		{"1==2", Edit{}, false},
		{"1-=2", Edit{}, false},
	} {
		got, err := ParseEdit(tc.text)
		if (err == nil) != tc.ok || got != tc.want {
			t.Errorf("ParseEdit(%q) = %v, %v, want %v", tc.text, got, err, tc.want)
		}
		if tc.ok {
			if again, err := ParseEdit(got.String()); err != nil || again != got {
				t.Errorf("ParseEdit(%q) = %v, %v", got, again, err)
			}
		}
	}
	d, err := New(example(ReLU, NoNorm))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []Edit{{-1, Set, 0}, {60, Set, 0}, {1, Op(9), 0}, {1, Set, float32(math.NaN())}} {
		if _, err := d.Edits(e); err == nil {
			t.Errorf("Edits(%+v) = nil, want an error", e)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for name, spoil := range map[string]func(f *Form){
		"no features":        func(f *Form) { f.N = 0 },
		"short decoder":      func(f *Form) { f.Dec = f.Dec[1:] },
		"no encoder":         func(f *Form) { f.Enc = nil },
		"long bias":          func(f *Form) { f.EncBias = append(f.EncBias, 1) },
		"NaN":                func(f *Form) { f.Dec[17] = nan },
		"k of 0":             func(f *Form) { f.Act.K = 0 },
		"groups":             func(f *Form) { f.Act = Activation{Kind: GroupMax, K: 7} },
		"unknown kind":       func(f *Form) { f.Act.Kind = 99 },
		"no threshold":       func(f *Form) { f.Act = Activation{Kind: JumpReLU} },
		"NaN threshold":      func(f *Form) { f.Act = Activation{Kind: JumpReLU, Threshold: constant(f.N, nan)} },
		"unknown norm":       func(f *Form) { f.Norm = 9 },
		"no scale":           func(f *Form) { f.Norm, f.Scale = ConstantNorm, 0 },
		"pursuit without k":  func(f *Form) { f.Act = Activation{Kind: Pursuit} },
		"pursuit to another": func(f *Form) { f.Act, f.Out = Activation{Kind: Pursuit, Pursuit: PursuitRule{K: 1}}, 12 },
	} {
		f := example(TopK, NoNorm)
		spoil(f)
		if _, err := New(f); err == nil {
			t.Errorf("%s: New = nil, want an error", name)
		}
	}
	f := example(JumpReLU, NoNorm)
	f.Act.Threshold[0] = float32(math.Inf(1))
	if _, err := New(f); err != nil {
		t.Errorf("infinite threshold: %v", err)
	}
}
