// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"slices"

	"github.com/trimtab/trimtab/models/onnx"
)

// split writes nodes that add and normalise in one as several, so that the sum is a value of its own: SkipLayerNormalization, SkipSimplifiedLayerNormalization and
// EmbedLayerNormalization of the domain com.microsoft
// (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md). The sum keeps the name that the node gave it.
func (b *body) split() {
	out := make([]onnx.Node, 0, len(b.nodes))
	linear, read := b.linearOutputs(), b.readValues()
	for i := range b.nodes {
		n := &b.nodes[i]
		switch n.Op {
		case "SkipLayerNormalization", "SkipSimplifiedLayerNormalization":
			out = append(out, splitSkip(n, linear, read)...)
		case "EmbedLayerNormalization":
			out = append(out, splitEmbed(n, read)...)
		default:
			out = append(out, *n)
		}
	}
	b.nodes = out
}

// linearOutputs are the values that a matrix makes: a bias within a fused node belongs to them.
func (b *body) linearOutputs() map[string]bool {
	out := map[string]bool{}
	for i := range b.nodes {
		if n := &b.nodes[i]; matrixInput(n) >= 0 && len(n.Outputs) > 0 {
			out[n.Outputs[0]] = true
		}
	}
	return out
}

// readValues are those that a node or the outside reads.
func (b *body) readValues() map[string]bool {
	out := map[string]bool{}
	for i := range b.nodes {
		list, err := allReads(&b.nodes[i], 0)
		if err != nil {
			list = b.nodes[i].Inputs // the same error ends the reading of the graph later
		}
		for _, r := range list {
			out[r] = true
		}
	}
	for _, o := range b.outputs {
		out[o.Name] = true
	}
	delete(out, "")
	return out
}

// operand returns an input or output by its place, "" where it is left out.
func operand(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// splitSkip writes (x, skip, gamma[, beta][, bias]) -> (norm, _, _, sum).
func splitSkip(n *onnx.Node, linear, read map[string]bool) []onnx.Node {
	simple := n.Op == "SkipSimplifiedLayerNormalization"
	x, skip, bias := operand(n.Inputs, 0), operand(n.Inputs, 1), operand(n.Inputs, 4)
	if simple {
		bias = operand(n.Inputs, 3)
	}
	if operand(n.Outputs, 0) == "" || x == "" || skip == "" || read[operand(n.Outputs, 1)] || read[operand(n.Outputs, 2)] {
		return []onnx.Node{*n} // not of the form that exporters write
	}
	sum := operand(n.Outputs, 3)
	if sum == "" {
		sum = n.Outputs[0] + "#sum"
	}
	var out []onnx.Node
	add := func(a, b, to string) string {
		out = append(out, onnx.Node{Op: "Add", Inputs: []string{a, b}, Outputs: []string{to}})
		return to
	}
	switch {
	case bias == "":
	case linear[skip] && !linear[x]:
		skip = add(skip, bias, n.Outputs[0]+"#biased")
	default:
		x = add(x, bias, n.Outputs[0]+"#biased")
	}
	add(x, skip, sum)
	norm := onnx.Node{Op: "LayerNormalization", Inputs: []string{sum, operand(n.Inputs, 2)}, Outputs: n.Outputs[:1]}
	if simple {
		norm.Op = "SimplifiedLayerNormalization"
	} else if beta := operand(n.Inputs, 3); beta != "" {
		norm.Inputs = append(norm.Inputs, beta)
	}
	return append(out, withEpsilon(norm, n))
}

// withEpsilon gives a norm the epsilon of the fused node, whose default is 1e-12.
func withEpsilon(norm onnx.Node, n *onnx.Node) onnx.Node {
	epsilon := float32(1e-12)
	if a, ok := n.Attribute("epsilon"); ok {
		epsilon = a.Float
	}
	norm.Attrs = []onnx.Attr{{Name: "axis", Value: -1}, {Name: "epsilon", Value: epsilon}, {Name: "stash_type", Value: 1}}
	return norm
}

// splitEmbed writes (ids, segments, words, positions, segment table, gamma, beta, mask, position ids) -> (norm, mask index[, sum]).
func splitEmbed(n *onnx.Node, read map[string]bool) []onnx.Node {
	ids, segments, words, table := operand(n.Inputs, 0), operand(n.Inputs, 1), operand(n.Inputs, 2), operand(n.Inputs, 3)
	gamma, beta, positions := operand(n.Inputs, 5), operand(n.Inputs, 6), operand(n.Inputs, 8)
	if segments != "" || table == "" || positions == "" || operand(n.Inputs, 7) != "" || len(n.Outputs) == 0 || read[operand(n.Outputs, 1)] {
		return []onnx.Node{*n}
	}
	sum := operand(n.Outputs, 2)
	if sum == "" {
		sum = n.Outputs[0] + "#sum"
	}
	norm := onnx.Node{Op: "LayerNormalization", Inputs: []string{sum, gamma, beta}, Outputs: n.Outputs[:1]}
	return []onnx.Node{
		{Op: "Gather", Inputs: []string{words, ids}, Outputs: []string{sum + "#words"}},
		{Op: "Gather", Inputs: []string{table, positions}, Outputs: []string{sum + "#positions"}},
		{Op: "Add", Inputs: []string{sum + "#words", sum + "#positions"}, Outputs: []string{sum}},
		withEpsilon(norm, n),
	}
}

// sorted returns the nodes with each behind those whose values it reads, otherwise in the order in which they stand.
func sorted(nodes []onnx.Node) ([]onnx.Node, error) {
	maker, reads := map[string]int{}, make([][]string, len(nodes))
	for i := range nodes {
		for _, o := range nodes[i].Outputs {
			if o == "" {
				continue
			}
			if _, twice := maker[o]; twice {
				return nil, fmt.Errorf("two nodes make the value %q", o)
			}
			maker[o] = i
		}
	}
	waits, readers := make([]int, len(nodes)), make([][]int, len(nodes))
	for i := range nodes {
		var err error
		if reads[i], err = allReads(&nodes[i], 0); err != nil {
			return nil, err
		}
		for _, r := range reads[i] {
			if j, ok := maker[r]; ok {
				waits[i]++
				readers[j] = append(readers[j], i)
			}
		}
	}
	order := ready(waits, readers)
	if len(order) < len(nodes) {
		return nil, fmt.Errorf("the nodes wait for each other in a circle")
	}
	if slices.IsSorted(order) {
		return nodes, nil
	}
	out := make([]onnx.Node, len(order))
	for i, j := range order {
		out[i] = nodes[j]
	}
	return out, nil
}

// ready is Kahn's algorithm, always taking the first node that waits for none.
func ready(waits []int, readers [][]int) []int {
	var order []int
	h := intHeap{}
	for i, n := range waits {
		if n == 0 {
			h.push(i)
		}
	}
	for len(h) > 0 {
		i := h.pop()
		order = append(order, i)
		for _, j := range readers[i] {
			if waits[j]--; waits[j] == 0 {
				h.push(j)
			}
		}
	}
	return order
}

// intHeap gives the smallest number first.
type intHeap []int

func (h *intHeap) push(v int) {
	*h = append(*h, v)
	s := *h
	for i := len(s) - 1; i > 0 && s[i] < s[(i-1)/2]; i = (i - 1) / 2 {
		s[i], s[(i-1)/2] = s[(i-1)/2], s[i]
	}
}

func (h *intHeap) pop() int {
	s := *h
	top, last := s[0], len(s)-1
	s[0] = s[last]
	s = s[:last]
	for i := 0; ; {
		c := 2*i + 1
		if c >= len(s) {
			break
		}
		if c+1 < len(s) && s[c+1] < s[c] {
			c++
		}
		if s[i] <= s[c] {
			break
		}
		s[i], s[c] = s[c], s[i]
		i = c
	}
	*h = s
	return top
}

// maxDepth bounds graphs within graphs.
const maxDepth = 16

// allReads lists what a node reads, with what graphs within it read from outside.
func allReads(n *onnx.Node, depth int) ([]string, error) {
	if len(n.Stored) == 0 || !holdsGraphs(n.Op) {
		return n.Inputs, nil
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("graphs within nodes are more than %d deep", maxDepth)
	}
	list, err := n.Attributes()
	out := slices.Clip(n.Inputs)
	for _, a := range list {
		for _, g := range a.Graphs {
			inner, err := onnx.ReadBody(g)
			if err != nil {
				return nil, err
			}
			free, err := freeReads(&inner, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, free...)
		}
	}
	return out, err
}

func holdsGraphs(op string) bool {
	return op == "If" || op == "Loop" || op == "Scan" || op == "SequenceMap"
}

// freeReads lists what a body reads and does not make.
func freeReads(b *onnx.Body, depth int) ([]string, error) {
	own := map[string]bool{"": true}
	for _, in := range b.Inputs {
		own[in.Name] = true
	}
	for i := range b.Tensors {
		own[b.Tensors[i].Info.Name] = true
	}
	for i := range b.Nodes {
		for _, o := range b.Nodes[i].Outputs {
			own[o] = true
		}
	}
	var out []string
	add := func(names []string) {
		for _, r := range names {
			if !own[r] {
				own[r] = true
				out = append(out, r)
			}
		}
	}
	for i := range b.Nodes {
		reads, err := allReads(&b.Nodes[i], depth)
		if err != nil {
			return nil, err
		}
		add(reads)
	}
	for _, o := range b.Outputs {
		add([]string{o.Name})
	}
	return out, nil
}
