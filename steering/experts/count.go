// SPDX-License-Identifier: Apache-2.0

package experts

import (
	"slices"

	"github.com/trimtab/trimtab/hooks"
)

// Tokens says which tokens of a run are counted.
type Tokens string

// The tokens that can be counted.
const (
	Prompt Tokens = "prompt" // all of the prompt
	Last   Tokens = "last"   // the last one of the prompt
	Answer Tokens = "answer" // those that were generated and run, which the end of the answer is not
)

// Map is how often experts were chosen, by row (a block with a router) and expert.
type Map struct {
	Layers  []int
	Counts  [][]float64 // tokens that chose the expert
	Weights [][]float64 // sum of its weights in their outputs
	Shares  [][]float64 // sum over prompts of the share of a prompt's tokens that chose the expert
	Tokens  int
	Prompts int
}

// Add adds the map of one prompt; one without tokens adds nothing.
func (m *Map) Add(prompt *Map) {
	if m.Layers == nil {
		*m = *newMap(prompt.Layers, len(prompt.Counts[0]))
	}
	if prompt.Tokens == 0 {
		return
	}
	for i, row := range prompt.Counts {
		for e, n := range row {
			m.Counts[i][e] += n
			m.Weights[i][e] += prompt.Weights[i][e]
			m.Shares[i][e] += n / float64(prompt.Tokens)
		}
	}
	m.Tokens += prompt.Tokens
	m.Prompts++
}

func newMap(layers []int, experts int) *Map {
	m := &Map{Layers: layers}
	for range layers {
		m.Counts = append(m.Counts, make([]float64, experts))
		m.Weights = append(m.Weights, make([]float64, experts))
		m.Shares = append(m.Shares, make([]float64, experts))
	}
	return m
}

// Counter is a hook that counts the experts that a session's tokens choose. It belongs to one session; read it between runs.
type Counter struct {
	tokens Tokens
	prompt int // tokens of the prompt; of interest to Last
	now    *Map
}

// NewCounter returns a counter of the given tokens.
func NewCounter(t Tokens) *Counter { return &Counter{tokens: t} }

// Begin starts a new map for a prompt of so many tokens.
func (c *Counter) Begin(prompt int) {
	c.prompt = prompt
	c.now = newMap(c.now.Layers, len(c.now.Counts[0]))
}

// Map returns what was counted since Begin, for Add; it must not be used while the session runs.
func (c *Counter) Map() *Map { return c.now }

// Bind asks for the experts of every block, and for a *hooks.SiteError where the model has none.
func (c *Counter) Bind(sh *hooks.Shape) (hooks.Plan, error) {
	layers, experts, err := routers(sh)
	if err != nil {
		return hooks.Plan{}, err
	}
	c.now = newMap(layers, experts)
	return observe(layers, "count", func(i int, a *hooks.Activation, row int, ids, weights []float32) {
		if !c.counts(a.Phase, a.First+row) {
			return
		}
		for j, id := range ids {
			c.now.Counts[i][int(id)]++
			c.now.Weights[i][int(id)] += float64(weights[j])
		}
		if i == 0 {
			c.now.Tokens++
		}
	}), nil
}

func (c *Counter) counts(phase hooks.Phase, position int) bool {
	switch c.tokens {
	case Answer:
		return phase == hooks.Decode
	case Last:
		return phase == hooks.Prefill && position == c.prompt-1
	}
	return phase == hooks.Prefill
}

// routers lists the blocks whose choice can be read, and the number of their experts.
func routers(sh *hooks.Shape) (layers []int, experts int, err error) {
	for i := range sh.Layers {
		if sh.Widths[hooks.At(hooks.RouterWeights, i)] > 0 {
			layers = append(layers, i)
			experts = max(experts, sh.Widths[hooks.At(hooks.RouterLogits, i)])
		}
	}
	if len(layers) == 0 {
		_, err = sh.SiteWidth(hooks.At(hooks.RouterWeights, 0)) // says why
	}
	return layers, experts, err
}

// observe is a plan that calls see for each row of each block with the experts that it chose; i counts the blocks. see must not keep what it is given.
func observe(layers []int, name string, see func(i int, a *hooks.Activation, row int, ids, weights []float32)) hooks.Plan {
	var p hooks.Plan
	for i, layer := range layers {
		var ids []float32
		p.Taps = append(p.Taps,
			hooks.Tap{Name: name, Site: hooks.At(hooks.ExpertIDs, layer), ReadOnly: true, Func: func(a *hooks.Activation) error {
				ids = append(ids[:0], a.Data...)
				return nil
			}},
			hooks.Tap{Name: name, Site: hooks.At(hooks.RouterWeights, layer), ReadOnly: true, Func: func(a *hooks.Activation) error {
				for row := range a.Rows {
					see(i, a, row, ids[row*a.Width:][:a.Width], a.Row(row))
				}
				return nil
			}})
	}
	return p
}

// Watch is a hook that reports, with each token, the experts that were chosen where the model chose it: a hooks.Reading of kind Expert for each, the
// largest share first. It keeps nothing and may be attached to many sessions.
type Watch struct{}

// Bind asks for the experts of every block.
func (Watch) Bind(sh *hooks.Shape) (hooks.Plan, error) {
	layers, _, err := routers(sh)
	if err != nil {
		return hooks.Plan{}, err
	}
	return observe(layers, "experts", func(i int, a *hooks.Activation, row int, ids, weights []float32) {
		if row != len(a.Rows)-1 {
			return // of a prompt, the row that the next token is chosen from
		}
		for j, id := range ids {
			a.Run.Report(hooks.Reading{
				Hook: "experts", Site: hooks.At(hooks.ExpertIDs, layers[i]), Kind: hooks.Expert, Position: a.First + row, Index: int32(id), Value: weights[j],
			})
		}
	}), nil
}

// Usage is the map of readings of kind Expert, of any number of tokens.
func Usage(sh *hooks.Shape) (*Map, error) {
	layers, experts, err := routers(sh)
	if err != nil {
		return nil, err
	}
	return newMap(layers, experts), nil
}

// Take adds the readings that came with one token.
func (m *Map) Take(readings []hooks.Reading) {
	seen := false
	for _, r := range readings {
		if i := slices.Index(m.Layers, r.Site.Layer); r.Kind == hooks.Expert && i >= 0 {
			m.Counts[i][r.Index]++
			m.Weights[i][r.Index] += float64(r.Value)
			seen = true
		}
	}
	if seen {
		m.Tokens++
	}
}
