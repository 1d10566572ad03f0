// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"fmt"

	"github.com/trimtab/trimtab/models/onnx"
)

// latent makes queries, keys and values of latent attention (DeepSeek-V2, section 2.1, arXiv 2405.04434), turned already. Keys and values are expanded before they
// are cached, so that attention is that of every other family.
func (b *builder) latent(i int, x string) queries {
	d, l := b.d, &b.d.Latent
	turning := d.Rope.Dims
	still := d.HeadDim - turning
	q := b.split(b.heads(b.latentQuery(i, x), d.Heads, d.HeadDim), still, turning)
	qTurn := b.heads(b.rotate(&d.Rope, b.flat(q[1], d.Heads*turning), d.Heads, turning), d.Heads, turning)

	c := b.split(b.linear(x, d.Width, layer{b.name(i, "attn_kv_a_mqa"), l.Rank + turning}), l.Rank, turning)
	kTurn := b.heads(b.rotate(&d.Rope, c[1], 1, turning), 1, turning)
	kTurn = b.op("Expand", kTurn, b.ints(1, 1, d.Heads, 1))
	k, v := b.latentExpand(i, b.normEps(b.name(i, "attn_kv_a_norm"), c[0], l.Rank, l.NormEps), still)
	return queries{
		q: b.flat(b.concat(q[0], qTurn), d.Heads*d.HeadDim),
		k: b.flat(b.concat(k, kTurn), d.Heads*d.HeadDim),
		v: v,
	}
}

// latentQuery is the query projection, compressed or not.
func (b *builder) latentQuery(i int, x string) string {
	d, l := b.d, &b.d.Latent
	if l.QRank == 0 {
		return b.linear(x, d.Width, layer{b.name(i, "attn_q"), d.Heads * d.HeadDim})
	}
	c := b.linear(x, d.Width, layer{b.name(i, "attn_q_a"), l.QRank})
	c = b.normEps(b.name(i, "attn_q_a_norm"), c, l.QRank, l.NormEps)
	return b.linear(c, l.QRank, layer{b.name(i, "attn_q_b"), d.Heads * d.HeadDim})
}

// latentExpand makes the still part of keys, [1, s, heads, still], and values, [1, s, heads·value], from the compressed vector: from one weight, or from two that
// stand by head.
func (b *builder) latentExpand(i int, c string, still int) (keys, values string) {
	d, l := b.d, &b.d.Latent
	if _, ok := b.src.Tensor(b.name(i, "attn_kv_b.weight")); ok {
		both := b.linear(c, l.Rank, layer{b.name(i, "attn_kv_b"), d.Heads * (still + l.ValueDim)})
		p := b.split(b.heads(both, d.Heads, still+l.ValueDim), still, l.ValueDim)
		return p[0], b.flat(p[1], d.Heads*l.ValueDim)
	}
	kb := b.cube(b.name(i, "attn_k_b.weight"), d.Heads, l.Rank, still)
	vb := b.cube(b.name(i, "attn_v_b.weight"), d.Heads, l.ValueDim, l.Rank)
	if b.err != nil {
		return c, c
	}
	// The weight of keys stands transposed, for a product with the query that is not made here: [1, 1, s, rank] x [heads, rank, still].
	k := b.op("MatMul", b.op("Unsqueeze", c, b.ints(1)), b.plain(kb.Name, []Tensor{kb}, kb.Shape...))
	keys = b.Add("Transpose", "", []string{k}, onnx.Attr{Name: "perm", Value: []int{0, 2, 1, 3}})
	vb.Shape = []int{d.Heads * l.ValueDim, l.Rank}
	return keys, b.multiply(c, []Tensor{vb})
}

// cube finds a tensor of three dimensions.
func (b *builder) cube(name string, shape ...int) Tensor {
	t, ok := b.src.Tensor(name)
	switch {
	case !ok:
		b.fail(&MissingError{name, fmt.Sprintf("shape %v", shape), "none in the file"})
	case fmt.Sprint(t.Shape) != fmt.Sprint(shape):
		b.fail(&MissingError{name, fmt.Sprintf("shape %v", shape), fmt.Sprint(t.Shape)})
	}
	return t
}
