// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"math"

	"github.com/trimtab/trimtab/models/onnx"
)

// attend is the one place that chooses the node behind attention. Both kinds count windows as we do, the query's own token included.
func (b *builder) attend(i int, p queries) string {
	p, turning := b.turned(i, p)
	p = b.widen(p)
	if b.o.Cache.ORT() {
		return b.narrow(b.attendORT(i, p, turning))
	}
	return b.narrow(b.attendOwn(i, b.together(p), turning))
}

// turned turns queries and keys where attention cannot; otherwise it returns the embedding that attention is to turn them by.
func (b *builder) turned(i int, p queries) (queries, *Rope) {
	d := b.d
	rope := d.RopeOf(i)
	if rope.Dims == 0 || d.Latent.Rank > 0 { // nothing turns, or all has turned
		return p, &Rope{}
	}
	if b.attentionTurns(rope) {
		return p, rope
	}
	p = b.apart(p)
	p.q = b.rotate(rope, p.q, d.Heads, d.HeadDim)
	p.k = b.rotate(rope, p.k, d.KVHeads, d.HeadDim)
	return p, &Rope{}
}

// attentionTurns tells whether attention takes over the rotary embedding: it reads one table of positions, and ONNX Runtime's wants multiples of 16.
func (b *builder) attentionTurns(r *Rope) bool {
	if r != &b.d.Rope || r.LongFactors != nil {
		return false
	}
	switch b.o.Cache {
	case CacheORT:
		return r.Dims%16 == 0 && b.d.HeadDim%16 == 0
	case CacheORTF16:
		return false // it would turn in half precision
	}
	return true
}

// attendOwn is the operator Attention of cgo/ort, which keeps keys and values in one memory a block.
func (b *builder) attendOwn(i int, qkv string, rope *Rope) string {
	d := b.d
	cache := b.Input(CacheName(i), onnx.Uint8, onnx.Sym("cache_bytes"))
	cos, sin := InputCos, InputSin
	if rope.Dims == 0 {
		cos = b.floats("no_rope", []float32{0})
		sin = cos
	}
	inputs := []string{qkv, cache, InputTotal, cos, sin}
	if sinks := b.sinks(i); sinks != "" {
		inputs = append(inputs, sinks)
	}
	return b.Add("Attention", "trimtab", inputs,
		onnx.Attr{Name: "heads", Value: d.Heads}, onnx.Attr{Name: "kv_heads", Value: d.KVHeads}, onnx.Attr{Name: "head", Value: d.CacheDim()},
		onnx.Attr{Name: "rotary", Value: rope.Dims}, onnx.Attr{Name: "interleaved", Value: number(rope.Interleaved)},
		onnx.Attr{Name: "window", Value: d.Window(i)}, onnx.Attr{Name: "cache_type", Value: int(b.o.Cache.Type())},
		onnx.Attr{Name: "scale", Value: d.attnScale()}, onnx.Attr{Name: "softcap", Value: d.AttnCap})
}

// attendORT is ONNX Runtime's GroupQueryAttention, which writes keys and values into the cache in place.
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GroupQueryAttention
func (b *builder) attendORT(i int, p queries, rope *Rope) string {
	d := b.d
	pastKey, pastValue, key, value := CacheNames(i)
	cache := []onnx.Dim{onnx.N(1), onnx.N(d.KVHeads), onnx.Sym("capacity"), onnx.N(d.CacheDim())}
	t := onnx.Float
	if b.o.Cache == CacheORTF16 {
		t, p = onnx.Float16, p.each(func(x string) string { return b.cast(x, onnx.Float16) })
	}
	b.Input(pastKey, t, cache...)
	b.Input(pastValue, t, cache...)
	inputs := []string{p.packed + p.q, p.k, p.v, pastKey, pastValue, InputLast, InputTotal}
	attrs := []onnx.Attr{{Name: "num_heads", Value: d.Heads}, {Name: "kv_num_heads", Value: d.KVHeads}, {Name: "scale", Value: d.attnScale()}}
	if rope.Dims > 0 {
		inputs = append(inputs, InputCos, InputSin)
		attrs = append(attrs, onnx.Attr{Name: "do_rotary", Value: 1}, onnx.Attr{Name: "rotary_interleaved", Value: number(rope.Interleaved)})
	}
	if sinks := b.sinks(i); sinks != "" {
		for len(inputs) < 11 { // the place of head_sink
			inputs = append(inputs, "")
		}
		if t == onnx.Float16 {
			sinks = b.cast(sinks, t)
		}
		inputs = append(inputs, sinks)
	}
	if d.AttnCap != 0 {
		attrs = append(attrs, onnx.Attr{Name: "softcap", Value: d.AttnCap})
	}
	if w := d.Window(i); w > 0 {
		attrs = append(attrs, onnx.Attr{Name: "local_window_size", Value: w})
	}
	out := b.AddN("GroupQueryAttention", "com.microsoft", 3, inputs, attrs...)
	b.rename(out[1], key, t, cache)
	b.rename(out[2], value, t, cache)
	if t == onnx.Float16 {
		return b.cast(out[0], onnx.Float)
	}
	return out[0]
}

// sinks are one more score of each head in a block's softmax, or "" where the model has none.
func (b *builder) sinks(i int) string {
	name := b.name(i, "attn_sinks.weight")
	v, ok := b.vector(name, b.d.Heads)
	if !ok {
		return ""
	}
	return b.floats(name, v)
}

func (d *Description) attnScale() float32 {
	if d.AttnScale != 0 {
		return d.AttnScale
	}
	return float32(1 / math.Sqrt(float64(d.HeadDim)))
}

// widen fills heads up with zeros to the width of the cache.
func (b *builder) widen(p queries) queries {
	d := b.d
	if width := d.CacheDim(); width == d.HeadDim && width == d.ValueDim() {
		return p
	}
	p = b.apart(p)
	return queries{q: b.fill(p.q, d.Heads, d.HeadDim), k: b.fill(p.k, d.KVHeads, d.HeadDim), v: b.fill(p.v, d.KVHeads, d.ValueDim())}
}

func (b *builder) fill(x string, heads, dim int) string {
	width := b.d.CacheDim()
	if dim == width {
		return x
	}
	return b.flat(b.pad(b.heads(x, heads, dim), width-dim), heads*width)
}

// narrow undoes widen for attention's output.
func (b *builder) narrow(z string) string {
	d := b.d
	if d.CacheDim() == d.ValueDim() {
		return z
	}
	return b.flat(b.slice(b.heads(z, d.Heads, d.CacheDim()), 0, d.ValueDim()), d.Heads*d.ValueDim())
}

// rename makes the last node's output a graph output of its own, without a node between: the cache is written where the caller says.
func (b *builder) rename(value, name string, t onnx.DType, shape []onnx.Dim) {
	outputs := b.Nodes[len(b.Nodes)-1].Outputs
	for i := range outputs {
		if outputs[i] == value {
			outputs[i] = name
		}
	}
	b.Outputs = append(b.Outputs, onnx.Info{Name: name, Type: t, Shape: shape})
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
