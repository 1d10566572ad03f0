// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"

	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/onnx"
)

// stepsInput is the graph input with the addresses of the steps of each row at each site, 0 where there are none.
const stepsInput = "steps"

// eachGraph is the model's graph for one token each of several sequences, with a place for steps at some sites. Whose steps they are, and what they do, is
// no part of it.
type eachGraph struct {
	session  *ort.Session
	sites    bitset
	column   []int // of the table of steps, by number of a site; -1 where it has none
	columns  int
	table    []byte // int64 [most, columns]
	bindings []eachBinding
}

// eachBinding is for passes of one number of rows.
type eachBinding struct {
	*ort.Binding
	rope   *ropeValues // bound
	values []*ort.Value
}

// eachMemory is what shared passes read and write, for the largest number of rows.
type eachMemory struct {
	model   *Model
	most    int
	members []*Session // of the pass under way
	stopper *ort.Stopper
	one     feed // says that each session has one row

	at                       map[string][]byte // by input or output of the graph
	ids, positions, sequence []int64           // [most], [most], [most, 3]
	logits                   []float32
	union                    bitset
}

func (e *eachMemory) open(m *Model) (err error) {
	e.model, e.most, e.one = m, m.config.Batch, feed{tokens: 1, rows: 1, asked: 1}
	e.at = map[string][]byte{}
	for _, x := range []struct {
		name  string
		bytes int
	}{{decoder.InputIDs, 8}, {decoder.InputPositions, 8}, {decoder.InputRows, 8}, {decoder.InputSequences, 24}, {decoder.OutLogits, 4 * m.file.Vocab}} {
		mem, err := ort.Alloc(x.bytes * e.most)
		if err != nil {
			return err
		}
		e.at[x.name] = mem
	}
	e.ids, e.positions = ort.Int64s(e.at[decoder.InputIDs]), ort.Int64s(e.at[decoder.InputPositions])
	e.sequence, e.logits = ort.Int64s(e.at[decoder.InputSequences]), ort.Floats(e.at[decoder.OutLogits])
	for i := range e.most {
		ort.Int64s(e.at[decoder.InputRows])[i] = int64(i)
	}
	e.stopper, err = ort.NewStopper()
	return err
}

func (e *eachMemory) close() {
	for _, mem := range e.at {
		ort.Free(mem)
	}
	e.stopper.Close()
}

// row is the logits of a row of the last pass.
func (e *eachMemory) row(r int) []float32 {
	vocab := e.model.file.Vocab
	return e.logits[r*vocab:][:vocab]
}

// build makes a graph with places at the given sites.
func (e *eachMemory) build(known *siteSet, sites bitset) (*eachGraph, error) {
	g := &eachGraph{sites: sites, column: make([]int, len(known.list)), bindings: make([]eachBinding, e.most+1)}
	index := map[hooks.Site]int{}
	for n, s := range known.list {
		g.column[n] = -1
		if sites.has(n) {
			g.column[n], index[s] = g.columns, g.columns
			g.columns++
		}
	}
	o := e.model.config.graph()
	o.Each = true
	o.Watched = func(point string, layer int) bool { _, ok := index[site(point, layer)]; return ok }
	o.At = func(graph *onnx.Graph, point string, layer int, value string, width int, rows decoder.Rows) string {
		column, ok := index[site(point, layer)]
		if !ok {
			return value
		}
		value = graph.Add("Steps", "trimtab", []string{value, stepsInput}, onnx.Attr{Name: "site", Value: column})
		graph.Note(value, onnx.Float, onnx.N(1), onnx.Sym(string(rows)), onnx.N(width))
		return value
	}
	o.Steps = func(layer int) (string, int) {
		column, ok := index[hooks.At(hooks.RouterLogits, layer)]
		if !ok {
			return "", 0
		}
		return stepsInput, column
	}
	var err error
	if g.session, err = e.model.ready(o, func(graph *onnx.Graph) {
		if g.columns > 0 {
			graph.Input(stepsInput, onnx.Int64, onnx.Sym("s"), onnx.N(g.columns))
		}
	}); err != nil {
		return nil, fmt.Errorf("runtime: build graph of several sequences: %w", err)
	}
	if g.table, err = ort.Alloc(8 * e.most * g.columns); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func (g *eachGraph) close() {
	for i := range g.bindings {
		g.bindings[i].Close()
		for _, v := range g.bindings[i].values {
			v.Close()
		}
	}
	ort.Free(g.table)
	g.session.Close()
}

// bind returns what runs the graph for these sessions; it is made at the first pass of so many.
func (e *eachMemory) bind(g *eachGraph, members []*Session) (*eachBinding, error) {
	b := &g.bindings[len(members)]
	if b.Binding == nil {
		if err := e.make(b, g, len(members)); err != nil {
			for _, v := range b.values {
				v.Close()
			}
			b.Close()
			*b = eachBinding{}
			return nil, err
		}
	}
	rope := members[0].rope
	for _, s := range members[1:] {
		if rope == nil || s.rope.positions > rope.positions {
			rope = s.rope
		}
	}
	if rope == b.rope {
		return b, nil
	}
	if err := b.Input(decoder.InputCos, rope.values[0]); err != nil {
		return nil, err
	}
	if err := b.Input(decoder.InputSin, rope.values[1]); err != nil {
		return nil, err
	}
	b.rope = rope
	return b, nil
}

func (e *eachMemory) make(b *eachBinding, g *eachGraph, n int) (err error) {
	if b.Binding, err = g.session.NewBinding(); err != nil {
		return err
	}
	for _, x := range []struct {
		name  string
		t     ort.DType
		shape []int
	}{
		{decoder.InputIDs, ort.Int64, []int{1, n}},
		{decoder.InputPositions, ort.Int64, []int{n}},
		{decoder.InputRows, ort.Int64, []int{n}},
		{decoder.InputSequences, ort.Int64, []int{n, 3}},
		{decoder.OutLogits, ort.Float32, []int{1, n, e.model.file.Vocab}},
		{stepsInput, ort.Int64, []int{n, g.columns}},
	} {
		mem := e.at[x.name]
		if x.name == stepsInput {
			if mem = g.table; g.columns == 0 {
				continue
			}
		}
		v, err := ort.NewValue(mem, x.t, x.shape...)
		if err != nil {
			return err
		}
		b.values = append(b.values, v)
		if x.name == decoder.OutLogits {
			err = b.Output(x.name, v)
		} else {
			err = b.Input(x.name, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// set writes what the pass reads of one session as row r.
func (e *eachMemory) set(g *eachGraph, r int, s *Session) {
	p := &s.pass
	p.feed, p.tokens, p.rest = &e.one, s.shared.token[:], 0
	position, id := len(s.past), s.shared.token[0]
	p.rows = append(p.rows[:0], hooks.Row{Position: position, Phase: hooks.Decode, Special: s.model.special(id)})
	e.ids[r], e.positions[r] = int64(id), int64(position)
	e.sequence[3*r], e.sequence[3*r+1], e.sequence[3*r+2] = int64(position), int64(s.cache.capacity), ort.Address(s.cache.addresses)
	row := ort.Int64s(g.table)[r*g.columns:][:g.columns]
	clear(row)
	if s.shared.chains == nil {
		return
	}
	s.shared.chains.set(s)
	for _, c := range s.shared.chains.sites {
		row[g.column[c.site]] = c.address
	}
}
