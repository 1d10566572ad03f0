// SPDX-License-Identifier: Apache-2.0

package export

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/trimtab/trimtab/models/onnx"
)

// analyse finds the inputs and the sites of one graph.
func (m *Model) analyse(b *body) (*Graph, error) {
	f, err := newFlow(*b)
	if err != nil {
		return nil, fmt.Errorf("export: %s: graph: %w", m.Path, err)
	}
	g := &Graph{flow: f, model: m, missing: map[Place]string{}, routers: map[int]Router{}}
	if err := g.connect(); err != nil {
		return nil, err
	}
	g.types = f.elements()
	sources, width := f.embeddings(g.input(TokenIDs).Name)
	g.width = first(width, m.Width)
	f.dominate(sources)
	g.locate()
	return g, nil
}

// locate runs the search for sites.
func (g *Graph) locate() {
	states := map[string]bool{}
	for _, s := range g.States {
		states[s.In], states[s.Out] = true, true
	}
	t := newTrunk(g.flow, g.logits.Name, states)
	f := &finder{trunk: t, width: g.width, missing: g.missing, routers: g.routers}
	reason := ""
	switch {
	case len(t.path) < 2:
		reason = "no way was found from a table read by token ids to the logits"
	case g.width < 1 || g.width > 1<<20:
		reason = "the width of the residual stream could not be told"
	}
	if reason != "" {
		f.layers = g.model.Layers
		for i := range f.layers {
			for _, p := range blockPoints() {
				f.miss(p, i, "%s", reason)
			}
		}
		for _, p := range []string{"embeddings", "final_norm", "logits"} {
			f.miss(p, Once, "%s", reason)
		}
	} else {
		f.find(g.model.Layers)
		g.head(f)
	}
	g.sites, g.layers = f.sites, f.layers
	slices.SortStableFunc(g.sites, func(a, b site) int { return cmp.Compare(rank(a.place), rank(b.place)) })
}

// rank orders places as hooks.Compare does: by block, and within it by point.
func rank(p Place) int {
	if p.Layer != Once {
		return 1 + p.Layer*32 + slices.Index(blockPoints(), p.Point)
	}
	switch p.Point {
	case "embeddings":
		return 0
	case "final_norm":
		return 1 << 30
	}
	return 1<<30 + 1
}

// head finds final norm and logits behind the last residual, and whether rows may be chosen there.
func (g *Graph) head(f *finder) {
	at := 1
	if n := len(f.modules); n > 0 {
		at = f.modules[n-1].sum
	}
	matrix, choosing, safe := -1, -1, true
	for _, i := range f.ancestors(g.logits.Name, at) {
		for p := at; p+1 < len(f.path); p++ {
			if !f.within(i, p) {
				continue
			}
			if f.linear(i) {
				matrix = max(matrix, p)
			}
			if choosesRows(&g.nodes[i]) {
				choosing = max(choosing, p)
			}
			safe = safe && rowWise(&g.nodes[i])
		}
	}
	if g.Rows != Last && choosing >= 0 && g.input(RowsKept) == nil {
		g.Rows = Last // drops rows: which, only the graph knows
	}
	if g.Rows != Last && (!safe || len(g.logits.Shape) != 3) {
		g.Rows = All
	}
	if g.Rows == Chosen {
		g.tail = f.path[at]
	}
	g.nameHead(f, at, matrix, choosing)
}

func (g *Graph) nameHead(f *finder, at, matrix, choosing int) {
	single := "the graph computes it for the last token of a pass only"
	switch {
	case matrix < 0:
		f.miss("final_norm", Once, "no matrix was found between the last residual and the logits")
	case f.passes(at, matrix):
		f.miss("final_norm", Once, "nothing stands between the last residual and the head")
	case g.Rows == Last && choosing < matrix:
		f.miss("final_norm", Once, "%s", single)
	default:
		f.sites = append(f.sites, site{place: Place{"final_norm", Once}, value: f.path[matrix], width: g.width, head: true})
	}
	width := first(g.vocab(), g.model.Vocab)
	switch {
	case g.Rows == Last:
		f.miss("logits", Once, "%s", single)
	case width == 0:
		f.miss("logits", Once, "the number of tokens in the vocabulary could not be told")
	default:
		f.sites = append(f.sites, site{place: Place{"logits", Once}, value: g.logits.Name, width: width, head: true})
	}
}

// agree drops the sites that another graph of the same export lacks.
func (g *Graph) agree(other *Graph) {
	have := map[Place]bool{}
	for _, s := range other.sites {
		have[s.place] = true
	}
	g.sites = slices.DeleteFunc(g.sites, func(s site) bool {
		if !have[s.place] {
			g.missing[s.place] = first(other.missing[s.place], "the export's other graph lacks it")
		}
		return !have[s.place]
	})
}

// elements tells the element type of values, as far as operators tell it; 0 is unknown.
func (f *flow) elements() map[string]onnx.DType {
	out := map[string]onnx.DType{}
	for name, t := range f.tensors {
		out[name] = t.Info.Type
	}
	for _, list := range [][]onnx.Info{f.inputs, f.outputs} {
		for _, i := range list {
			out[i.Name] = i.Type
		}
	}
	for i := range f.nodes {
		n := &f.nodes[i]
		t := f.element(n, out)
		for j, o := range n.Outputs {
			switch {
			case f.infos[o].Type != 0:
				out[o] = f.infos[o].Type
			case n.Op == "TopK" && j == 1:
				out[o] = onnx.Int64
			case n.Op == "DynamicQuantizeLinear":
				out[o] = []onnx.DType{onnx.Uint8, onnx.Float, onnx.Uint8}[min(j, 2)]
			case out[o] == 0:
				out[o] = t
			}
		}
	}
	return out
}

// element is the type that a node's first output has.
func (f *flow) element(n *onnx.Node, types map[string]onnx.DType) onnx.DType {
	from := 0
	switch n.Op {
	case "Cast":
		a, _ := n.Attribute("to")
		return onnx.DType(a.Int)
	case "Constant":
		a, _ := n.Attribute("value")
		t, _ := onnx.ReadTensor(a.Tensor) // what is no tensor has type 0
		return t.Info.Type
	case "Shape", "Size", "NonZero", "ArgMax", "ArgMin":
		return onnx.Int64
	case "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Not", "Xor", "IsInf", "IsNaN":
		return onnx.Bool
	case "MatMulInteger", "ConvInteger":
		return onnx.Int32
	case "MatMulIntegerToFloat", "DynamicQuantizeMatMul":
		return onnx.Float
	case "Where", "DequantizeLinear", "CastLike":
		from = 1
	case "GatherBlockQuantized":
		from = 2
	case "If", "Loop", "Scan":
		return 0
	}
	return types[operand(n.Inputs, from)]
}
