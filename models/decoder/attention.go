// SPDX-License-Identifier: Apache-2.0

package decoder

// queries are what attention is made of, [1, s, heads·dim] each, or all three beside each other.
type queries struct {
	packed  string // q, k and v beside each other; "" where they stand alone
	q, k, v string
}

// attention is the attention module of one block: projections, rotary embedding, grouped-query attention over the cache, output projection.
func (b *builder) attention(i int, x string) string {
	d := b.d
	if b.err != nil {
		return x
	}
	x = b.site("attn_in", i, x, d.Width, AllRows)
	z := b.attend(i, b.project(i, x))
	width := d.Heads * d.ValueDim()
	z = b.site("attn_z", i, z, width, AllRows)
	out := b.linear(z, width, layer{b.name(i, "attn_output"), d.Width})
	return b.site("attn_out", i, out, d.Width, AllRows)
}

// project makes queries, keys and values, normed and clipped where the model does that. They stay in one piece where nothing sets them apart.
func (b *builder) project(i int, x string) queries {
	d := b.d
	if d.Latent.Rank > 0 {
		return b.latent(i, x)
	}
	p := queries{packed: b.projections(i, x)}
	_, qNorm := b.src.Tensor(b.name(i, "attn_q_norm.weight"))
	_, kNorm := b.src.Tensor(b.name(i, "attn_k_norm.weight"))
	if qNorm || kNorm {
		p = b.apart(p)
		p.q = b.headNorm(b.name(i, "attn_q_norm"), p.q, d.Heads, d.HeadDim)
		p.k = b.headNorm(b.name(i, "attn_k_norm"), p.k, d.KVHeads, d.HeadDim)
	}
	if d.ClipQKV == 0 {
		return p
	}
	return p.each(func(x string) string { return b.op("Clip", x, b.number(-d.ClipQKV), b.number(d.ClipQKV)) })
}

// projections are q, k and v beside each other, from three weights or from one.
func (b *builder) projections(i int, x string) string {
	d := b.d
	q, kv := d.Heads*d.HeadDim, d.KVHeads*d.HeadDim
	if _, ok := b.src.Tensor(b.name(i, "attn_qkv.weight")); ok {
		return b.linear(x, d.Width, layer{b.name(i, "attn_qkv"), q + 2*kv})
	}
	return b.linear(x, d.Width, layer{b.name(i, "attn_q"), q}, layer{b.name(i, "attn_k"), kv}, layer{b.name(i, "attn_v"), kv})
}

// apart splits what stands in one piece.
func (b *builder) apart(p queries) queries {
	if p.packed == "" {
		return p
	}
	d := b.d
	s := b.split(p.packed, d.Heads*d.HeadDim, d.KVHeads*d.HeadDim, d.KVHeads*d.HeadDim)
	return queries{q: s[0], k: s[1], v: s[2]}
}

// together puts what stands alone beside each other.
func (b *builder) together(p queries) string {
	if p.packed != "" {
		return p.packed
	}
	return b.concat(p.q, p.k, p.v)
}

// each does the same to q, k and v.
func (p queries) each(f func(string) string) queries {
	if p.packed != "" {
		return queries{packed: f(p.packed)}
	}
	return queries{q: f(p.q), k: f(p.k), v: f(p.v)}
}
