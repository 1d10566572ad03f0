// SPDX-License-Identifier: Apache-2.0

// Package gather runs texts through a model and keeps what concepts are fitted on: the code and the activation of every token at one site.
package gather

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/tokenizer"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering/concepts"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// Gatherer reads texts one after the other on a session of its own; one goroutine at a time may use it.
type Gatherer struct {
	session *runtime.Session
	tok     tokenizer.Tokenizer
	coder   *dictionary.ProductCoder // nil without a dictionary
	rows    bool
	text    []token
	norms   []float64 // of all ordinary tokens so far
}

// token is what the tap keeps of one.
type token struct {
	code []dictionary.Feature
	row  []float32
	norm float64
}

// New opens a session that watches a site, encoding with d where that is not nil. Activations themselves are kept only where rows is true.
func New(m *runtime.Model, site hooks.Site, d *dictionary.Dictionary, rows bool) (*Gatherer, error) {
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, err
	}
	s, err := m.NewSession()
	if err != nil {
		return nil, err
	}
	g := &Gatherer{session: s, tok: tok, rows: rows}
	tap := hooks.Tap{Name: "gather", Site: site, ReadOnly: true, Func: g.take}
	if d != nil {
		g.coder = d.NewProductCoder()
		tap.Encoder = &hooks.Encoder{Name: "gather", Rows: d.Form.N, Weight: d.Matrix(), Bits: d.Bits()}
	}
	_, err = s.Attach(hooks.HookFunc(func(*hooks.Shape) (hooks.Plan, error) { return hooks.Plan{Taps: []hooks.Tap{tap}}, nil }))
	if err != nil {
		s.Close()
		return nil, err
	}
	return g, nil
}

// Close gives the session back.
func (g *Gatherer) Close() { g.session.Close() }

func (g *Gatherer) take(a *hooks.Activation) error {
	for i := range a.Rows {
		t := token{}
		row := a.Row(i)
		sum := 0.0
		for _, v := range row {
			sum += float64(v) * float64(v)
		}
		t.norm = math.Sqrt(sum)
		if g.rows {
			t.row = slices.Clone(row)
		}
		if g.coder != nil {
			t.code = g.coder.Encode(nil, row, a.ProductRow(i), a.Slack)
		}
		g.text = append(g.text, t)
	}
	return nil
}

// Text is one text that has been read.
type Text struct {
	IDs    []int32
	Sample concepts.Sample // marked Not, at position 0 and at special tokens Skip
	norms  []float64
}

// Read runs a text alone, behind the model's begin token where it has one.
func (g *Gatherer) Read(ctx context.Context, text string) (*Text, error) {
	var ids []int32
	if b := g.tok.BOS(); b >= 0 {
		ids = append(ids, b)
	}
	return g.ReadIDs(ctx, g.tok.Encode(ids, text, false))
}

// ReadIDs runs tokens alone.
func (g *Gatherer) ReadIDs(ctx context.Context, ids []int32) (*Text, error) {
	g.text = g.text[:0]
	g.session.Forget()
	if err := g.session.Read(ctx, ids, nil); err != nil {
		return nil, err
	}
	if len(g.text) != len(ids) {
		return nil, fmt.Errorf("gather: want %d tokens seen, found %d", len(ids), len(g.text))
	}
	out := &Text{IDs: ids, Sample: make(concepts.Sample, len(ids)), norms: make([]float64, len(ids))}
	for i, t := range g.text {
		out.Sample[i] = concepts.Token{Code: t.code, Row: t.row, Mark: concepts.Not}
		out.norms[i] = t.norm
		if i == 0 || g.tok.Special(ids[i]) {
			out.Sample[i].Mark = concepts.Skip
			continue
		}
		g.norms = append(g.norms, t.norm)
	}
	return out, nil
}

// massiveTimes is how much longer than the median's a massive activation is, as the dictionaries' own evaluation leaves them out.
const massiveTimes = 4

// Longest is the length from which on activations are massive, by what has been read so far.
func (g *Gatherer) Longest() float64 {
	if len(g.norms) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(g.norms))
	return massiveTimes * sorted[len(sorted)/2]
}

// Leave marks what is longer than the longest as skipped.
func (t *Text) Leave(longest float64) {
	for i, n := range t.norms {
		if n > longest {
			t.Sample[i].Mark = concepts.Skip
		}
	}
}

// Clone returns a text that can be marked without the first one seeing it.
func (t *Text) Clone() *Text {
	return &Text{IDs: t.IDs, Sample: slices.Clone(t.Sample), norms: t.norms}
}

// Specials are the special tokens of the model's tokenizer.
func (g *Gatherer) Specials() []int32 {
	var out []int32
	for id := range int32(g.tok.Vocab()) {
		if g.tok.Special(id) {
			out = append(out, id)
		}
	}
	return out
}
