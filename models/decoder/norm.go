// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"fmt"

	"github.com/trimtab/trimtab/models/onnx"
	"github.com/trimtab/trimtab/models/quant"
)

// norm is the family's normalisation of the last dimension, of the given width, with the weight (and bias) of the given name.
func (b *builder) norm(name, x string, width int) string {
	return b.normEps(name, x, width, b.d.NormEps)
}

func (b *builder) normEps(name, x string, width int, eps float32) string {
	w, ok := b.vector(name+".weight", width)
	if !ok {
		b.fail(&MissingError{name + ".weight", fmt.Sprintf("a vector of %d", width), "none in the file"})
		return x
	}
	inputs := []string{x, b.floats(name+".weight", w)}
	if bias, ok := b.vector(name+".bias", width); ok {
		inputs = append(inputs, b.floats(name+".bias", bias))
	}
	return b.normalise(inputs, eps)
}

func (b *builder) normalise(inputs []string, eps float32) string {
	attrs := []onnx.Attr{{Name: "axis", Value: -1}, {Name: "epsilon", Value: eps}}
	if b.d.Norm == LayerNorm {
		return b.Add("LayerNormalization", "", inputs, attrs...)
	}
	y := b.Add("SimplifiedLayerNormalization", "", inputs[:2], attrs...)
	if len(inputs) > 2 {
		return b.op("Add", y, inputs[2])
	}
	return y
}

// headNorm is the norm of queries or keys, x being [1, s, heads·dim], where the model has it: one weight for every head, one for each, or one over all of them.
func (b *builder) headNorm(name, x string, heads, dim int) string {
	t, ok := b.src.Tensor(name + ".weight")
	switch {
	case !ok:
		return x
	case len(t.Shape) == 2 && t.Shape[0] == heads && t.Shape[1] == dim:
		return b.flat(b.eachHeadNorm(t, b.heads(x, heads, dim)), heads*dim)
	case len(t.Shape) == 1 && t.Shape[0] == heads*dim:
		return b.norm(name, x, heads*dim)
	}
	return b.flat(b.norm(name, b.heads(x, heads, dim), dim), heads*dim)
}

// eachHeadNorm norms every head and then multiplies it by its own row of the weight.
func (b *builder) eachHeadNorm(t Tensor, x string) string {
	dim := t.Cols()
	ones := make([]float32, dim)
	for i := range ones {
		ones[i] = 1
	}
	y := b.normalise([]string{x, b.floats(fmt.Sprintf("ones %d", dim), ones)}, b.d.NormEps)
	return b.op("Mul", y, b.floats(t.Name, b.values(t), t.Shape...))
}

// vector reads a one-dimensional tensor as float32.
func (b *builder) vector(name string, n int) ([]float32, bool) {
	t, ok := b.src.Tensor(name)
	if !ok {
		return nil, false
	}
	if len(t.Shape) != 1 || t.Shape[0] != n {
		b.fail(&MissingError{name, fmt.Sprintf("a vector of %d", n), fmt.Sprintf("shape %v", t.Shape)})
		return nil, false
	}
	return b.values(t), true
}

// values expands a small tensor.
func (b *builder) values(t Tensor) []float32 {
	v := make([]float32, t.Rows()*t.Cols())
	data, err := t.Blocks()
	if err == nil {
		err = quant.Dequantize(v, t.Type, data)
	}
	if err != nil {
		b.fail(fmt.Errorf("decoder: tensor %s: %w", t.Name, err))
	}
	return v
}
