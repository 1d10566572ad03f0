// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"math"

	"github.com/trimtab/trimtab/models/onnx"
)

// attention is the attention module of one block: projections, rotary embedding, grouped-query attention over the cache, output projection.
func (b *builder) attention(i int, x string) string {
	d := b.d
	qkv := b.linear(x, d.Width, b.name(i, "attn_q"), b.name(i, "attn_k"), b.name(i, "attn_v"))
	z := b.attend(i, qkv)
	z = b.site("attn_z", i, z, d.Heads*d.HeadDim, AllRows)
	out := b.linear(z, d.Heads*d.HeadDim, b.name(i, "attn_output"))
	return b.site("attn_out", i, out, d.Width, AllRows)
}

// attend is the one place that chooses the node behind attention.
func (b *builder) attend(i int, qkv string) string {
	if b.o.Cache == CacheORT {
		return b.attendORT(i, qkv)
	}
	return b.attendOwn(i, qkv)
}

// attendOwn is the operator Attention of cgo/ort, which takes heads of any width and keeps keys and values in one memory a block.
func (b *builder) attendOwn(i int, qkv string) string {
	d := b.d
	cache := b.Input(CacheName(i), onnx.Uint8, onnx.Sym("cache_bytes"))
	cos, sin := InputCos, InputSin
	if d.Rope.Dims == 0 {
		cos = b.floats("no_rope", []float32{0})
		sin = cos
	}
	scale := d.AttnScale
	if scale == 0 {
		scale = float32(1 / math.Sqrt(float64(d.HeadDim)))
	}
	return b.Add("Attention", "trimtab", []string{qkv, cache, InputTotal, cos, sin},
		onnx.Attr{Name: "heads", Value: d.Heads}, onnx.Attr{Name: "kv_heads", Value: d.KVHeads}, onnx.Attr{Name: "head", Value: d.HeadDim},
		onnx.Attr{Name: "rotary", Value: d.Rope.Dims}, onnx.Attr{Name: "interleaved", Value: number(d.Rope.Interleaved)}, onnx.Attr{Name: "window", Value: 0},
		onnx.Attr{Name: "cache_type", Value: int(b.o.Cache.Type())}, onnx.Attr{Name: "scale", Value: scale}, onnx.Attr{Name: "softcap", Value: float32(0)})
}

// attendORT is ONNX Runtime's GroupQueryAttention, which writes keys and values into the cache in place.
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GroupQueryAttention
func (b *builder) attendORT(i int, qkv string) string {
	d := b.d
	pastKey, pastValue, key, value := CacheNames(i)
	cache := []onnx.Dim{onnx.N(1), onnx.N(d.KVHeads), onnx.Sym("capacity"), onnx.N(d.HeadDim)}
	b.Input(pastKey, onnx.Float, cache...)
	b.Input(pastValue, onnx.Float, cache...)
	inputs := []string{qkv, "", "", pastKey, pastValue, InputLast, InputTotal}
	attrs := []onnx.Attr{{Name: "num_heads", Value: d.Heads}, {Name: "kv_num_heads", Value: d.KVHeads}}
	if d.Rope.Dims > 0 {
		inputs = append(inputs, InputCos, InputSin)
		attrs = append(attrs, onnx.Attr{Name: "do_rotary", Value: 1}, onnx.Attr{Name: "rotary_interleaved", Value: number(d.Rope.Interleaved)})
	}
	if d.AttnScale != 0 {
		attrs = append(attrs, onnx.Attr{Name: "scale", Value: d.AttnScale})
	}
	out := b.AddN("GroupQueryAttention", "com.microsoft", 3, inputs, attrs...)
	b.rename(out[1], key, cache)
	b.rename(out[2], value, cache)
	return out[0]
}

// rename makes the last node's output a graph output of its own, without a node between: the cache is written where the caller says.
func (b *builder) rename(value, name string, shape []onnx.Dim) {
	outputs := b.Nodes[len(b.Nodes)-1].Outputs
	for i := range outputs {
		if outputs[i] == value {
			outputs[i] = name
		}
	}
	b.Outputs = append(b.Outputs, onnx.Info{Name: name, Type: onnx.Float, Shape: shape})
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
