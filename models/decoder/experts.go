// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"fmt"

	"github.com/trimtab/trimtab/models/onnx"
)

// experts is the feed-forward layer of a block with a router: the chosen experts, plus the one that every token uses where the model has it.
func (b *builder) experts(i int, x string) string {
	d, e := b.d, &b.d.Experts
	logits := b.linear(x, d.Width, layer{b.name(i, "ffn_gate_inp"), e.Count})
	logits = b.site("router_logits", i, logits, e.Count, AllRows)
	r := b.route(i, logits)
	b.watch(i, r.ids, r.weights)
	y := b.mixture(i, x, r)
	if e.SharedWidth == 0 {
		return y
	}
	return b.op("Add", y, b.shared(i, x))
}

// shared is the expert that every token uses, behind a gate of one number where the model has one.
func (b *builder) shared(i int, x string) string {
	d, e := b.d, &b.d.Experts
	h := b.hidden(i, "_shexp", x, e.SharedWidth)
	y := b.linear(h, e.SharedWidth, layer{b.name(i, "ffn_down_shexp"), d.Width})
	gate := b.name(i, "ffn_gate_inp_shexp")
	t, ok := b.src.Tensor(gate + ".weight")
	switch {
	case !ok:
		return y
	case len(t.Shape) == 1: // some files drop the dimension of one
		w, _ := b.vector(gate+".weight", d.Width)
		g := b.op("MatMul", x, b.floats(gate, w, d.Width, 1))
		return b.op("Mul", y, b.op("Sigmoid", g))
	}
	return b.op("Mul", y, b.op("Sigmoid", b.linear(x, d.Width, layer{gate, 1})))
}

// mixture is the one place that chooses the node behind experts: the sum over the chosen ones of weight · expert(x). Both kinds compute chosen experts only.
func (b *builder) mixture(i int, x string, r routing) string {
	d, e := b.d, &b.d.Experts
	if d.Activation != SiLU || !d.Gated {
		b.fail(fmt.Errorf("decoder: experts: want a gated layer with SiLU, found activation %d, gated %v", d.Activation, d.Gated))
	}
	w := b.expertWeights(i)
	if b.err != nil {
		return x
	}
	if up, down, ok := b.packedExperts(i, w); ok {
		return b.Add("Experts", "trimtab", []string{x, r.ids, r.weights, up.Name, down.Name},
			onnx.Attr{Name: "experts", Value: e.Count}, onnx.Attr{Name: "width", Value: d.Width}, onnx.Attr{Name: "hidden", Value: e.Width},
			onnx.Attr{Name: "gated", Value: 1}, onnx.Attr{Name: "activation", Value: int(d.Activation)},
			onnx.Attr{Name: "up_type", Value: int(up.As)}, onnx.Attr{Name: "down_type", Value: int(down.As)})
	}
	return b.floatExperts(i, w, x, r)
}

// floatExperts is ONNX Runtime's MoE: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MoE
// It makes its own weights, softmax then the largest then divided by their sum. Given the logarithm of ours, minus infinity where an expert is not chosen, these
// are ours divided by their sum.
func (b *builder) floatExperts(i int, w expertWeights, x string, r routing) string {
	d, e := b.d, &b.d.Experts
	hot := b.sum(b.op("Mul", b.oneHot(r.ids, e.Count), b.op("Unsqueeze", r.weights, b.ints(-1))), -2, false)
	if r.total != "" {
		hot = b.op("Max", hot, b.number(1e-37)) // a mask may leave no weight at all, and a softmax needs one
	}
	chosen := b.op("Reshape", b.op("Log", hot), b.ints(-1, e.Count))
	in := b.shaped(Paired, b.name(i, "ffn_gate_exps+ffn_up_exps"), w.up, []int{e.Count, 2 * e.Width, d.Width})
	out := b.plain(b.name(i, "ffn_down_exps"), w.down, e.Count, d.Width, e.Width)
	inputs := []string{x, chosen, in, b.pairedBias(i), out, b.expertBias(i, "down", d.Width)}
	y := b.Add("MoE", "com.microsoft", inputs, e.attrs()...)
	switch {
	case !e.Normalise || e.Scale != 0 && e.Scale != 1:
		return b.op("Mul", y, b.sum(r.weights, -1, true))
	case r.total != "":
		return b.op("Mul", y, r.total)
	}
	return y
}

func (e *Experts) attrs() []onnx.Attr {
	alpha := e.Alpha
	if alpha == 0 {
		alpha = 1
	}
	attrs := []onnx.Attr{
		{Name: "k", Value: e.Used},
		{Name: "activation_type", Value: "swiglu"},
		{Name: "swiglu_fusion", Value: 1}, // rows of gate and up take turns
		{Name: "normalize_routing_weights", Value: 1},
		{Name: "activation_alpha", Value: alpha},
		{Name: "activation_beta", Value: e.Offset},
	}
	if e.Limit != 0 {
		attrs = append(attrs, onnx.Attr{Name: "swiglu_limit", Value: e.Limit})
	}
	return attrs
}

// expertWeights are the weights of a block's experts: gate and up of each expert in turn, and down of each.
type expertWeights struct{ up, down []Tensor }

func (b *builder) expertWeights(i int) expertWeights {
	d, e := b.d, &b.d.Experts
	gate, up := b.eachExpert(i, "gate", e.Width, d.Width), b.eachExpert(i, "up", e.Width, d.Width)
	w := expertWeights{down: b.eachExpert(i, "down", d.Width, e.Width)}
	if b.err != nil {
		return w
	}
	for j := range gate {
		w.up = append(w.up, gate[j], up[j])
	}
	return w
}

// packedExperts declares the weights in the form of the operator Experts, where that has kernels for them and computes the activation.
func (b *builder) packedExperts(i int, w expertWeights) (up, down Weight, ok bool) {
	e := &b.d.Experts
	_, biased := b.src.Tensor(b.name(i, "ffn_down_exps.bias"))
	if b.o.PackedBytes == nil || biased || e.Alpha != 0 && e.Alpha != 1 || e.Offset != 0 || e.Limit != 0 || !b.sameType(w.up) || !b.sameType(w.down) {
		return up, down, false
	}
	up = b.parts(b.name(i, "ffn_gate_exps+ffn_up_exps"), w.up, 2*e.Width)
	down = b.parts(b.name(i, "ffn_down_exps"), w.down, b.d.Width)
	if up.Bytes == 0 || down.Bytes == 0 {
		return up, down, false
	}
	return b.supply(up), b.supply(down), true
}

// parts is a packed weight of one matrix an expert; its size is 0 where there is no kernel.
func (b *builder) parts(name string, pieces []Tensor, rows int) Weight {
	n := b.d.Experts.Count
	w := Weight{Name: name, Form: Packed, Pieces: pieces, As: b.as(&pieces[0]), Rows: n * rows, Cols: pieces[0].Cols(), Parts: n}
	w.Bytes = n * b.o.PackedBytes(w.As, rows, w.Cols)
	return w
}

// eachExpert finds a weight of every expert, stored in one tensor or apart.
func (b *builder) eachExpert(i int, part string, out, in int) []Tensor {
	e := &b.d.Experts
	list := make([]Tensor, e.Count)
	name := b.name(i, "ffn_"+part+"_exps.weight")
	if _, ok := b.src.Tensor(name); !ok {
		for j := range list {
			list[j] = b.matrix(b.expertName(i, part, j, "weight"), out, in)
		}
		return list
	}
	all := b.cube(name, e.Count, out, in)
	if b.err != nil {
		return nil
	}
	data, err := all.Blocks()
	if err != nil {
		b.fail(err)
		return nil
	}
	size := len(data) / e.Count
	for j := range list {
		list[j] = Tensor{Name: fmt.Sprintf("%s[%d]", name, j), Type: all.Type, Shape: []int{out, in}, Data: data[j*size:][:size]}
	}
	return list
}

// expertBias is the bias of one of the experts' layers, [experts, out], or "".
func (b *builder) expertBias(i int, part string, out int) string {
	name := b.name(i, "ffn_"+part+"_exps.bias")
	if _, ok := b.src.Tensor(name); !ok {
		return ""
	}
	t := b.biases(name, out)
	if b.err != nil {
		return ""
	}
	return b.floats(name, b.values(t), t.Shape...)
}

func (b *builder) biases(name string, out int) Tensor {
	t, ok := b.src.Tensor(name)
	if want := []int{b.d.Experts.Count, out}; !ok || fmt.Sprint(t.Shape) != fmt.Sprint(want) {
		b.fail(&MissingError{name, fmt.Sprintf("shape %v", want), fmt.Sprint(t.Shape)})
	}
	return t
}

// pairedBias is the biases of gate and up, taking turns, or "".
func (b *builder) pairedBias(i int) string {
	e := &b.d.Experts
	gateName, upName := b.name(i, "ffn_gate_exps.bias"), b.name(i, "ffn_up_exps.bias")
	if _, ok := b.src.Tensor(gateName); !ok {
		return ""
	}
	gate, up := b.biases(gateName, e.Width), b.biases(upName, e.Width)
	if b.err != nil {
		return ""
	}
	g, u := b.values(gate), b.values(up)
	both := make([]float32, 0, 2*len(g))
	for j := range g {
		both = append(both, g[j], u[j])
	}
	return b.floats(gateName+"+up", both, e.Count, 2*e.Width)
}
