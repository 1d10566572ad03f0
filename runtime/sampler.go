// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/trimtab/trimtab/internal/dot"
)

// Sampling says how the next token is chosen. The order is llama.cpp's: penalties, top-k, top-p, min-p, temperature. The zero value is greedy.
type Sampling struct {
	Temperature      float32 // 0 takes the likeliest token
	TopK             int     // keep this many; 0 keeps all
	TopP             float32 // keep the likeliest that together have this probability; 0 and 1 keep all
	MinP             float32 // drop those below this share of the likeliest; 0 keeps all
	RepeatPenalty    float32 // divides positive and multiplies negative logits of recent tokens (arXiv 1909.05858); 0 and 1 are off
	PresencePenalty  float32 // subtracted from logits of recent tokens
	FrequencyPenalty float32 // subtracted from logits of recent tokens, for each time they occur
	RepeatLast       int     // how many recent tokens the penalties look at; 0 is 64
	Seed             uint64  // the same seed gives the same tokens
}

// Sampler chooses tokens from logits. It belongs to one goroutine.
type Sampler struct {
	s          Sampling
	rng        *rand.Rand
	recent     []int32 // ring of the last RepeatLast tokens
	accepted   int
	sorted     []int32
	candidates []Candidate // LogProb holds the logit while candidates are narrowed down
	weights    []float64
	top        []Candidate
	raw        []float32 // logits before penalties
}

// mostRecent is the largest Sampling.RepeatLast: memory is set aside for so many tokens.
const mostRecent = 1 << 20

// NewSampler returns a sampler for logits of the given width.
func NewSampler(s Sampling, vocab int) (*Sampler, error) {
	for _, f := range []struct {
		name           string
		least, v, most float32
	}{
		{"temperature", 0, s.Temperature, 100},
		{"top-p", 0, s.TopP, 1},
		{"min-p", 0, s.MinP, 1},
		{"repeat penalty", 0, s.RepeatPenalty, 100},
		{"presence penalty", -100, s.PresencePenalty, 100},
		{"frequency penalty", -100, s.FrequencyPenalty, 100},
	} {
		if !(f.v >= f.least && f.v <= f.most) {
			return nil, fmt.Errorf("sampling: %s: want between %g and %g, found %g", f.name, f.least, f.most, f.v)
		}
	}
	if s.TopK < 0 {
		return nil, fmt.Errorf("sampling: top-k: want at least 0, found %d", s.TopK)
	}
	if s.RepeatLast < 0 || s.RepeatLast > mostRecent {
		return nil, fmt.Errorf("sampling: repeat-last: want between 0 and %d, found %d", mostRecent, s.RepeatLast)
	}
	if s.RepeatLast == 0 {
		s.RepeatLast = 64
	}
	out := &Sampler{s: s, rng: rand.New(rand.NewPCG(s.Seed, 0x7472696d746162))}
	if s.penalises() {
		out.recent = make([]int32, s.RepeatLast)
		out.sorted = make([]int32, 0, s.RepeatLast)
	}
	if s.Temperature > 0 {
		out.candidates = make([]Candidate, 0, vocab)
		out.weights = make([]float64, 0, vocab)
	}
	return out, nil
}

func (s Sampling) penalises() bool {
	return (s.RepeatPenalty != 0 && s.RepeatPenalty != 1) || s.PresencePenalty != 0 || s.FrequencyPenalty != 0
}

// Accept tells the penalties which tokens there are already.
func (s *Sampler) Accept(ids ...int32) {
	if s.recent == nil {
		return
	}
	for _, id := range ids {
		s.recent[s.accepted%len(s.recent)] = id
		s.accepted++
	}
}

// Sample chooses a token. It may write into logits. A logit that is not a number is never chosen while there is another.
func (s *Sampler) Sample(logits []float32) int32 {
	s.penalise(logits)
	best := int32(dot.Largest(logits))
	if s.s.Temperature == 0 || math.IsInf(float64(logits[best]), 0) || math.IsNaN(float64(logits[best])) {
		return best
	}
	s.narrow(logits, logits[best])
	return s.draw()
}

// SampleWithLogProbs is Sample with the token's log-probability and those of the n likeliest tokens, before penalties and narrowing.
// What it returns is valid until the next call.
func (s *Sampler) SampleWithLogProbs(logits []float32, n int) (id int32, logProb float32, top []Candidate) {
	norm := logSumExp(logits)
	s.top = largest(s.top[:0], logits, n)
	for i := range s.top {
		s.top[i].LogProb = float32(float64(s.top[i].LogProb) - norm)
	}
	s.raw = append(s.raw[:0], logits...)
	id = s.Sample(logits)
	return id, float32(float64(s.raw[id]) - norm), s.top
}

// penalise applies the penalties to the logits of recent tokens.
// rawLogProb returns the log-probability of any token in the logits that SampleWithLogProbs saw last.
func (s *Sampler) rawLogProb(id int32) float32 {
	return float32(float64(s.raw[id]) - logSumExp(s.raw))
}

func (s *Sampler) penalise(logits []float32) {
	if s.recent == nil {
		return
	}
	s.sorted = append(s.sorted[:0], s.recent[:min(s.accepted, len(s.recent))]...)
	slices.Sort(s.sorted)
	for i := 0; i < len(s.sorted); {
		id, n := s.sorted[i], 1
		for i+n < len(s.sorted) && s.sorted[i+n] == id {
			n++
		}
		if id >= 0 && int(id) < len(logits) {
			s.penaliseOne(&logits[id], float32(n))
		}
		i += n
	}
}

func (s *Sampler) penaliseOne(x *float32, times float32) {
	if r := s.s.RepeatPenalty; r != 0 && r != 1 {
		if *x > 0 {
			*x /= r
		} else {
			*x *= r
		}
	}
	*x -= s.s.PresencePenalty + times*s.s.FrequencyPenalty
}

// negligible is how far below the largest logit a token has no chance in a double: e^-40 is 4e-18.
const negligible = 40

// insertedTopK is the top-k up to which inserting the largest one by one is faster than sorting all that matter.
const insertedTopK = 256

// narrow leaves in s.candidates those that top-k, top-p and min-p let through, largest first.
func (s *Sampler) narrow(logits []float32, most float32) {
	k := s.s.TopK
	if 0 < k && k <= insertedTopK {
		s.candidates = largest(s.candidates[:0], logits, k)
	} else {
		s.candidates = above(s.candidates[:0], logits, most-negligible*max(1, s.s.Temperature))
		if k > 0 {
			s.candidates = s.candidates[:min(k, len(s.candidates))]
		}
	}
	weights, sum := s.softmax(1)
	keep := len(weights)
	if p := float64(s.s.TopP); p > 0 && p < 1 {
		part := 0.0
		for i, w := range weights {
			if part += w; part >= p*sum {
				keep = i + 1
				break
			}
		}
	}
	floor := float64(s.s.MinP) * weights[0]
	for keep > 1 && weights[keep-1] < floor {
		keep--
	}
	s.candidates = s.candidates[:keep]
}

// softmax fills s.weights with unnormalised probabilities at a temperature.
func (s *Sampler) softmax(temperature float32) (weights []float64, sum float64) {
	s.weights = s.weights[:0]
	most := s.candidates[0].LogProb
	for _, c := range s.candidates {
		w := math.Exp(float64((c.LogProb - most) / temperature))
		s.weights = append(s.weights, w)
		sum += w
	}
	return s.weights, sum
}

func (s *Sampler) draw() int32 {
	weights, sum := s.softmax(s.s.Temperature)
	at := s.rng.Float64() * sum
	for i, w := range weights {
		if at -= w; at < 0 {
			return s.candidates[i].ID
		}
	}
	return s.candidates[len(s.candidates)-1].ID
}

// largest appends the n largest values to dst, largest first, of equals the first first; what is not a number is left out.
func largest(dst []Candidate, x []float32, n int) []Candidate {
	n = min(n, len(x))
	for i, v := range x {
		if n < 1 || v != v || len(dst) == n && v <= dst[n-1].LogProb {
			continue
		}
		if len(dst) < n {
			dst = append(dst, Candidate{})
		}
		j := len(dst) - 1
		for ; j > 0 && dst[j-1].LogProb < v; j-- {
			dst[j] = dst[j-1]
		}
		dst[j] = Candidate{ID: int32(i), LogProb: v}
	}
	return dst
}

// above appends the values from a floor upwards to dst, largest first.
func above(dst []Candidate, x []float32, floor float32) []Candidate {
	for i, v := range x {
		if v >= floor {
			dst = append(dst, Candidate{ID: int32(i), LogProb: v})
		}
	}
	slices.SortFunc(dst, func(a, b Candidate) int {
		switch {
		case a.LogProb > b.LogProb:
			return -1
		case a.LogProb < b.LogProb:
			return 1
		}
		return int(a.ID - b.ID)
	})
	return dst
}

func logSumExp(x []float32) float64 {
	most := float64(x[dot.Largest(x)])
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - most)
	}
	return most + math.Log(sum)
}
