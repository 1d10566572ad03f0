// SPDX-License-Identifier: Apache-2.0

package export

import "github.com/trimtab/trimtab/models/onnx"

// Router is what is known of a router in front of which logits can be changed.
type Router struct {
	Experts int
	Used    int    // by one token
	Node    string // chooses the experts within the graph
}

// Routers lists them by block. One whose choice goes by more than its logits, or whose number of chosen experts was not found, is not listed.
func (m *Model) Routers() map[int]Router { return m.Main.routers }

// router finds the router of a mixture of experts and reports whether the layer is one.
func (f *finder) router(i int, b *branch) bool {
	var fused, top []int
	for _, n := range b.nodes {
		switch f.nodes[n].Op {
		case "MoE", "QMoE", "ShardedMoE":
			fused = append(fused, n)
		case "TopK":
			top = append(top, n)
		}
	}
	switch {
	case len(fused) == 1:
		f.fusedRouter(i, &f.nodes[fused[0]])
	case len(top) > 0:
		f.plainRouter(i, b, top)
	case len(fused) > 1:
		for _, p := range []string{"router_logits", "expert_ids", "router_weights"} {
			f.miss(p, i, "the layer has %d mixtures of experts", len(fused))
		}
	default:
		for _, p := range []string{"router_logits", "expert_ids", "router_weights"} {
			f.miss(p, i, "the block has one dense feed-forward layer, no router and no experts")
		}
		return false
	}
	return true
}

// fusedRouter names what a MoE node reads; it chooses the experts within.
func (f *finder) fusedRouter(i int, n *onnx.Node) {
	f.miss("expert_ids", i, "fusion swallowed it: the node %s chooses the experts within", n.Op)
	f.miss("router_weights", i, "fusion swallowed it: the node %s weighs the experts within", n.Op)
	k := 1 // the operators' default
	if a, ok := n.Attribute("k"); ok {
		k = int(a.Int)
	}
	f.known(i, f.logitsOf(i, operand(n.Inputs, 1)), k, n.Op)
}

// known notes a router that masks can be checked against.
func (f *finder) known(i, experts, used int, node string) {
	if 1 <= used && used <= experts {
		f.routers[i] = Router{experts, used, node}
	}
}

// plainRouter goes from the choice of the best back to the matrix that rated the experts.
func (f *finder) plainRouter(i int, b *branch, top []int) {
	f.miss("router_weights", i, "the graph has no value with the weights of the chosen experts alone that could be told from others")
	n := &f.nodes[top[0]]
	width := f.logitsOf(i, operand(n.Inputs, 0))
	k, known := f.constant(operand(n.Inputs, 1))
	if len(top) > 1 || width == 0 || !known || len(k) != 1 || k[0] < 1 || k[0] > width || operand(n.Outputs, 1) == "" {
		f.miss("expert_ids", i, "%d nodes choose among experts; which choice is the last cannot be told", len(top))
		return
	}
	f.sites = append(f.sites, site{place: Place{"expert_ids", i}, value: n.Outputs[1], width: k[0], watched: true})
	if scored := f.node(operand(n.Inputs, 0)); scored != nil && scored.Op == "Softmax" || f.linearOutput(operand(n.Inputs, 0)) {
		f.known(i, width, k[0], "TopK")
	}
}

// logitsOf adds router_logits: the output of the matrix that v comes from. It returns the number of experts, 0 where there is no such matrix.
func (f *finder) logitsOf(i int, v string) int {
	behind := "" // what an Add just behind v makes: its bias
	for range 16 {
		n, ok := f.maker[v]
		if !ok {
			break
		}
		if f.linear(n) {
			if _, width := f.widths(&f.nodes[n]); width > 0 {
				f.add("router_logits", i, first(behind, v), width)
				return width
			}
			break
		}
		in := f.liveInputs(n)
		if len(in) != 1 {
			break
		}
		if behind = ""; f.nodes[n].Op == "Add" {
			behind = v
		}
		v = in[0]
	}
	f.miss("router_logits", i, "no matrix was found that makes what the experts are chosen by")
	return 0
}

// linearOutput tells whether a value is a matrix's product itself.
func (f *finder) linearOutput(v string) bool {
	n, ok := f.maker[v]
	return ok && f.linear(n)
}

// constant returns the numbers of a small tensor of the graph.
func (f *flow) constant(name string) ([]int, bool) {
	if t := f.tensors[name]; t != nil {
		return t.Ints()
	}
	n := f.node(name)
	if n == nil || n.Op != "Constant" {
		return nil, false
	}
	a, _ := n.Attribute("value")
	t, err := onnx.ReadTensor(a.Tensor)
	if err != nil {
		return nil, false
	}
	return t.Ints()
}
