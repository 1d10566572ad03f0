// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"slices"

	"github.com/trimtab/trimtab/models/onnx"
)

// flow is a graph with what is known of its values: who makes and who reads each, and for those that depend on the embeddings ("live") the
// nearest value that every path from the embeddings to it passes through.
type flow struct {
	body
	maker   map[string]int   // value -> the node that makes it
	readers map[string][]int // value -> the nodes that read it, also from graphs within them
	reads   [][]string       // by node
	ids     map[string]int   // live values, numbered in topological order; 0 is where the embeddings come from
	names   []string
	above   []int // by number: the nearest dominator
	depth   []int
	jump    []int // a dominator further up, for long ways
}

// maxNodes bounds what is analysed.
const maxNodes = 1 << 20

func newFlow(b body) (*flow, error) {
	if len(b.nodes) > maxNodes {
		return nil, fmt.Errorf("want at most %d nodes, found %d", maxNodes, len(b.nodes))
	}
	b.split()
	nodes, err := sorted(b.nodes)
	if err != nil {
		return nil, err
	}
	b.nodes = nodes
	f := &flow{body: b, maker: map[string]int{}, readers: map[string][]int{}, reads: make([][]string, len(nodes)), ids: map[string]int{}}
	for i := range nodes {
		for _, o := range nodes[i].Outputs {
			f.maker[o] = i
		}
		if f.reads[i], err = allReads(&nodes[i], 0); err != nil {
			return nil, err
		}
		for _, r := range f.reads[i] {
			if list := f.readers[r]; len(list) == 0 || list[len(list)-1] != i {
				f.readers[r] = append(list, i)
			}
		}
	}
	delete(f.maker, "")
	return f, nil
}

// node returns the node that makes a value, or nil.
func (f *flow) node(value string) *onnx.Node {
	if i, ok := f.maker[value]; ok {
		return &f.nodes[i]
	}
	return nil
}

// live tells whether a value depends on the embeddings.
func (f *flow) live(value string) bool {
	_, ok := f.ids[value]
	return ok && value != ""
}

// liveInputs lists the live values that a node computes with, each once.
func (f *flow) liveInputs(i int) []string {
	if measures(&f.nodes[i]) {
		return nil
	}
	var out []string
	for j, r := range f.reads[i] {
		if f.live(r) && !slices.Contains(out, r) && !(j > 0 && f.nodes[i].Op == "CastLike") {
			out = append(out, r)
		}
	}
	return out
}

// dominate numbers what depends on the given sources and finds each value's nearest dominator: the lowest common one of all that its node reads.
func (f *flow) dominate(sources []string) {
	f.names, f.above, f.depth, f.jump = []string{""}, []int{0}, []int{0}, []int{0}
	f.ids[""] = 0
	for i := range f.nodes {
		above := -1
		for _, o := range f.nodes[i].Outputs {
			if slices.Contains(sources, o) {
				above = 0
			}
		}
		if above < 0 {
			for _, r := range f.liveInputs(i) {
				if id := f.ids[r]; above < 0 {
					above = id
				} else {
					above = f.common(above, id)
				}
			}
		}
		if above >= 0 {
			f.number(f.nodes[i].Outputs, above)
		}
	}
}

func (f *flow) number(outputs []string, above int) {
	for _, o := range outputs {
		if o == "" {
			continue
		}
		f.ids[o] = len(f.names)
		f.names = append(f.names, o)
		f.above = append(f.above, above)
		f.depth = append(f.depth, f.depth[above]+1)
		jump := above
		if f.depth[above]-f.depth[f.jump[above]] == f.depth[f.jump[above]]-f.depth[f.jump[f.jump[above]]] {
			jump = f.jump[f.jump[above]]
		}
		f.jump = append(f.jump, jump)
	}
}

// common is the lowest common ancestor in the tree of dominators (Myers, "An applicative random-access stack", 1983, for the jumps).
func (f *flow) common(a, b int) int {
	if f.depth[a] < f.depth[b] {
		a, b = b, a
	}
	for f.depth[a] > f.depth[b] {
		if f.depth[f.jump[a]] >= f.depth[b] {
			a = f.jump[a]
		} else {
			a = f.above[a]
		}
	}
	for a != b {
		if f.jump[a] != f.jump[b] {
			a, b = f.jump[a], f.jump[b]
		} else {
			a, b = f.above[a], f.above[b]
		}
	}
	return a
}

// way lists the dominators of a value from one of them to itself, both included; nil where from is none.
func (f *flow) way(from, to string) []string {
	a, ok := f.ids[from]
	b, fine := f.ids[to]
	if !ok || !fine {
		return nil
	}
	var out []string
	for f.depth[b] > f.depth[a] {
		out = append(out, f.names[b])
		b = f.above[b]
	}
	if b != a {
		return nil
	}
	out = append(out, from)
	slices.Reverse(out)
	return out
}

// linear tells whether a node multiplies one activation by a matrix that is no activation.
func (f *flow) linear(i int) bool {
	n := &f.nodes[i]
	at := matrixInput(n)
	if at < 0 {
		return false
	}
	if n.Op == "Einsum" {
		return len(f.liveInputs(i)) == 1
	}
	return !f.live(operand(n.Inputs, at)) && len(f.liveInputs(i)) > 0
}

// embeddings finds the rows taken from a table by token ids, and the width of a row.
func (f *flow) embeddings(ids string) (sources []string, width int) {
	tokens := map[string]bool{ids: true}
	for i := range f.nodes {
		n := &f.nodes[i]
		switch n.Op {
		case "Cast", "Identity", "Reshape", "Flatten", "Unsqueeze", "Squeeze", "Clip", "Where", "Add", "Sub", "Mul", "Max", "Min":
			for _, in := range n.Inputs {
				if tokens[in] {
					tokens[operand(n.Outputs, 0)] = true
				}
			}
		case "Gather", "GatherBlockQuantized":
			if !tokens[operand(n.Inputs, 1)] || len(n.Outputs) == 0 {
				continue
			}
			if w := f.tableWidth(n); w > 0 {
				sources = append(sources, n.Outputs[0])
				width = first(width, w)
			}
		}
	}
	return sources, width
}

func (f *flow) tableWidth(n *onnx.Node) int {
	if n.Op == "GatherBlockQuantized" {
		scales, _ := f.matrix(operand(n.Inputs, 2))
		size := 128 // the default, of ContribOperators.md
		if a, ok := n.Attribute("block_size"); ok {
			size = a.Int
		}
		if len(scales) != 2 || size < 1 || size > 1<<16 {
			return 0
		}
		return scales[1] * size
	}
	shape, turned := f.matrix(operand(n.Inputs, 0))
	switch {
	case len(shape) != 2:
		return 0
	case turned:
		return shape[0]
	}
	return shape[1]
}
