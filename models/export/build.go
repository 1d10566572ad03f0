// SPDX-License-Identifier: Apache-2.0

package export

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/models/onnx"
)

// At is called at every site in forward order, as decoder.Options.At is: rows is "r" for the rows that the input RowsInput chooses, "s" for all.
type At func(g *onnx.Graph, point string, layer int, value string, width int, rows string) string

// Built is a graph ready to be marshalled.
type Built struct {
	*onnx.Graph
	Weights []Weight
}

// builder writes a graph again with what At puts at the sites.
type builder struct {
	*onnx.Graph
	g     *Graph
	at    At
	nodes []onnx.Node
	maker map[string]int
	keep  map[string]bool // values that are wanted although nothing reads them
	fresh int

	folded map[string]Weight // weights that take the place of a node
}

// Build writes the graph with what at returns at each site; nil leaves it as it is.
func (g *Graph) Build(at At) (*Built, error) {
	b := &builder{
		Graph: &onnx.Graph{Prefix: "trimtab.", From: g.model.proto, Lies: map[string]onnx.Location{}},
		g:     g, at: at, nodes: slices.Clone(g.nodes), maker: map[string]int{}, keep: map[string]bool{}, folded: map[string]Weight{},
	}
	for i := range b.nodes {
		for _, o := range b.nodes[i].Outputs {
			b.maker[o] = i
		}
	}
	chosen := g.tail == ""
	for i := range g.sites {
		s := &g.sites[i]
		if s.head && !chosen {
			b.choose()
			chosen = true
		}
		if at != nil {
			b.site(s)
		}
	}
	if !chosen {
		b.choose()
	}
	return b.finish()
}

// site hands a value to the caller, as float32 [1, rows, width], and puts what comes back in its place.
func (b *builder) site(s *site) {
	raw := s.value
	if s.scope == nil && !s.watched {
		b.fresh++
		raw = fmt.Sprintf("%s#%d", s.value, b.fresh)
	}
	in, restore := b.normal(s, raw)
	rows := "s"
	if s.head && b.g.Rows == Chosen {
		rows = "r"
	}
	b.Note(in, onnx.Float, onnx.N(1), onnx.Sym(rows), onnx.N(s.width))
	out := b.at(b.Graph, s.place.Point, s.place.Layer, in, s.width, rows)
	if out == in {
		b.Nodes, b.Infos = nil, slices.DeleteFunc(b.Infos, func(i onnx.Info) bool { return i.Name == in })
		return
	}
	if s.watched {
		b.keep[out] = true
		b.take()
		return
	}
	out = restore(out)
	if s.scope == nil {
		b.replace(s.value, raw, out)
		return
	}
	for _, i := range s.scope {
		n := &b.nodes[i]
		n.Inputs = slices.Clone(n.Inputs)
		for j, name := range n.Inputs {
			if name == s.value {
				n.Inputs[j] = out
			}
		}
	}
	b.take()
}

// normal makes a value float32 with rows and width as its last two of three dimensions, and returns what undoes that.
func (b *builder) normal(s *site, raw string) (string, func(string) string) {
	v, t := raw, b.g.types[s.value]
	cast := t != onnx.Float && t != 0
	if cast {
		v = b.Add("Cast", "", []string{v}, onnx.Attr{Name: "to", Value: int(onnx.Float)})
	}
	shaped := len(b.g.infos[s.value].Shape) != 3
	flat := v
	if shaped {
		v = b.Add("Reshape", "", []string{flat, b.ints(1, -1, s.width)})
	}
	return v, func(v string) string {
		if shaped {
			v = b.Add("Reshape", "", []string{v, b.Add("Shape", "", []string{flat})})
		}
		if cast {
			v = b.Add("Cast", "", []string{v}, onnx.Attr{Name: "to", Value: int(t)})
		}
		return v
	}
}

// replace lets out take the name of a value, whose maker now makes raw.
func (b *builder) replace(value, raw, out string) {
	i := b.maker[value]
	n := &b.nodes[i]
	n.Outputs = slices.Clone(n.Outputs)
	n.Outputs[slices.Index(n.Outputs, value)] = raw
	b.maker[raw] = i
	for i := range b.Nodes {
		for j, o := range b.Nodes[i].Outputs {
			if o == out {
				b.Nodes[i].Outputs[j] = value
			}
		}
	}
	for i := range b.Infos {
		if b.Infos[i].Name == out {
			b.Infos[i].Name = value
		}
	}
	b.take()
}

// take moves the nodes that were added to the others.
func (b *builder) take() {
	for _, n := range b.Nodes {
		for _, o := range n.Outputs {
			b.maker[o] = len(b.nodes)
		}
		b.nodes = append(b.nodes, n)
	}
	b.Nodes = nil
}

// choose lets only the rows that the input lists go through the head.
func (b *builder) choose() {
	b.Input(RowsInput, onnx.Int64, onnx.Sym("r"))
	raw := b.g.tail + "#rows"
	out := b.Add("Gather", "", []string{raw, RowsInput}, onnx.Attr{Name: "axis", Value: 1})
	b.replace(b.g.tail, raw, out)
}

// ints is a constant of whole numbers.
func (b *builder) ints(values ...int) string {
	data := make([]byte, 0, 8*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, uint64(int64(v)))
	}
	return b.Constant("trimtab.ints"+strings.ReplaceAll(fmt.Sprint(values), " ", ","), onnx.Int64, data, onnx.N(len(values)))
}

// finish declares inputs and outputs, drops what nothing needs and brings the nodes into order.
func (b *builder) finish() (*Built, error) {
	out := &Built{Graph: b.Graph}
	if b.g.logits.Type != onnx.Float {
		b.Nodes = []onnx.Node{{
			Op: "Cast", Inputs: []string{b.g.logits.Name}, Outputs: []string{b.g.LogitsName()}, Attrs: []onnx.Attr{{Name: "to", Value: int(onnx.Float)}},
		}}
		b.take()
	}
	b.Outputs = append(b.Outputs, onnx.Info{Name: b.g.LogitsName(), Type: onnx.Float, Shape: onnx.Open()})
	for _, s := range b.g.States {
		b.Outputs = append(b.Outputs, onnx.Info{Name: s.Out, Type: s.Type, Shape: onnx.Open()})
	}
	b.fold()
	needed, err := b.needed()
	if err != nil {
		return nil, err
	}
	for _, in := range b.g.inputs {
		if b.g.tensors[in.Name] == nil && (b.g.Feeds(in.Name) || in.Name == b.g.input(TokenIDs).Name) {
			b.Inputs = append(b.Inputs, in)
		}
	}
	for name, t := range b.g.tensors {
		if needed[name] {
			b.weight(out, t)
		}
	}
	for name, w := range b.folded {
		if needed[name] {
			dims := make([]onnx.Dim, len(w.Shape))
			for i, d := range w.Shape {
				dims[i] = onnx.N(d)
			}
			b.Supply(name, w.Type, dims...)
			out.Weights = append(out.Weights, w)
		}
	}
	return out, b.order(needed)
}

// needed lists the values that outputs and taps depend on.
func (b *builder) needed() (map[string]bool, error) {
	needed := map[string]bool{}
	var stack []string
	for _, o := range b.Outputs {
		stack = append(stack, o.Name)
	}
	for v := range b.keep {
		stack = append(stack, v)
	}
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if v == "" || needed[v] {
			continue
		}
		needed[v] = true
		i, ok := b.maker[v]
		if !ok {
			continue
		}
		reads, err := allReads(&b.nodes[i], 0)
		if err != nil {
			return nil, err
		}
		stack = append(stack, reads...)
	}
	return needed, nil
}

// order keeps the nodes that are needed, each behind those that it reads from.
func (b *builder) order(needed map[string]bool) error {
	var kept []onnx.Node
	for _, n := range b.nodes {
		if n.Op != "" && slices.ContainsFunc(n.Outputs, func(o string) bool { return needed[o] }) {
			kept = append(kept, b.suited(n))
		}
	}
	var err error
	b.Nodes, err = sorted(kept)
	return err
}

// suited writes a node of this project for an older version of the standard set: axes of ReduceL2 were an attribute before version 18.
func (b *builder) suited(n onnx.Node) onnx.Node {
	if n.Op != "ReduceL2" || len(n.Stored) > 0 || len(n.Inputs) < 2 {
		return n
	}
	for _, o := range b.g.model.proto.Opsets {
		if o.Domain == "" && o.Version < 18 {
			n.Inputs, n.Attrs = n.Inputs[:1], append(n.Attrs, onnx.Attr{Name: "axes", Value: []int{-1}})
		}
	}
	return n
}

// weight writes a tensor into the graph where it is small or lies in no file that may be named, else says where it is to be taken from.
func (b *builder) weight(out *Built, t *tensor) {
	w := Weight{Name: t.Info.Name, Type: t.Info.Type, Shape: t.dims(), Data: t.data}
	switch {
	case t.data == nil || (t.File == "" && len(t.data) <= inlineBytes):
		b.Stored = append(b.Stored, t.Stored)
	case len(t.data) <= inlineBytes || t.at.File == "" || !suppliable(t.Info.Type):
		b.Graph.Constant(w.Name, w.Type, t.data, t.Info.Shape...)
	default:
		b.Supply(w.Name, w.Type, t.Info.Shape...)
		b.Lies[w.Name] = t.at
		out.Weights = append(out.Weights, w)
	}
}

// suppliable tells whether a session can be given tensors of a type.
func suppliable(t onnx.DType) bool {
	switch t {
	case onnx.Float, onnx.Uint8, onnx.Int8, onnx.Int32, onnx.Int64, onnx.Float16:
		return true
	}
	return false
}

// fold lets the transpose of a matrix, or its elements in another shape, be made once, where the weight is brought in. As a node, ONNX Runtime would make it once for each
// variant of the graph.
func (b *builder) fold() {
	for i := range b.nodes {
		n := &b.nodes[i]
		t := b.g.tensors[operand(n.Inputs, 0)]
		if t == nil || len(t.data) <= inlineBytes || t.at.File == "" || !suppliable(t.Info.Type) || len(n.Outputs) != 1 {
			continue
		}
		w := Weight{Name: n.Outputs[0], Type: t.Info.Type, Shape: t.dims(), Data: t.data}
		switch {
		case n.Op == "Transpose" && len(w.Shape) == 2 && turnsMatrix(n) && b.multiplied(w.Name):
			w.Shape[0], w.Shape[1], w.Turned = w.Shape[1], w.Shape[0], true
		case n.Op == "Reshape" && b.reshaped(&w, operand(n.Inputs, 1)):
		default:
			continue
		}
		b.folded[w.Name] = w
		b.Lies[w.Name] = t.at
		delete(b.maker, w.Name)
		n.Op = ""
	}
}

// multiplied tells whether a weight is only read together with what changes from pass to pass. Otherwise ONNX Runtime's optimiser reads it from the file, which has it
// the other way round.
func (b *builder) multiplied(name string) bool {
	for _, i := range b.g.readers[name] {
		if op := b.nodes[i].Op; op != "MatMul" && op != "Gather" && op != "Gemm" && op != "FusedMatMul" {
			return false
		}
	}
	return true
}

func turnsMatrix(n *onnx.Node) bool {
	a, ok := n.Attribute("perm")
	return !ok || slices.Equal(a.Ints, []int{1, 0})
}

// reshaped gives a weight the shape that a tensor of the graph says, where that has as many elements.
func (b *builder) reshaped(w *Weight, by string) bool {
	shape, ok := b.g.constant(by)
	if !ok || len(shape) == 0 || len(shape) > 8 {
		return false
	}
	left := int64(len(w.Data)) * 8 / int64(size(w.Type))
	for _, n := range shape {
		if n < 1 || left%int64(n) != 0 {
			return false
		}
		left /= int64(n)
	}
	w.Shape = shape
	return left == 1
}
