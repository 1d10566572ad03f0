// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	"path/filepath"
	"sync"

	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/export"
	"github.com/trimtab/trimtab/models/onnx"
)

// exportNetwork is a graph that came as an ONNX export. Its weights stay in the mapped file.
type exportNetwork struct {
	*Model
	from *export.Model

	mu     sync.Mutex
	values map[string]*ort.Value // weights that variants share
	memory [][]byte              // of weights that had to be turned
	packs  *ort.Packs            // where the graph has operators that are slow without; nil otherwise
}

func newExportNetwork(m *Model) (network, error) {
	if m.config.Quant != Keep {
		return nil, fmt.Errorf("runtime: quant: an ONNX export runs its weights as they are stored: want keep, found %q", m.config.Quant)
	}
	if m.file.Vocab < 1 {
		return nil, fmt.Errorf("runtime: export: the number of tokens in the vocabulary is not known: want it in config.json or in the shape of the logits")
	}
	x := &exportNetwork{Model: m, from: m.file.Export, values: map[string]*ort.Value{}}
	if !x.from.Packs() {
		return x, nil
	}
	var err error
	x.packs, err = ort.NewPacks()
	return x, err
}

// build makes one session of each of the export's graphs.
func (x *exportNetwork) build(p *program) (*variant, error) {
	v := &variant{}
	var err error
	if v.session, err = x.session(x.from.Main, p); err != nil {
		return nil, err
	}
	if x.from.First == nil {
		return v, nil
	}
	if v.first, err = x.session(x.from.First, p); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

func (x *exportNetwork) session(g *export.Graph, p *program) (*ort.Session, error) {
	var at export.At
	if len(p.steps) > 0 {
		s := splicer{program: p}
		at = func(g *onnx.Graph, point string, layer int, value string, width int, rows string) string {
			return s.at(g, point, layer, value, width, decoder.Rows(rows))
		}
	}
	built, err := g.Build(at)
	if err != nil {
		return nil, err
	}
	values, err := x.supply(built.Weights)
	if err != nil {
		return nil, err
	}
	return ort.NewSession(built.Marshal(), ort.Options{
		Threads: x.config.Threads, Initializers: values, Folder: filepath.Dir(x.from.Real), Profile: x.config.Profile, Packs: x.packs,
	})
}

// supply returns the tensors for the given weights.
func (x *exportNetwork) supply(weights []export.Weight) (map[string]*ort.Value, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := make(map[string]*ort.Value, len(weights))
	for i := range weights {
		w := &weights[i]
		if x.values[w.Name] == nil {
			v, err := x.bring(w)
			if err != nil {
				return nil, fmt.Errorf("runtime: weight %s: %w", w.Name, err)
			}
			x.values[w.Name] = v
		}
		out[w.Name] = x.values[w.Name]
	}
	return out, nil
}

func (x *exportNetwork) bring(w *export.Weight) (*ort.Value, error) {
	if !w.Turned {
		return ort.NewValue(w.Data, ort.DType(w.Type), w.Shape...)
	}
	memory, err := ort.Alloc(len(w.Data))
	if err != nil {
		return nil, err
	}
	x.memory = append(x.memory, memory)
	w.Turn(memory)
	return ort.NewValue(memory, ort.DType(w.Type), w.Shape...)
}

// chunk lets a graph without a cache run everything at once: each further pass would run it again.
func (x *exportNetwork) chunk(s *Session, n int) int {
	switch {
	case len(x.from.Main.States) == 0 || (x.from.First != nil && len(s.past) == 0):
		return n
	case x.from.First != nil || x.from.Main.Single:
		return 1
	}
	return min(x.config.Chunk, n)
}

func (x *exportNetwork) scored(s *Session, n int) int {
	if x.graph(s).Rows == export.Last {
		return 1
	}
	return n
}

func (x *exportNetwork) fits(s *Session, f *feed) bool {
	return f.before == x.before(s) && f.export.graph == x.graph(s)
}

// graph is the one that runs the session's next pass.
func (x *exportNetwork) graph(s *Session) *export.Graph {
	if x.from.First != nil && len(s.past) == 0 {
		return x.from.First
	}
	return x.from.Main
}

// before counts the tokens that the next pass has to run again.
func (x *exportNetwork) before(s *Session) int {
	if len(x.from.Main.States) == 0 {
		return len(s.past)
	}
	return 0
}

// kept is 0 where something in the cache cannot be shortened.
func (x *exportNetwork) kept(s *Session, n int) int {
	for _, st := range x.from.Main.States {
		if st.Past < 0 && n < len(s.past) {
			return 0
		}
	}
	return n
}

func (x *exportNetwork) close() {
	for _, v := range x.values {
		v.Close()
	}
	for _, m := range x.memory {
		ort.Free(m)
	}
	x.packs.Close()
	x.values, x.memory = nil, nil
}

// describeExport lists the sites that were found, and the reasons where none was.
func describeExport(sh *hooks.Shape, x *export.Model) {
	for p, width := range x.Sites() {
		sh.Widths[site(p.Point, p.Layer)] = width
	}
	for i := range sh.Layers {
		sh.Missing[hooks.At(hooks.AttnIn, i)] = "what attention reads is not looked for in exports"
	}
	for p, reason := range x.Missing {
		sh.Missing[site(p.Point, p.Layer)] = reason
	}
	for i, r := range x.Routers() {
		sh.Routers[i] = &hooks.Router{Experts: r.Experts, Used: r.Used, Node: r.Node}
	}
}
