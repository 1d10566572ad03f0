// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/trimtab/trimtab/models/onnx"
	"github.com/trimtab/trimtab/models/quant"
)

// linear is x · Wᵀ + b for one or more weights of the same input; their outputs stand beside each other. A bias is added where the model has one.
func (b *builder) linear(x string, in int, names ...string) string {
	pieces := make([]Tensor, len(names))
	for i, n := range names {
		pieces[i] = b.matrix(n+".weight", in)
	}
	if b.err != nil {
		return x
	}
	y := b.multiply(x, pieces)
	return b.bias(y, names, pieces)
}

// multiply takes weights of one type as one node and others one by one.
func (b *builder) multiply(x string, pieces []Tensor) string {
	if sameType(pieces) {
		return b.product(x, b.weight(pieces))
	}
	parts := make([]string, len(pieces))
	for i := range pieces {
		parts[i] = b.product(x, b.weight(pieces[i:i+1]))
	}
	return b.Add("Concat", "", parts, onnx.Attr{Name: "axis", Value: -1})
}

// product is the one place that chooses the node behind a linear layer.
func (b *builder) product(x string, w Weight) string {
	if w.Form == Packed {
		return b.Add("Linear", "trimtab", []string{x, w.Name}, packedAttrs(&w)...)
	}
	return b.Add("MatMul", "", []string{x, w.Name})
}

func packedAttrs(w *Weight) []onnx.Attr {
	return []onnx.Attr{{Name: "type", Value: int(w.Type())}, {Name: "rows", Value: w.Rows}, {Name: "cols", Value: w.Cols}}
}

// embed looks the tokens' rows up. The table is often the head's weight too, so it is read in whatever form that has.
func (b *builder) embed() string {
	t := b.matrix("token_embd.weight", b.d.Width)
	if b.err != nil {
		return ""
	}
	if t.Rows() != b.d.Vocab {
		b.fail(&MissingError{t.Name, fmt.Sprintf("%d rows", b.d.Vocab), fmt.Sprint(t.Rows())})
	}
	w := b.weight([]Tensor{t})
	if w.Form == Packed {
		return b.Add("Row", "trimtab", []string{InputIDs, w.Name}, packedAttrs(&w)...)
	}
	// The matrix stands as [width, vocabulary]: [width, 1, s] -> [1, s, width].
	x := b.Add("Gather", "", []string{w.Name, InputIDs}, onnx.Attr{Name: "axis", Value: 1})
	return b.Add("Transpose", "", []string{x}, onnx.Attr{Name: "perm", Value: []int{1, 2, 0}})
}

// weight declares the stacked tensors as one initializer and returns it.
func (b *builder) weight(pieces []Tensor) Weight {
	w := Weight{Form: Matrix, Pieces: pieces, Cols: pieces[0].Cols()}
	names := make([]string, len(pieces))
	for i := range pieces {
		names[i] = pieces[i].Name
		w.Rows += pieces[i].Rows()
	}
	if b.o.PackedBytes != nil {
		w.Bytes = b.o.PackedBytes(w.Type(), w.Rows, w.Cols)
	}
	if w.Bytes > 0 {
		w.Form = Packed
	}
	w.Name = fmt.Sprintf("%s/%d", strings.Join(names, "+"), w.Form)
	if !b.have[w.Name] {
		b.have[w.Name] = true
		b.out = append(b.out, w)
		b.supply(&w)
	}
	return w
}

func (b *builder) supply(w *Weight) {
	if w.Form == Packed {
		b.Supply(w.Name, onnx.Uint8, onnx.N(w.Bytes))
		return
	}
	b.Supply(w.Name, onnx.Float, onnx.N(w.Cols), onnx.N(w.Rows))
}

// matrix finds a weight and checks its width.
func (b *builder) matrix(name string, in int) Tensor {
	t, ok := b.src.Tensor(name)
	switch {
	case !ok:
		b.fail(&MissingError{name, fmt.Sprintf("a matrix of width %d", in), "none in the file"})
	case len(t.Shape) != 2 || t.Cols() != in:
		b.fail(&MissingError{name, fmt.Sprintf("a matrix of width %d", in), fmt.Sprintf("shape %v", t.Shape)})
	}
	return t
}

// bias adds the biases of stacked weights; those without one get zeros.
func (b *builder) bias(y string, names []string, pieces []Tensor) string {
	var all []float32
	found := false
	for i, n := range names {
		v, ok := b.vector(n+".bias", pieces[i].Rows())
		found = found || ok
		if !ok {
			v = make([]float32, pieces[i].Rows())
		}
		all = append(all, v...)
	}
	if !found {
		return y
	}
	return b.Add("Add", "", []string{y, b.floats(strings.Join(names, "+")+".bias", all)})
}

// norm is the family's normalisation with the weight (and bias) of the given name.
func (b *builder) norm(name, x string) string {
	w, ok := b.vector(name+".weight", b.d.Width)
	if !ok {
		b.fail(&MissingError{name + ".weight", fmt.Sprintf("a vector of %d", b.d.Width), "none in the file"})
		return x
	}
	inputs := []string{x, b.floats(name+".weight", w)}
	attrs := []onnx.Attr{{Name: "axis", Value: -1}, {Name: "epsilon", Value: b.d.NormEps}}
	if b.d.Norm == RMSNorm {
		return b.Add("SimplifiedLayerNormalization", "", inputs, attrs...)
	}
	if bias, ok := b.vector(name+".bias", b.d.Width); ok {
		inputs = append(inputs, b.floats(name+".bias", bias))
	}
	return b.Add("LayerNormalization", "", inputs, attrs...)
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
	v := make([]float32, n)
	if err := quant.Dequantize(v, t.Type, t.Data); err != nil {
		b.fail(fmt.Errorf("decoder: tensor %s: %w", name, err))
		return nil, false
	}
	return v, true
}

// floats stores a small constant in the graph.
func (b *builder) floats(name string, v []float32) string {
	data := make([]byte, 0, 4*len(v))
	for _, x := range v {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	return b.Constant(name, onnx.Float, data, onnx.N(len(v)))
}

func sameType(pieces []Tensor) bool {
	for i := range pieces {
		if pieces[i].Type != pieces[0].Type {
			return false
		}
	}
	return true
}
