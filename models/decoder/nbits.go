// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"github.com/trimtab/trimtab/models/onnx"
	"github.com/trimtab/trimtab/models/quant"
)

// ONNX Runtime's product with quantised weights holds unsigned codes in blocks of 32 columns, less an offset of 8 or 128, times one scale a block:
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
//
// Q4_0 and Q8_0 are that already. A block of Q4_1 is scale · code + minimum = scale · (code - 8) + (minimum + 8 · scale), and what is added to every
// column of a block multiplies the sum of the block's inputs: x · Wᵀ = MatMulNBits(x) + sums(x) · Minimums. So all three are held exactly.

// BlockCols is the number of columns that share a scale in the form Codes.
const BlockCols = 32

func holdsNBits(t quant.Type) bool { return t == quant.Q4_0 || t == quant.Q4_1 || t == quant.Q8_0 }

func bitsOf(t quant.Type) int {
	if t == quant.Q8_0 {
		return 8
	}
	return 4
}

// scales declares those of codes.
func (b *builder) scales(w Weight) string { return b.inForm(Scales, w, w.Rows, w.Cols/BlockCols).Name }

// productNBits is x · Wᵀ for a weight in the form Codes. With accuracy level 4 it rounds inputs to 8 bits, as all its fast kernels do.
func (b *builder) productNBits(x string, w Weight) string {
	y := b.Add("MatMulNBits", "com.microsoft", []string{x, w.Name, b.scales(w)},
		onnx.Attr{Name: "K", Value: w.Cols}, onnx.Attr{Name: "N", Value: w.Rows}, onnx.Attr{Name: "bits", Value: bitsOf(w.As)},
		onnx.Attr{Name: "block_size", Value: BlockCols}, onnx.Attr{Name: "accuracy_level", Value: 4})
	if w.As != quant.Q4_1 {
		return y
	}
	sums := b.once("block sums of "+x, func() string { return b.sum(b.heads(x, w.Cols/BlockCols, BlockCols), -1, false) })
	return b.op("Add", y, b.op("MatMul", sums, b.inForm(Minimums, w, w.Cols/BlockCols, w.Rows).Name))
}

// embedNBits looks rows up in 8-bit codes: (code - 128) · scale.
func (b *builder) embedNBits(w Weight) string {
	rows := func(from string) string {
		return b.Add("Gather", "", []string{from, InputIDs}, onnx.Attr{Name: "axis", Value: 0})
	}
	codes := b.op("Sub", b.cast(rows(w.Name), onnx.Float), b.number(128))
	return b.flat(b.op("Mul", codes, b.op("Unsqueeze", rows(b.scales(w)), b.ints(-1))), w.Cols)
}
