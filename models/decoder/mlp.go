// SPDX-License-Identifier: Apache-2.0

package decoder

import "github.com/trimtab/trimtab/models/onnx"

// mlp is the feed-forward layer of one block: dense, or experts where the block has a router.
func (b *builder) mlp(i int, x string) string {
	d := b.d
	if b.err != nil {
		return x
	}
	x = b.site("mlp_in", i, x, d.Width, AllRows)
	if _, ok := b.src.Tensor(b.name(i, "ffn_gate_inp.weight")); ok && d.Experts.Count > 0 {
		return b.site("mlp_out", i, b.experts(i, x), d.Width, AllRows)
	}
	a := b.site("mlp_act", i, b.hidden(i, "", x, d.MLPWidth), d.MLPWidth, AllRows)
	out := b.linear(a, d.MLPWidth, layer{b.name(i, "ffn_down"), d.Width})
	return b.site("mlp_out", i, out, d.Width, AllRows)
}

// hidden is what down_proj reads: act(gate(x)) · up(x), or act(up(x)). A gate that has no weight of its own stands above up in one.
func (b *builder) hidden(i int, suffix, x string, width int) string {
	d := b.d
	gate, up := b.name(i, "ffn_gate"+suffix), b.name(i, "ffn_up"+suffix)
	if !d.Gated {
		return b.activate(b.linear(x, d.Width, layer{up, width}))
	}
	layers := []layer{{gate, width}, {up, width}}
	if _, ok := b.src.Tensor(gate + ".weight"); !ok {
		layers = []layer{{up, 2 * width}}
	}
	both := b.linear(x, d.Width, layers...)
	if b.o.PackedBytes != nil && d.Activation != ReLU {
		return b.Add("Glu", "trimtab", []string{both}, onnx.Attr{Name: "activation", Value: int(d.Activation)})
	}
	parts := b.AddN("Split", "", 2, []string{both}, onnx.Attr{Name: "axis", Value: -1}, onnx.Attr{Name: "num_outputs", Value: 2})
	return b.op("Mul", b.activate(parts[0]), parts[1])
}

func (b *builder) activate(x string) string {
	switch b.d.Activation {
	case GELU:
		return b.Add("Gelu", "", []string{x}, onnx.Attr{Name: "approximate", Value: "none"})
	case GELUTanh:
		return b.Add("Gelu", "", []string{x}, onnx.Attr{Name: "approximate", Value: "tanh"})
	case ReLU:
		return b.op("Relu", x)
	}
	// QuickGelu is x · sigmoid(alpha x): SiLU for alpha 1, in one node.
	return b.Add("QuickGelu", "com.microsoft", []string{x}, onnx.Attr{Name: "alpha", Value: float32(1)})
}
