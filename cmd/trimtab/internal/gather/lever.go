// SPDX-License-Identifier: Apache-2.0

package gather

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/dose"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering/concepts"
)

// Pusher measures what pushing the activations of an answer does to its tokens: to the logits behind the last token of a prompt, and behind each token of what
// the model itself goes on with.
type Pusher struct {
	session *runtime.Session
	texts   []text
	factor  float64
	push    []float32
	by      float64
	from    int          // position from which on activations are pushed
	random  [][]measured // by direction and text
	width   int
}

// text is a prompt with the model's own continuation.
type text struct {
	ids   []int32
	from  int         // of the prompt's last token
	plain [][]float32 // logits from there on
}

// measured is one text under one push, promoted and suppressed.
type measured struct{ up, down [][]float32 }

// continuation is how many tokens of an answer are pushed beside the prompt's last.
const continuation = 12

// randomDirections is how many directions chance is judged by.
const randomDirections = 8

// NewPusher opens a session whose activations at a site can be pushed by a factor of their norms.
func NewPusher(ctx context.Context, m *runtime.Model, site hooks.Site, prompts [][]int32, factor float64) (*Pusher, error) {
	s, err := m.NewSession()
	if err != nil {
		return nil, err
	}
	p := &Pusher{session: s, factor: factor, width: m.Shape().Widths[site]}
	tap := hooks.Tap{Name: "push", Site: site, Func: p.act}
	if _, err := s.Attach(hooks.HookFunc(func(*hooks.Shape) (hooks.Plan, error) { return hooks.Plan{Taps: []hooks.Tap{tap}}, nil })); err != nil {
		s.Close()
		return nil, err
	}
	for _, ids := range prompts {
		t, err := p.goOn(ctx, ids)
		if err != nil {
			s.Close()
			return nil, err
		}
		p.texts = append(p.texts, t)
	}
	return p, p.chance(ctx)
}

// goOn lets the model answer a prompt, greedily.
func (p *Pusher) goOn(ctx context.Context, prompt []int32) (t text, err error) {
	t.ids, t.from = slices.Clone(prompt), len(prompt)-1
	for token, err := range p.session.Generate(ctx, prompt, runtime.Options{MaxTokens: continuation}) {
		if err != nil {
			return t, err
		}
		if token.Finish == runtime.Unfinished {
			t.ids = append(t.ids, token.ID)
		}
	}
	t.plain, err = p.run(ctx, &t, nil, 0)
	return t, err
}

// Close gives the session back.
func (p *Pusher) Close() { p.session.Close() }

func (p *Pusher) act(a *hooks.Activation) error {
	for i := range a.Rows {
		if p.by == 0 || a.First+i < p.from {
			continue
		}
		row := a.Row(i)
		sum := 0.0
		for _, v := range row {
			sum += float64(v) * float64(v)
		}
		scale := p.by * math.Sqrt(sum)
		for j, v := range p.push {
			row[j] += float32(scale * float64(v))
		}
	}
	return nil
}

// run returns the logits of a text from its prompt's last token on.
func (p *Pusher) run(ctx context.Context, t *text, push []float32, by float64) ([][]float32, error) {
	p.push, p.by, p.from = push, by, t.from
	defer func() { p.by = 0 }()
	p.session.Forget()
	var out [][]float32
	err := p.session.Read(ctx, t.ids, func(position int, logits []float32) error {
		if position >= t.from {
			out = append(out, slices.Clone(logits))
		}
		return nil
	})
	return out, err
}

func (p *Pusher) both(ctx context.Context, t *text, push []float32) (m measured, err error) {
	if m.up, err = p.run(ctx, t, push, p.factor); err != nil {
		return m, err
	}
	m.down, err = p.run(ctx, t, push, -p.factor)
	return m, err
}

// chance runs random directions once for all concepts.
func (p *Pusher) chance(ctx context.Context) error {
	r := rand.New(rand.NewPCG(1, 2))
	for range randomDirections {
		d := make([]float32, p.width)
		sum := 0.0
		for i := range d {
			v := r.NormFloat64()
			d[i], sum = float32(v), sum+v*v
		}
		for i := range d {
			d[i] = float32(float64(d[i]) / math.Sqrt(sum))
		}
		var list []measured
		for i := range p.texts {
			m, err := p.both(ctx, &p.texts[i], d)
			if err != nil {
				return err
			}
			list = append(list, m)
		}
		p.random = append(p.random, list)
	}
	return nil
}

// Measure returns what a push does; own are the concept's own words.
func (p *Pusher) Measure(ctx context.Context, push []float32, own []int32) (*concepts.Effect, error) {
	if len(own) == 0 {
		return nil, fmt.Errorf("gather: want words that tell the concept's texts from others, found none")
	}
	e := &concepts.Effect{Factor: p.factor, Prompts: len(p.texts)}
	tokens := 0.0
	var list []measured
	for i := range p.texts {
		t := &p.texts[i]
		m, err := p.both(ctx, t, push)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
		for j, plain := range t.plain {
			e.KL += dose.KL(m.up[j], plain) + dose.KL(m.down[j], plain)
			tokens += 2
		}
	}
	e.KL /= tokens * p.factor
	e.Logit = p.lift(list, own)
	sum := 0.0
	for _, list := range p.random {
		v := p.lift(list, own)
		sum += v * v
	}
	e.Spread = math.Sqrt(sum / float64(len(p.random)))
	return e, nil
}

// lift is how much further words rise when promoted than when suppressed, half of it, for a unit of the factor, over all tokens.
func (p *Pusher) lift(list []measured, words []int32) float64 {
	sum, n := 0.0, 0.0
	for _, m := range list {
		for j := range m.up {
			sum += rise(m.up[j], words) - rise(m.down[j], words)
			n++
		}
	}
	return sum / (2 * n * p.factor)
}

// rise is how far the mean logit of words stands above that of all tokens.
func rise(logits []float32, words []int32) float64 {
	all, own := 0.0, 0.0
	for _, v := range logits {
		all += float64(v)
	}
	for _, w := range words {
		own += float64(logits[w])
	}
	return own/float64(len(words)) - all/float64(len(logits))
}

// OwnWords returns the n tokens that tell positive texts from negative ones best, by the difference of the logarithms of how many texts have them.
func OwnWords(positive, negative [][]int32, n int) []int32 {
	is, not := texts(positive), texts(negative)
	type word struct {
		id    int32
		score float64
	}
	var list []word
	for id, k := range is {
		share, other := (float64(k)+0.5)/float64(len(positive)+1), (float64(not[id])+0.5)/float64(len(negative)+1)
		if score := math.Log(share / other); k >= 2 && score > 0 {
			list = append(list, word{id, score})
		}
	}
	slices.SortFunc(list, func(a, b word) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id)) })
	var out []int32
	for _, w := range list[:min(n, len(list))] {
		out = append(out, w.id)
	}
	return out
}

// texts counts in how many texts each token stands.
func texts(list [][]int32) map[int32]int {
	out := map[int32]int{}
	for _, ids := range list {
		seen := map[int32]bool{}
		for _, id := range ids {
			if !seen[id] {
				seen[id] = true
				out[id]++
			}
		}
	}
	return out
}
