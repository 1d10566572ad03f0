// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/trimtab/trimtab/models/onnx"
)

// op is a standard operator without attributes.
func (b *builder) op(name string, inputs ...string) string { return b.Add(name, "", inputs) }

// once makes a value that many nodes read, at its first use.
func (b *builder) once(key string, make func() string) string {
	if b.memo[key] == "" {
		b.memo[key] = make()
	}
	return b.memo[key]
}

// scaled is x · factor; factors 0 and 1 add no node.
func (b *builder) scaled(x string, factor float32) string {
	if factor == 0 || factor == 1 {
		return x
	}
	return b.op("Mul", x, b.number(factor))
}

// number is a constant scalar.
func (b *builder) number(x float32) string {
	data := binary.LittleEndian.AppendUint32(nil, math.Float32bits(x))
	return b.Constant(fmt.Sprintf("number %g", x), onnx.Float, data)
}

// ints is a constant list.
func (b *builder) ints(v ...int) string {
	data := make([]byte, 0, 8*len(v))
	for _, n := range v {
		data = binary.LittleEndian.AppendUint64(data, uint64(int64(n)))
	}
	return b.Constant(fmt.Sprintf("ints %v", v), onnx.Int64, data, onnx.N(len(v)))
}

// int is a constant int64 scalar.
func (b *builder) int(n int) string {
	return b.Constant(fmt.Sprintf("int %d", n), onnx.Int64, binary.LittleEndian.AppendUint64(nil, uint64(int64(n))))
}

// floats stores a small constant in the graph.
func (b *builder) floats(name string, v []float32, shape ...int) string {
	data := make([]byte, 0, 4*len(v))
	for _, x := range v {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	if shape == nil {
		shape = []int{len(v)}
	}
	return b.Constant(name, onnx.Float, data, dims(shape)...)
}

func dims(shape []int) []onnx.Dim {
	out := make([]onnx.Dim, len(shape))
	for i, n := range shape {
		out[i] = onnx.N(n)
	}
	return out
}

// cast turns a value into another element type.
func (b *builder) cast(x string, t onnx.DType) string {
	return b.Add("Cast", "", []string{x}, onnx.Attr{Name: "to", Value: int(t)})
}

// split takes the last dimension apart into the given widths.
func (b *builder) split(x string, widths ...int) []string {
	return b.AddN("Split", "", len(widths), []string{x, b.ints(widths...)}, onnx.Attr{Name: "axis", Value: -1})
}

// concat puts values beside each other.
func (b *builder) concat(parts ...string) string {
	if len(parts) == 1 {
		return parts[0]
	}
	return b.Add("Concat", "", parts, onnx.Attr{Name: "axis", Value: -1})
}

// heads turns [1, s, heads·dim] into [1, s, heads, dim].
func (b *builder) heads(x string, heads, dim int) string {
	return b.op("Reshape", x, b.ints(0, 0, heads, dim))
}

// flat turns [1, s, heads, dim] into [1, s, heads·dim].
func (b *builder) flat(x string, width int) string {
	return b.op("Reshape", x, b.ints(0, 0, width))
}

// slice keeps elements from..to-1 of the last dimension.
func (b *builder) slice(x string, from, to int) string {
	return b.op("Slice", x, b.ints(from), b.ints(to), b.ints(-1))
}

// pad appends n zeros to the last dimension of [1, s, heads, dim].
func (b *builder) pad(x string, n int) string {
	return b.op("Pad", x, b.ints(0, 0, 0, 0, 0, 0, 0, n))
}
