// SPDX-License-Identifier: Apache-2.0

package decoder

import "github.com/trimtab/trimtab/models/onnx"

// mlp is the feed-forward layer of one block.
func (b *builder) mlp(i int, x string) string {
	d := b.d
	x = b.site("mlp_in", i, x, d.Width, AllRows)
	a := b.site("mlp_act", i, b.hidden(i, x), d.MLPWidth, AllRows)
	out := b.linear(a, d.MLPWidth, b.name(i, "ffn_down"))
	return b.site("mlp_out", i, out, d.Width, AllRows)
}

// hidden is what down_proj reads: act(gate(x)) · up(x), or act(up(x)).
func (b *builder) hidden(i int, x string) string {
	d := b.d
	if !d.Gated {
		return b.activate(b.linear(x, d.Width, b.name(i, "ffn_up")))
	}
	both := b.linear(x, d.Width, b.name(i, "ffn_gate"), b.name(i, "ffn_up"))
	parts := b.AddN("Split", "", 2, []string{both}, onnx.Attr{Name: "axis", Value: -1}, onnx.Attr{Name: "num_outputs", Value: 2})
	return b.Add("Mul", "", []string{b.activate(parts[0]), parts[1]})
}

func (b *builder) activate(x string) string {
	switch b.d.Activation {
	case GELU:
		return b.Add("Gelu", "", []string{x}, onnx.Attr{Name: "approximate", Value: "none"})
	case GELUTanh:
		return b.Add("Gelu", "", []string{x}, onnx.Attr{Name: "approximate", Value: "tanh"})
	}
	// QuickGelu is x · sigmoid(alpha x): SiLU for alpha 1, in one node.
	return b.Add("QuickGelu", "com.microsoft", []string{x}, onnx.Attr{Name: "alpha", Value: float32(1)})
}
