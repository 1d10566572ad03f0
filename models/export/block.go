// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"slices"
)

// site is a value of the graph that is a site of the model.
type site struct {
	place   Place
	value   string
	width   int
	scope   []int // nodes that see what stands at the site; nil is all
	watched bool  // can only be read
	head    bool  // behind the choice of rows
}

// finder names the sites of a trunk.
type finder struct {
	*trunk
	width   int
	sites   []site
	missing map[Place]string
	routers map[int]Router
	layers  int
}

// block is the modules of one block: attention, then what follows it.
type block struct {
	attention *module
	rest      []*module
}

// blocks groups modules; a module with attention begins a block.
func (t *trunk) blocks() (out []block, reason string) {
	for i := range t.modules {
		m := &t.modules[i]
		switch {
		case len(m.attention) > 0:
			out = append(out, block{attention: m})
		case len(out) == 0:
			return nil, "the first thing added to the residual stream has no attention in it"
		default:
			out[len(out)-1].rest = append(out[len(out)-1].rest, m)
		}
	}
	if len(out) == 0 {
		return nil, "no sum of the graph adds what attention computes to the stream that comes from the embeddings"
	}
	return out, ""
}

func (f *finder) add(point string, layer int, value string, width int) {
	f.sites = append(f.sites, site{place: Place{point, layer}, value: value, width: width})
}

func (f *finder) miss(point string, layer int, format string, args ...any) {
	f.missing[Place{point, layer}] = fmt.Sprintf(format, args...)
}

// find names the sites of all blocks; wanted is the number of them that the settings say, 0 where they do not.
func (f *finder) find(wanted int) {
	blocks, reason := f.blocks()
	if reason == "" && wanted > 0 && wanted != len(blocks) {
		reason = fmt.Sprintf("%d blocks with attention were found, the model's config says %d", len(blocks), wanted)
	}
	f.layers = wanted
	if reason != "" {
		f.entrance(1)
		for i := range wanted {
			for _, p := range blockPoints() {
				f.miss(p, i, "%s", reason)
			}
		}
		return
	}
	f.layers = len(blocks)
	f.entrance(f.modules[0].from)
	for i := range blocks {
		f.block(i, &blocks[i])
	}
}

// blockPoints are the points of a block in forward order.
func blockPoints() []string {
	return []string{
		"resid_pre", "attn_z", "attn_out", "attn_post", "resid_mid", "mlp_in", "router_logits", "expert_ids", "router_weights", "mlp_act", "mlp_out", "mlp_post", "resid_post",
	}
}

// entrance is where the first block branches off.
func (f *finder) entrance(from int) {
	if len(f.path) > from {
		f.add("embeddings", Once, f.entry(from), f.width)
	}
}

func (f *finder) block(i int, b *block) {
	f.add("resid_pre", i, f.entry(b.attention.from), f.width)
	f.attention(i, b.attention)
	switch {
	case len(b.attention.rest) > 0:
		f.miss("resid_mid", i, "the block is parallel: attention and feed-forward layer read the same residual, and nothing stands between them")
		f.mlp(i, b.attention)
	case len(b.rest) == 0:
		f.add("resid_mid", i, f.after(b.attention), f.width)
		for _, p := range blockPoints()[5:12] {
			f.miss(p, i, "the block adds attention to the residual and nothing else")
		}
	default:
		f.add("resid_mid", i, f.after(b.attention), f.width)
		f.feedForward(i, b.rest)
	}
	last := b.attention
	if len(b.rest) > 0 {
		last = b.rest[len(b.rest)-1]
	}
	f.add("resid_post", i, f.after(last), f.width)
}

func (f *finder) feedForward(i int, rest []*module) {
	if len(rest) == 1 {
		f.mlp(i, rest[0])
		return
	}
	for _, p := range blockPoints()[5:12] {
		f.miss(p, i, "the block adds %d layers to the residual one after the other; which of them is meant is not clear", len(rest))
	}
}

// after is the residual behind a module: the sum itself, or where a norm stands on the stream, what the next module reads.
func (f *finder) after(m *module) string {
	for i := range f.modules {
		if next := &f.modules[i]; next.from >= m.sum {
			if f.passes(m.sum, next.from) {
				return f.path[m.sum]
			}
			return f.entry(next.from)
		}
	}
	return f.path[m.sum]
}

// branch is the way from the residual to one term of a sum.
type branch struct {
	way   []string // dominators of the term, from where the module branches off
	nodes []int    // that compute it
	turns []int    // steps of the way with a matrix in them: from way[i] to way[i+1]
}

func (f *finder) branch(term string, from int) *branch {
	b := &branch{way: f.way(f.path[from], term), nodes: f.ancestors(term, from)}
	step := map[string]int{}
	for i, v := range b.way {
		step[v] = i
	}
	for _, i := range b.nodes {
		if !f.linear(i) {
			continue
		}
		s, on := step[f.nodes[i].Outputs[0]]
		if on {
			s--
		} else {
			id := f.ids[f.nodes[i].Outputs[0]]
			for !on && id > 0 {
				id = f.above[id]
				s, on = step[f.names[id]]
			}
		}
		if on && s >= 0 && !slices.Contains(b.turns, s) {
			b.turns = append(b.turns, s)
		}
	}
	slices.Sort(b.turns)
	return b
}

// output is what the module's last matrix makes, with its bias, before any norm or factor behind it. What experts make is gathered and summed first.
func (f *finder) output(b *branch, turn int, experts bool) string {
	i := turn + 1
	for i+1 < len(b.way) {
		n := f.node(b.way[i+1])
		if !reshapes(n) && n.Op != "Add" && !(experts && !scales(n)) {
			break
		}
		i++
	}
	return b.way[i]
}

// matrixReading returns the node with a matrix that reads a value, -1 where there is none.
func (f *finder) matrixReading(v string, among []int) int {
	for _, i := range among {
		if f.linear(i) && slices.Contains(f.liveInputs(i), v) {
			return i
		}
	}
	return -1
}

func (f *finder) attention(i int, m *module) {
	if len(m.attention) != 1 {
		for _, p := range []string{"attn_z", "attn_out", "attn_post"} {
			f.miss(p, i, "%d terms with attention are added to the residual at once", len(m.attention))
		}
		return
	}
	term := m.attention[0]
	b := f.branch(term, m.from)
	f.add("attn_post", i, term, f.width)
	if len(b.turns) == 0 {
		f.miss("attn_z", i, "no matrix stands between attention and the residual")
		f.miss("attn_out", i, "no matrix stands between attention and the residual")
		return
	}
	last := b.turns[len(b.turns)-1]
	f.add("attn_out", i, f.output(b, last, false), f.width)
	z := b.way[last]
	if !slices.ContainsFunc(f.ancestors(z, m.from), f.attentive(m.from)) {
		f.miss("attn_z", i, "attention and the matrix behind it are one node")
		return
	}
	f.wide("attn_z", i, z, b)
}

// wide adds a site whose width the matrix behind it tells.
func (f *finder) wide(point string, layer int, v string, b *branch) {
	n := f.matrixReading(v, b.nodes)
	if n < 0 {
		// Quantised on the way: the next matrix that depends on it and on nothing beside it.
		for _, i := range b.nodes {
			if n < 0 && f.linear(i) && len(f.way(v, f.nodes[i].Outputs[0])) > 0 {
				n = i
			}
		}
	}
	width := 0
	if n >= 0 {
		width, _ = f.widths(&f.nodes[n])
	}
	if width == 0 {
		f.miss(point, layer, "the value %s is there, but its width cannot be told from the matrix that reads it", v)
		return
	}
	f.add(point, layer, v, width)
}

func (f *finder) mlp(i int, m *module) {
	if len(m.rest) != 1 {
		for _, p := range blockPoints()[5:12] {
			f.miss(p, i, "%d terms without attention are added to the residual at once", len(m.rest))
		}
		return
	}
	term := m.rest[0]
	b := f.branch(term, m.from)
	if len(b.turns) == 0 {
		for _, p := range blockPoints()[5:11] {
			f.miss(p, i, "the matrices of the layer have no common input or output")
		}
		f.add("mlp_post", i, term, f.width)
		return
	}
	f.input(i, m, b)
	experts := f.router(i, b)
	last := b.turns[len(b.turns)-1]
	switch {
	case experts:
		f.miss("mlp_act", i, "the block's feed-forward layer is a mixture of experts, which has no single down_proj")
	case len(b.turns) == 1:
		f.miss("mlp_act", i, "fusion swallowed it: the layer's matrices are one node")
	default:
		f.wide("mlp_act", i, b.way[last], b)
	}
	f.add("mlp_out", i, f.output(b, last, experts), f.width)
	f.add("mlp_post", i, term, f.width)
}

// input is what the layer's first matrices read. Where others read it too, only the layer sees what stands at the site.
func (f *finder) input(i int, m *module, b *branch) {
	v := b.way[b.turns[0]]
	var mine []int
	others := false
	for _, r := range f.readers[v] {
		in := slices.Contains(b.nodes, r)
		if in {
			mine = append(mine, r)
		}
		others = others || (!in && !measures(&f.nodes[r]))
		for _, term := range m.attention {
			if in && slices.Contains(f.ancestors(term, m.from), r) {
				f.miss("mlp_in", i, "attention reads the same value through the same node")
				return
			}
		}
	}
	s := site{place: Place{"mlp_in", i}, value: v, width: f.width}
	if others {
		s.scope = mine
	}
	f.sites = append(f.sites, s)
}
