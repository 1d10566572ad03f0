// SPDX-License-Identifier: Apache-2.0

package export

import "github.com/trimtab/trimtab/models/onnx"

// matrixInput returns which input of a node is the matrix that it multiplies by, where it is such a node; else -1. A product of two activations has the same node.
func matrixInput(n *onnx.Node) int {
	switch n.Op {
	case "MatMul", "Gemm", "FusedMatMul", "FusedGemm", "MatMulNBits", "MatMulBnb4", "MatMulFpQ4", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul",
		"GemmFloat8", "Conv", "FusedConv", "ConvInteger", "Einsum", "GatherMatMul":
		return 1
	case "QLinearMatMul":
		return 3
	case "QGemm":
		return 3
	case "MoE", "QMoE", "ShardedMoE":
		return 2
	}
	return -1
}

// attends tells whether a node is attention by itself.
func attends(n *onnx.Node) bool {
	switch n.Op {
	case "GroupQueryAttention", "MultiHeadAttention", "Attention", "QAttention", "PagedAttention", "SparseAttention", "DecoderMaskedMultiHeadAttention",
		"DecoderMaskedSelfAttention", "DecoderAttention", "PackedMultiHeadAttention", "PackedAttention", "LinearAttention":
		return true
	}
	return false
}

// sameValue tells whether a node only passes its input on, in another number type at most.
func sameValue(n *onnx.Node) bool {
	switch n.Op {
	case "Cast", "Identity", "Dropout", "CastLike":
		return true
	}
	return false
}

// reshapes tells whether a node only arranges its input anew.
func reshapes(n *onnx.Node) bool {
	switch n.Op {
	case "Reshape", "Flatten", "Squeeze", "Unsqueeze":
		return true
	}
	return sameValue(n)
}

// scales tells whether a node is a factor, or the end of a norm.
func scales(n *onnx.Node) bool {
	switch n.Op {
	case "Mul", "Div", "LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization":
		return true
	}
	return false
}

// measures tells whether a node reads no more of its input than its shape.
func measures(n *onnx.Node) bool { return n.Op == "Shape" || n.Op == "Size" }

// rowWise tells whether each row of a node's output depends on no other row of its first input, so that rows may be chosen before it.
func rowWise(n *onnx.Node) bool {
	switch n.Op {
	case "Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Reciprocal", "Neg", "Tanh", "Clip", "Min", "Max", "ReduceMean", "LayerNormalization",
		"SimplifiedLayerNormalization", "RMSNormalization", "MatMul", "FusedMatMul", "MatMulNBits", "MatMulBnb4", "GatherMatMul":
		return true
	}
	return sameValue(n)
}

// choosesRows tells whether a node may drop rows, as heads do that make logits of the last token only.
func choosesRows(n *onnx.Node) bool {
	switch n.Op {
	case "Gather", "GatherND", "GatherElements", "Slice", "Split", "Squeeze", "Compress":
		return true
	}
	return false
}

// widths returns the width of what a linear node reads and makes, 0 where it cannot be told.
func (f *flow) widths(n *onnx.Node) (in, out int) {
	if k, ok := n.Attribute("K"); ok { // MatMulNBits and its kin
		if m, ok := n.Attribute("N"); ok {
			return k.Int, m.Int
		}
	}
	at := matrixInput(n)
	if at < 0 {
		return 0, 0
	}
	shape, turned := f.matrix(operand(n.Inputs, at))
	if len(shape) != 2 {
		return 0, 0
	}
	for _, name := range []string{"transB"} {
		if a, ok := n.Attribute(name); ok && a.Int != 0 {
			turned = !turned
		}
	}
	if turned {
		return shape[1], shape[0]
	}
	return shape[0], shape[1]
}

// matrix follows a weight to the tensor that it comes from, and tells whether it was transposed on the way.
func (f *flow) matrix(name string) (shape []int, turned bool) {
	for range 8 {
		if t := f.tensors[name]; t != nil {
			return t.dims(), turned
		}
		i, ok := f.maker[name]
		if !ok || len(f.nodes[i].Inputs) == 0 {
			return nil, false
		}
		n := &f.nodes[i]
		switch {
		case n.Op == "Constant":
			a, _ := n.Attribute("value")
			t, err := onnx.ReadTensor(a.Tensor)
			if err != nil {
				return nil, false
			}
			return (&tensor{Tensor: &t}).dims(), turned
		case n.Op == "Transpose":
			turned = !turned
		case n.Op != "DequantizeLinear" && !sameValue(n):
			return nil, false
		}
		name = n.Inputs[0]
	}
	return nil, false
}

// Packs tells whether the model has operators that run many times slower unless they may lay out their weights anew: products with quantised weights.
func (m *Model) Packs() bool {
	for i := range m.Main.nodes {
		switch m.Main.nodes[i].Op {
		case "MatMulNBits", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinearMatMul", "QGemm", "QMoE", "QAttention":
			return true
		}
	}
	return false
}
