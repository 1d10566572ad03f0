// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"fmt"

	"github.com/trimtab/trimtab/models/onnx"
)

// positions are those of the pass's tokens, int64 [1, s].
func (b *builder) positions() string {
	return b.once("positions", func() string {
		return b.op("Unsqueeze", b.count(true), b.ints(0))
	})
}

// count is the numbers of the pass's tokens, int64 [s], from the number of tokens before them or from 0.
func (b *builder) count(fromPast bool) string {
	return b.once(fmt.Sprintf("count %v", fromPast), func() string {
		s := b.once("tokens", func() string {
			return b.op("Squeeze", b.Add("Shape", "", []string{InputIDs}, onnx.Attr{Name: "start", Value: 1}), b.ints(0))
		})
		if !fromPast {
			return b.op("Range", b.int(0), s, b.int(1))
		}
		total := b.once("total", func() string { return b.cast(InputTotal, onnx.Int64) })
		return b.op("Range", b.op("Sub", total, s), total, b.int(1))
	})
}

// turn is the cosines and sines of a rotary embedding with the rows that the pass's tokens take of them.
type turn struct{ cos, sin, rows string }

// turn of the description's main embedding reads the tables that the caller feeds; others are computed for the pass's tokens, once a graph.
func (b *builder) turn(r *Rope) turn {
	if r == &b.d.Rope && r.LongFactors == nil {
		return turn{InputCos, InputSin, b.positions()}
	}
	key := fmt.Sprintf("turn %p ", r)
	angles := b.once(key, func() string {
		at := b.op("Unsqueeze", b.cast(b.count(true), onnx.Float), b.ints(1))
		return b.op("Mul", at, b.frequencies(key, r))
	})
	wave := func(op string) string {
		return b.once(key+op, func() string { return b.scaled(b.op(op, angles), r.Scale) })
	}
	rows := b.once("rows", func() string { return b.op("Unsqueeze", b.count(false), b.ints(0)) })
	return turn{wave("Cos"), wave("Sin"), rows}
}

// frequencies are what positions are multiplied with, [Dims/2]: in long sequences others than in short ones, where the embedding says so.
func (b *builder) frequencies(key string, r *Rope) string {
	short := b.floats(key+"short", r.frequencies(r.Factors))
	if r.LongFactors == nil {
		return short
	}
	long := b.floats(key+"long", r.frequencies(r.LongFactors))
	return b.op("Where", InputLong, long, short)
}

// rotate turns the leading dimensions of each head of x, [1, s, heads·dim].
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.RotaryEmbedding
func (b *builder) rotate(r *Rope, x string, heads, dim int) string {
	t := b.turn(r)
	attrs := []onnx.Attr{{Name: "interleaved", Value: number(r.Interleaved)}, {Name: "num_heads", Value: heads}}
	if r.Dims != dim {
		attrs = append(attrs, onnx.Attr{Name: "rotary_embedding_dim", Value: r.Dims})
	}
	return b.Add("RotaryEmbedding", "com.microsoft", []string{x, t.rows, t.cos, t.sin}, attrs...)
}
