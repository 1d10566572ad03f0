// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

func newSampler(tb testing.TB, s Sampling, vocab int) *Sampler {
	tb.Helper()
	out, err := NewSampler(s, vocab)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// probabilities is the definition of Sampling, in float64 and without a thought for speed: what each token's chance is. recent are the tokens that the
// penalties look at.
func probabilities(s Sampling, logits []float32, recent []int32) []float64 {
	x := make([]float64, len(logits))
	for i, v := range logits {
		x[i] = float64(v)
		n := 0
		for _, id := range recent {
			if int(id) == i {
				n++
			}
		}
		if n == 0 {
			continue
		}
		if r := float64(s.RepeatPenalty); r > 0 && x[i] > 0 {
			x[i] /= r
		} else if r > 0 {
			x[i] *= r
		}
		x[i] -= float64(s.PresencePenalty) + float64(n)*float64(s.FrequencyPenalty)
	}
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return -cmp(x[a], x[b]) })
	if s.TopK > 0 {
		order = order[:min(s.TopK, len(order))]
	}
	plain := softmax64(x, order, 1)
	if s.TopP > 0 && s.TopP < 1 {
		sum := 0.0
		for i, id := range order {
			if sum += plain[id]; sum >= float64(s.TopP) {
				order = order[:i+1]
				break
			}
		}
	}
	for len(order) > 1 && plain[order[len(order)-1]] < float64(s.MinP)*plain[order[0]] {
		order = order[:len(order)-1]
	}
	if s.Temperature == 0 {
		order = order[:1]
		s.Temperature = 1
	}
	return softmax64(x, order, float64(s.Temperature))
}

func cmp(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// softmax64 is the softmax over some places of x; the others have 0.
func softmax64(x []float64, at []int, temperature float64) []float64 {
	out, sum := make([]float64, len(x)), 0.0
	for _, i := range at {
		out[i] = math.Exp((x[i] - x[at[0]]) / temperature)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

func spread(n int, scale float64) []float32 {
	r := rand.New(rand.NewPCG(uint64(n), 5))
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(r.NormFloat64() * scale)
	}
	return out
}

// TestDistribution draws with a fixed seed and compares counts with the definition's probabilities by Pearson's test.
func TestDistribution(t *testing.T) {
	recent := []int32{3, 5, 3, 3, 0}
	for _, c := range []struct {
		name string
		s    Sampling
	}{
		{"plain", Sampling{Temperature: 1}},
		{"cold", Sampling{Temperature: 0.4}},
		{"hot", Sampling{Temperature: 3}},
		{"top-k", Sampling{Temperature: 1, TopK: 5}},
		{"top-k of all", Sampling{Temperature: 1, TopK: 40}},
		{"top-k past all", Sampling{Temperature: 1, TopK: 1000}},
		{"top-p", Sampling{Temperature: 1, TopP: 0.7}},
		{"top-p before temperature", Sampling{Temperature: 2, TopP: 0.7}},
		{"min-p", Sampling{Temperature: 1, MinP: 0.1}},
		{"min-p before temperature", Sampling{Temperature: 0.3, MinP: 0.1}},
		{"all three", Sampling{Temperature: 0.8, TopK: 20, TopP: 0.9, MinP: 0.05}},
		{"repeat penalty", Sampling{Temperature: 1, RepeatPenalty: 1.7}},
		{"repeat reward", Sampling{Temperature: 1, RepeatPenalty: 0.5}},
		{"presence", Sampling{Temperature: 1, PresencePenalty: 1}},
		{"frequency", Sampling{Temperature: 1, FrequencyPenalty: 0.6}},
		{"penalties before top-k", Sampling{Temperature: 1, TopK: 4, RepeatPenalty: 2, PresencePenalty: 0.5, FrequencyPenalty: 0.5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const draws = 20000
			logits := spread(40, 1.5)
			want := probabilities(c.s, logits, recent)
			c.s.Seed = 1
			s := newSampler(t, c.s, len(logits))
			s.Accept(recent...)
			counts := make([]float64, len(logits))
			for range draws {
				counts[s.Sample(slices.Clone(logits))]++
			}
			statistic, free, rare, rareWant := 0.0, -1.0, 0.0, 0.0
			for i, n := range counts {
				expected := want[i] * draws
				if want[i] == 0 && n > 0 {
					t.Errorf("token %d was drawn %v times, want never", i, n)
				}
				if expected < 10 { // the test's approximation wants more: the rare ones count together
					rare, rareWant = rare+n, rareWant+expected
					continue
				}
				statistic += (n - expected) * (n - expected) / expected
				free++
			}
			if rareWant > 0 {
				statistic += (rare - rareWant) * (rare - rareWant) / max(rareWant, 1)
				free++
			}
			if free < 1 {
				t.Fatal("the case leaves fewer than two tokens: it shows nothing")
			}
			// One right sampler in ten thousand is beyond; the seed is fixed.
			if limit := (distuv.ChiSquared{K: free}).Quantile(0.9999); !(statistic < limit) {
				t.Errorf("chi-square is %.1f with %v degrees of freedom, want below %.1f", statistic, free, limit)
			}
		})
	}
}

// TestNarrowing holds which tokens remain, over many random logits, ties among them.
func TestNarrowing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		logits := make([]float32, 1+r.IntN(400))
		for j := range logits {
			logits[j] = float32(math.Round(r.NormFloat64()*20) / 8)
		}
		s := Sampling{Temperature: 0.7, TopK: r.IntN(500), TopP: float32(r.IntN(9)) / 8, MinP: float32(r.IntN(4)) / 16}
		sampler := newSampler(t, s, len(logits))
		sampler.narrow(logits, logits[argmax(logits)])
		var got, want []int
		for _, c := range sampler.candidates {
			got = append(got, int(c.ID))
		}
		for id, p := range probabilities(s, logits, nil) {
			if p > 0 {
				want = append(want, id)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("case %d, %+v over %d logits: tokens %v remain, want %v", i, s, len(logits), got, want)
		}
	}
}

// TestBothWaysToTheLargest: inserting and sorting give the same candidates.
func TestBothWaysToTheLargest(t *testing.T) {
	logits := spread(3000, 4)
	for i := range logits[:1500] {
		logits[2*i] = float32(math.Round(float64(logits[2*i]))) // ties
	}
	all := above(nil, logits, -1000)
	for _, n := range []int{0, 1, 2, 100, 2999, 3000, 5000} {
		if got := largest(nil, logits, n); !slices.Equal(got, all[:min(n, len(all))]) {
			t.Errorf("the %d largest differ from the first of all", n)
		}
	}
}

func TestGreedy(t *testing.T) {
	s := newSampler(t, Sampling{}, 5)
	for _, c := range []struct {
		logits []float32
		want   int32
	}{{[]float32{1, 3, 2, 3, 0}, 1}, {[]float32{-5, -4, -6}, 1}, {[]float32{7}, 0}} {
		if got := s.Sample(c.logits); got != c.want {
			t.Errorf("Sample(%v) = %d, want %d", c.logits, got, c.want)
		}
	}
	penalised := newSampler(t, Sampling{RepeatPenalty: 2}, 3)
	penalised.Accept(1)
	if got := penalised.Sample([]float32{1.6, 3, -1}); got != 0 {
		t.Errorf("with a penalty on token 1, %d is chosen, want 0", got)
	}
}

// TestBrokenLogits: a model may compute anything; the sampler chooses something and never fails.
func TestBrokenLogits(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, s := range []Sampling{{}, {Temperature: 1}, {Temperature: 1, TopK: 2}, {Temperature: 1, TopP: 0.5, MinP: 0.1}, {RepeatPenalty: 2}, {Temperature: 100}, {Temperature: math.SmallestNonzeroFloat32}} {
		for _, c := range []struct {
			name   string
			logits []float32
			want   []int32
		}{
			{"all NaN", []float32{nan, nan}, []int32{0, 1}},
			{"first NaN", []float32{nan, 1, 90}, []int32{2}},
			{"NaN in between", []float32{90, nan, 1}, []int32{0}},
			{"all masked", []float32{-inf, -inf}, []int32{0, 1}},
			{"one left", []float32{-inf, -3, -inf}, []int32{1}},
			{"infinite", []float32{0, inf, 0}, []int32{1}},
			{"huge", []float32{0, math.MaxFloat32, -math.MaxFloat32}, []int32{1}},
		} {
			sampler := newSampler(t, s, len(c.logits))
			sampler.Accept(0, -1, 1<<30)
			id, _, top := sampler.SampleWithLogProbs(slices.Clone(c.logits), 2)
			if s.Temperature < 100 && !slices.Contains(c.want, id) {
				t.Errorf("%s, %+v: token %d, want one of %v", c.name, s, id, c.want)
			}
			if len(top) > 2 {
				t.Errorf("%s: %d candidates, want at most 2", c.name, len(top))
			}
		}
	}
}

func TestPenaltiesForgetTokens(t *testing.T) {
	s := newSampler(t, Sampling{PresencePenalty: 10, RepeatLast: 3}, 4)
	logits := func() []float32 { return []float32{4, 3, 2, 1} }
	s.Accept(0, 1, 2)
	if got := s.Sample(logits()); got != 3 {
		t.Errorf("with 0, 1 and 2 taken, %d is chosen", got)
	}
	s.Accept(3) // 0 is four tokens ago now
	if got := s.Sample(logits()); got != 0 {
		t.Errorf("with 1, 2 and 3 taken, %d is chosen", got)
	}
	s = newSampler(t, Sampling{PresencePenalty: 10}, 4)
	s.Accept(0)
	s.Accept(slices.Repeat([]int32{1}, 63)...)
	if got := s.Sample(logits()); got != 2 {
		t.Errorf("63 tokens later %d is chosen, want 2: the penalty looks at 64", got)
	}
	s.Accept(1)
	if got := s.Sample(logits()); got != 0 {
		t.Errorf("64 tokens later %d is chosen, want 0", got)
	}
}

func TestSeed(t *testing.T) {
	draw := func(seed uint64) (out []int32) {
		s := newSampler(t, Sampling{Temperature: 1, Seed: seed}, 50)
		for range 30 {
			out = append(out, s.Sample(spread(50, 1)))
		}
		return out
	}
	if !slices.Equal(draw(7), draw(7)) {
		t.Error("one seed gives different tokens")
	}
	if slices.Equal(draw(7), draw(8)) {
		t.Error("two seeds give the same tokens")
	}
}

func TestLogProbabilities(t *testing.T) {
	logits := spread(100, 3)
	exact := probabilities(Sampling{Temperature: 1}, logits, nil)
	for _, s := range []Sampling{{}, {Temperature: 0.8, TopK: 3, Seed: 4}, {Temperature: 2, RepeatPenalty: 3, PresencePenalty: 2}} {
		for _, n := range []int{0, 1, 5, 100, 1000} {
			sampler := newSampler(t, s, len(logits))
			sampler.Accept(argmax(logits))
			id, logProb, top := sampler.SampleWithLogProbs(slices.Clone(logits), n)
			again := newSampler(t, s, len(logits))
			again.Accept(argmax(logits))
			if plain := again.Sample(slices.Clone(logits)); plain != id {
				t.Errorf("%+v: with log-probabilities token %d, without %d", s, id, plain)
			}
			// They are float32 of numbers up to about 20.
			if d := math.Abs(float64(logProb) - math.Log(exact[id])); !(d <= 2e-6) {
				t.Errorf("%+v: log-probability %v of token %d, want %v: before penalties and temperature", s, logProb, id, math.Log(exact[id]))
			}
			if len(top) != min(n, len(logits)) {
				t.Errorf("%d candidates, want %d", len(top), min(n, len(logits)))
			}
			sum := 0.0
			for i, c := range top {
				sum += math.Exp(float64(c.LogProb))
				if i > 0 && c.LogProb > top[i-1].LogProb || !(math.Abs(float64(c.LogProb)-math.Log(exact[c.ID])) <= 2e-6) {
					t.Errorf("candidate %d is %+v, want log-probability %v, likeliest first", i, c, math.Log(exact[c.ID]))
				}
			}
			if n >= len(logits) && !(math.Abs(sum-1) <= 1e-5) { // a hundred roundings
				t.Errorf("the probabilities add up to %v", sum)
			}
		}
	}
}

func TestSamplingDoesNotAllocate(t *testing.T) {
	logits := spread(1000, 2)
	buf := make([]float32, len(logits))
	for name, s := range map[string]Sampling{"greedy": {}, "sampled": {Temperature: 1, TopP: 0.9}, "large top-k": {Temperature: 1, TopK: 900}, "penalties": {Temperature: 1, RepeatPenalty: 1.2}} {
		sampler := newSampler(t, s, len(logits))
		step := func() {
			copy(buf, logits)
			id, _, _ := sampler.SampleWithLogProbs(buf, 10)
			sampler.Accept(id)
		}
		step() // the first call makes buffers
		if n := testing.AllocsPerRun(20, step); n != 0 {
			t.Errorf("%s: %v allocations a token, want 0", name, n)
		}
	}
}

func TestSamplingRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		s    Sampling
		want string
	}{
		{Sampling{Temperature: -1}, "temperature"},
		{Sampling{Temperature: nan}, "temperature"},
		{Sampling{Temperature: float32(math.Inf(1))}, "temperature"},
		{Sampling{TopP: 1.5}, "top-p"},
		{Sampling{TopP: -0.1}, "top-p"},
		{Sampling{MinP: 2}, "min-p"},
		{Sampling{TopK: -1}, "top-k"},
		{Sampling{RepeatPenalty: -1}, "repeat penalty"},
		{Sampling{PresencePenalty: nan}, "presence penalty"},
		{Sampling{FrequencyPenalty: float32(math.Inf(-1))}, "frequency penalty"},
		{Sampling{RepeatLast: -1}, "repeat-last"},
		{Sampling{RepeatLast: 1 << 40}, "repeat-last"},
	} {
		if _, err := NewSampler(c.s, 10); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "want") {
			t.Errorf("%+v: %v, want an error about %s", c.s, err, c.want)
		}
	}
}

func BenchmarkSample(b *testing.B) {
	logits := spread(49152, 3)
	buf := make([]float32, len(logits))
	for _, s := range []Sampling{{}, {Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05}, {Temperature: 0.8}, {Temperature: 0.8, TopK: 10000}} {
		b.Run(fmt.Sprintf("temperature %g, top-k %d", s.Temperature, s.TopK), func(b *testing.B) {
			sampler := newSampler(b, s, len(logits))
			b.ReportAllocs()
			for b.Loop() {
				copy(buf, logits)
				sampler.Sample(buf)
			}
		})
	}
}

// argmax is what a greedy sampler chooses, written plainly.
func argmax(x []float32) int32 {
	best, at := float32(math.Inf(-1)), 0
	for i, v := range x {
		if v > best {
			best, at = v, i
		}
	}
	return int32(at)
}
