// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"fmt"
	"strings"

	"github.com/trimtab/trimtab/models/onnx"
	"github.com/trimtab/trimtab/models/quant"
)

// layer names the weight and bias of a linear layer, and the width of its output.
type layer struct {
	name string
	out  int
}

// linear is x · Wᵀ + b for one or more layers of the same input; their outputs stand beside each other. A bias is added where the model has one.
func (b *builder) linear(x string, in int, layers ...layer) string {
	pieces := make([]Tensor, len(layers))
	for i, l := range layers {
		pieces[i] = b.matrix(l.name+".weight", l.out, in)
	}
	if b.err != nil {
		return x
	}
	return b.bias(b.multiply(x, pieces), layers)
}

// multiply takes weights held in one type as one node and others one by one.
func (b *builder) multiply(x string, pieces []Tensor) string {
	if b.sameType(pieces) {
		return b.product(x, b.weight(pieces))
	}
	parts := make([]string, len(pieces))
	for i := range pieces {
		parts[i] = b.product(x, b.weight(pieces[i:i+1]))
	}
	return b.concat(parts...)
}

// product is the one place that chooses the node behind a linear layer.
func (b *builder) product(x string, w Weight) string {
	switch w.Form {
	case Packed:
		return b.Add("Linear", "trimtab", []string{x, w.Name}, packedAttrs(&w)...)
	case Codes:
		return b.productNBits(x, w)
	}
	return b.op("MatMul", x, w.Name)
}

func packedAttrs(w *Weight) []onnx.Attr {
	return []onnx.Attr{{Name: "type", Value: int(w.As)}, {Name: "rows", Value: w.Rows}, {Name: "cols", Value: w.Cols}}
}

// embed looks the tokens' rows up. The table is often the head's weight too, so it is read in whatever form that has.
func (b *builder) embed() string {
	t := b.matrix("token_embd.weight", b.d.Vocab, b.d.Width)
	if b.err != nil {
		return ""
	}
	w := b.weight([]Tensor{t})
	switch {
	case w.Form == Packed:
		return b.Add("Row", "trimtab", []string{InputIDs, w.Name}, packedAttrs(&w)...)
	case w.Form == Codes:
		if n, _ := HeldNBits(w.As); n.Width == 8 && !n.Minimums {
			return b.embedNBits(w, n)
		}
		w = b.inForm(Matrix, w) // rows of nibbles cannot be looked up
	}
	// The matrix stands as [width, vocabulary]: [width, 1, s] -> [1, s, width].
	x := b.Add("Gather", "", []string{w.Name, InputIDs}, onnx.Attr{Name: "axis", Value: 1})
	return b.Add("Transpose", "", []string{x}, onnx.Attr{Name: "perm", Value: []int{1, 2, 0}})
}

// weight is the one place that chooses the form of a matrix: it declares the stacked tensors, held in one type, as an initializer and returns it.
func (b *builder) weight(pieces []Tensor) Weight {
	w := Weight{Pieces: pieces, As: b.as(&pieces[0]), Cols: pieces[0].Cols()}
	for i := range pieces {
		w.Rows += pieces[i].Rows()
	}
	if b.o.PackedBytes != nil {
		w.Bytes = b.o.PackedBytes(w.As, w.Rows, w.Cols)
	}
	if w.Bytes > 0 {
		return b.inForm(Packed, w)
	}
	if n, ok := HeldNBits(w.As); ok && b.o.NBits {
		return b.nbits(w, n)
	}
	return b.inForm(Matrix, w)
}

// inForm declares a matrix in one of its forms.
func (b *builder) inForm(f Form, w Weight, shape ...int) Weight {
	names := make([]string, len(w.Pieces))
	for i := range w.Pieces {
		names[i] = w.Pieces[i].Name
	}
	w.Form, w.Shape, w.Name = f, shape, strings.Join(names, "+")
	return b.supply(w)
}

// as is the type that a matrix is held in.
func (b *builder) as(t *Tensor) quant.Type {
	if b.o.As == nil {
		return t.Type
	}
	return b.o.As(t)
}

// plain declares tensors as a float32 initializer of the given shape, as they are stored, and returns its name.
func (b *builder) plain(name string, pieces []Tensor, shape ...int) string {
	return b.shaped(Plain, name, pieces, shape)
}

func (b *builder) shaped(f Form, name string, pieces []Tensor, shape []int) string {
	w := Weight{Name: name, Form: f, Pieces: pieces, Cols: shape[len(shape)-1], Shape: shape}
	for i := range pieces {
		w.Rows += pieces[i].Rows()
	}
	return b.supply(w).Name
}

// supply gives a weight its full name and lists it, once.
func (b *builder) supply(w Weight) Weight {
	w.Name = fmt.Sprintf("%s/%d", w.Name, w.Form)
	if b.have[w.Name] {
		return w
	}
	b.have[w.Name] = true
	b.out = append(b.out, w)
	switch w.Form {
	case Packed:
		b.Supply(w.Name, onnx.Uint8, onnx.N(w.Bytes))
	case Codes:
		b.Supply(w.Name, onnx.Uint8, dims(w.Shape)...)
	case Matrix:
		b.Supply(w.Name, onnx.Float, onnx.N(w.Cols), onnx.N(w.Rows))
	default:
		b.Supply(w.Name, onnx.Float, dims(w.Shape)...)
	}
	return w
}

// matrix finds a weight and checks its shape.
func (b *builder) matrix(name string, out, in int) Tensor {
	t, ok := b.src.Tensor(name)
	switch {
	case !ok:
		b.fail(&MissingError{name, fmt.Sprintf("shape [%d %d]", out, in), "none in the file"})
	case len(t.Shape) != 2 || t.Rows() != out || t.Cols() != in:
		b.fail(&MissingError{name, fmt.Sprintf("shape [%d %d]", out, in), fmt.Sprint(t.Shape)})
	}
	return t
}

// bias adds the biases of stacked layers; those without one get zeros.
func (b *builder) bias(y string, layers []layer) string {
	var all []float32
	names := make([]string, len(layers))
	found := false
	for i, l := range layers {
		names[i] = l.name
		v, ok := b.vector(l.name+".bias", l.out)
		found = found || ok
		if !ok {
			v = make([]float32, l.out)
		}
		all = append(all, v...)
	}
	if !found {
		return y
	}
	return b.op("Add", y, b.floats(strings.Join(names, "+")+".bias", all))
}

func (b *builder) sameType(pieces []Tensor) bool {
	for i := range pieces {
		if b.as(&pieces[i]) != b.as(&pieces[0]) {
			return false
		}
	}
	return true
}
