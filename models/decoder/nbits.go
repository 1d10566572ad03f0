// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"fmt"

	"github.com/trimtab/trimtab/models/onnx"
	"github.com/trimtab/trimtab/models/quant"
)

// ONNX Runtime's product with quantised weights holds unsigned codes of 4 or 8 bits in blocks of columns, less an offset of 8 or 128, times one scale a block:
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
//
// Types whose codes have an offset are that already, once their codes are shifted. A block of the others is
// scale · code + minimum = scale · (code - half) + (minimum + half · scale), and what is added to every column of a block multiplies the sum of the block's inputs:
// x · Wᵀ = MatMulNBits(x) + sums(x) · Minimums. So all of them are held exactly.

// NBits is how MatMulNBits holds a type.
type NBits struct {
	quant.Coding
	Width int // bits that a code takes: 4 or 8
}

// HeldNBits returns that of a type; not every type has it.
func HeldNBits(t quant.Type) (n NBits, ok bool) {
	n.Coding, ok = t.Coding()
	n.Width = 4
	if n.Bits > 4 {
		n.Width = 8
	}
	return n, ok
}

// Zero is the code, as the type stores it, that counts as none.
func (n NBits) Zero() int {
	if n.Minimums {
		return 1 << (n.Bits - 1)
	}
	return n.Offset
}

// Lift is what is added to stored codes, so that Zero becomes the node's own offset.
func (n NBits) Lift() int { return 1<<(n.Width-1) - n.Zero() }

// nbits declares a weight in the form Codes.
func (b *builder) nbits(w Weight, n NBits) Weight {
	return b.inForm(Codes, w, w.Rows, w.Cols/n.Group, n.Group*n.Width/8)
}

// scales declares those of codes.
func (b *builder) scales(w Weight, n NBits) string {
	return b.inForm(Scales, w, w.Rows, w.Cols/n.Group).Name
}

// productNBits is x · Wᵀ for a weight in the form Codes. With accuracy level 4 it rounds inputs to 8 bits, as all its fast kernels do.
func (b *builder) productNBits(x string, w Weight) string {
	n, _ := HeldNBits(w.As)
	y := b.Add("MatMulNBits", "com.microsoft", []string{x, w.Name, b.scales(w, n)},
		onnx.Attr{Name: "K", Value: w.Cols}, onnx.Attr{Name: "N", Value: w.Rows}, onnx.Attr{Name: "bits", Value: n.Width},
		onnx.Attr{Name: "block_size", Value: n.Group}, onnx.Attr{Name: "accuracy_level", Value: 4})
	if !n.Minimums {
		return y
	}
	groups := w.Cols / n.Group
	sums := b.once(fmt.Sprintf("%d block sums of %s", groups, x), func() string { return b.sum(b.heads(x, groups, n.Group), -1, false) })
	return b.op("Add", y, b.op("MatMul", sums, b.inForm(Minimums, w, groups, w.Rows).Name))
}

// embedNBits looks rows up in 8-bit codes without minimums: (code - 128) · scale.
func (b *builder) embedNBits(w Weight, n NBits) string {
	rows := func(from string) string {
		return b.Add("Gather", "", []string{from, InputIDs}, onnx.Attr{Name: "axis", Value: 0})
	}
	codes := b.op("Sub", b.cast(rows(w.Name), onnx.Float), b.number(128))
	return b.flat(b.op("Mul", codes, b.op("Unsqueeze", rows(b.scales(w, n)), b.ints(-1))), w.Cols)
}
