// SPDX-License-Identifier: Apache-2.0

package export

import (
	"slices"

	"github.com/trimtab/trimtab/models/onnx"
)

// trunk is what every way from the embeddings to the logits passes through, cut where a module's output is added to the residual stream.
type trunk struct {
	*flow
	path    []string       // from the embeddings to the logits
	place   map[string]int // of each value of the path
	modules []module       // in forward order
	states  map[string]bool
	section []int // by live value: the last value of the path before it, or itself
}

// module is what stands between two residual sums.
type module struct {
	from, sum int      // places on the path: where the module branches off, and the sum
	attention []string // what is added, by whether attention has a part in it
	rest      []string
}

// newTrunk cuts the path. states are the cache inputs and outputs, whose use marks attention where no operator does.
func newTrunk(f *flow, logits string, states map[string]bool) *trunk {
	t := &trunk{flow: f, path: f.way("", logits), place: map[string]int{}, states: states}
	if len(t.path) == 0 {
		return t
	}
	for i, v := range t.path {
		t.place[v] = i
	}
	t.section = make([]int, len(f.names))
	for id := range f.names {
		if p, ok := t.place[f.names[id]]; ok {
			t.section[id] = p
		} else {
			t.section[id] = t.section[f.above[id]]
		}
	}
	for i := 2; i < len(t.path); i++ {
		if m, ok := t.moduleAt(i); ok {
			t.modules = append(t.modules, m)
		}
	}
	return t
}

func isSum(n *onnx.Node) bool { return n != nil && (n.Op == "Add" || n.Op == "Sum") }

// moduleAt takes apart what is added at a place of the path, where that is a module's output.
func (t *trunk) moduleAt(i int) (module, bool) {
	m := module{from: i - 1, sum: i}
	node, ok := t.maker[t.path[i]]
	if !ok || !isSum(&t.nodes[node]) || len(t.liveInputs(node)) < 2 {
		return m, false
	}
	if !t.carries(t.path[i], m.from) {
		return m, false
	}
	for _, term := range t.terms(t.path[i], m.from) {
		within := t.ancestors(term, m.from)
		switch {
		case slices.ContainsFunc(within, t.attentive(m.from)):
			m.attention = append(m.attention, term)
		case slices.ContainsFunc(within, t.linear):
			m.rest = append(m.rest, term)
		default:
			return m, false // arithmetic of a norm or an activation
		}
	}
	return m, len(m.attention)+len(m.rest) > 0
}

// isResidual tells whether a value is the one at a place of the path, but for its number type and a factor.
func (t *trunk) isResidual(v string, from int) bool {
	for v != t.path[from] {
		i, ok := t.maker[v]
		if !ok {
			return false
		}
		in := t.liveInputs(i)
		if len(in) != 1 || !(reshapes(&t.nodes[i]) || t.nodes[i].Op == "Mul" || t.nodes[i].Op == "Div") {
			return false
		}
		v = in[0]
	}
	return true
}

// carries tells whether the residual is one of the terms of a sum.
func (t *trunk) carries(v string, from int) bool {
	for _, in := range t.addends(v) {
		if t.isResidual(in, from) || t.carries(in, from) {
			return true
		}
	}
	return false
}

// addends are the live inputs of a sum of two or more; nil for other values.
func (t *trunk) addends(v string) []string {
	i, ok := t.maker[v]
	if !ok || !isSum(&t.nodes[i]) {
		return nil
	}
	if in := t.liveInputs(i); len(in) > 1 {
		return in
	}
	return nil
}

// terms lists what a sum adds to the residual: sums within it are taken apart where they hold the residual, or attention beside something else.
func (t *trunk) terms(v string, from int) []string {
	var out []string
	for _, in := range t.addends(v) {
		switch {
		case t.isResidual(in, from):
		case t.carries(in, from) || t.mixed(in, from):
			out = append(out, t.terms(in, from)...)
		default:
			out = append(out, in)
		}
	}
	return out
}

// mixed tells whether a sum has a term with attention and one without.
func (t *trunk) mixed(v string, from int) bool {
	with, without := false, false
	for _, in := range t.addends(v) {
		if slices.ContainsFunc(t.ancestors(in, from), t.attentive(from)) {
			with = true
		} else {
			without = true
		}
	}
	return with && without
}

// ancestors lists the nodes that a value is computed by, from a place of the path on, in topological order.
func (t *trunk) ancestors(v string, from int) []int {
	seen := map[int]bool{}
	stack := []string{v}
	for len(stack) > 0 {
		v, stack = stack[len(stack)-1], stack[:len(stack)-1]
		i, ok := t.maker[v]
		if !ok || seen[i] || !t.live(v) || v == t.path[from] || t.section[t.ids[v]] < from {
			continue
		}
		seen[i] = true
		stack = append(stack, t.liveInputs(i)...)
	}
	out := make([]int, 0, len(seen))
	for i := range seen {
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}

// attentive returns a test for nodes that mix tokens: operators of attention, nodes that read or make the cache, and a softmax over products of two activations.
func (t *trunk) attentive(from int) func(int) bool {
	return func(i int) bool {
		n := &t.nodes[i]
		if attends(n) {
			return true
		}
		for _, list := range [][]string{n.Inputs, n.Outputs} {
			if slices.ContainsFunc(list, func(v string) bool { return t.states[v] }) {
				return true
			}
		}
		return n.Op == "Softmax" && t.scores(operand(n.Inputs, 0), from)
	}
}

// scores tells whether a value comes from a product of two activations by way of scale, mask and cap only.
func (t *trunk) scores(v string, from int) bool {
	for range 64 {
		i, ok := t.maker[v]
		if !ok || v == t.path[from] {
			return false
		}
		n, in := &t.nodes[i], t.liveInputs(i)
		if at := matrixInput(n); at >= 0 {
			return len(in) > 1 || (len(in) == 1 && t.live(operand(n.Inputs, at)))
		}
		if len(in) == 0 {
			return false
		}
		switch n.Op {
		case "Add", "Sub", "Mul", "Div", "Where", "Clip", "Tanh", "Max", "Min", "Concat", "Slice", "Reshape", "Transpose", "Cast", "Identity", "Unsqueeze", "Squeeze", "Expand":
			v = in[0]
		default:
			return false
		}
	}
	return false
}

// passes tells whether the path from one place to another changes no more than the number type.
func (t *trunk) passes(from, to int) bool {
	for i := from + 1; i <= to; i++ {
		if !sameValue(t.node(t.path[i])) {
			return false
		}
	}
	return true
}

// entry is the value that stands for the stream at the place where a module branches off: the earliest that is the same.
func (t *trunk) entry(from int) string {
	for from > 1 && sameValue(t.node(t.path[from])) {
		from--
	}
	return t.path[from]
}

// within tells whether a node's first output lies between two neighbours of the path, or is the second of them.
func (t *trunk) within(i, from int) bool {
	for _, o := range t.nodes[i].Outputs {
		if !t.live(o) {
			continue
		}
		s := t.section[t.ids[o]]
		if p, on := t.place[o]; on {
			s = p - 1
		}
		return s == from
	}
	return false
}
