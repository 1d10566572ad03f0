// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"

	"github.com/trimtab/trimtab/cgo/kernels"
	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/quant"
)

// room allocates for weights that come together, in one piece: most are smaller than a huge page, and only neighbours fill one.
func room(weights []decoder.Weight) ([]byte, error) {
	total := 0
	for i := range weights {
		total += aligned(prepared(&weights[i]))
	}
	if total == 0 {
		return nil, nil
	}
	memory, err := kernels.Alloc(total)
	if err != nil {
		return nil, fmt.Errorf("runtime: room for %d weights: %w", len(weights), err)
	}
	return memory, nil
}

// divide gives each weight its part.
func divide(memory []byte, weights []decoder.Weight) [][]byte {
	out := make([][]byte, len(weights))
	for i := range weights {
		n := prepared(&weights[i])
		out[i] = memory[:n:n]
		memory = memory[aligned(n):]
	}
	return out
}

// prepared is the size in bytes of a weight in its form.
func prepared(w *decoder.Weight) int {
	n := 4
	switch w.Form {
	case decoder.Packed:
		return w.Bytes
	case decoder.Matrix:
		return 4 * w.Cols * w.Rows
	case decoder.Codes:
		n = 1
	}
	for _, d := range w.Shape {
		n *= d
	}
	return n
}

// aligned rounds up to a line of the processor's cache.
func aligned(n int) int { return (n + 63) &^ 63 }

// bring makes one weight ready in its form, in memory of its size.
func bring(w *decoder.Weight, memory []byte) (*heldWeight, error) {
	h := &heldWeight{memory: memory}
	switch w.Form {
	case decoder.Packed:
		if err := packParts(memory, w); err != nil {
			return nil, err
		}
		return h, h.tensor(ort.Uint8, w.Bytes)
	case decoder.Codes:
		if err := codes(memory, w); err != nil {
			return nil, err
		}
		return h, h.tensor(ort.Uint8, w.Shape...)
	case decoder.Scales:
		return h, h.floats(scales, w, w.Shape...)
	case decoder.Minimums:
		return h, h.floats(minimums, w, w.Shape...)
	case decoder.Matrix:
		return h, h.floats(transpose, w, w.Cols, w.Rows)
	}
	return h, h.floats(stack, w, w.Shape...)
}

// floats expands a weight into its memory.
func (h *heldWeight) floats(expand func([]float32, *decoder.Weight) error, w *decoder.Weight, shape ...int) error {
	if err := expand(ort.Floats(h.memory), w); err != nil {
		return err
	}
	return h.tensor(ort.Float32, shape...)
}

// packParts lays out the matrices of a weight, one behind the other.
func packParts(dst []byte, w *decoder.Weight) error {
	n := max(w.Parts, 1)
	for i := range n {
		part := *w
		part.Rows = w.Rows / n
		part.Pieces = w.Pieces[i*len(w.Pieces)/n : (i+1)*len(w.Pieces)/n]
		if err := pack(dst[i*(w.Bytes/n):][:w.Bytes/n], &part); err != nil {
			return err
		}
	}
	return nil
}

// pack lays one matrix out for the kernels.
func pack(dst []byte, w *decoder.Weight) error {
	pieces := make([]kernels.Piece, len(w.Pieces))
	for i := range w.Pieces {
		data, order, err := blocks(&w.Pieces[i], w.As)
		if err != nil {
			return err
		}
		pieces[i] = kernels.Piece{Data: data, Rows: w.Pieces[i].Rows(), Order: order}
	}
	return kernels.Pack(kernels.Weight{Type: kernels.Type(w.As), Rows: w.Rows, Cols: w.Cols, Data: dst}, pieces...)
}

// transpose expands the stacked rows of w into dst as [cols, rows], 16 rows at a time so that both sides stay in the processor's cache.
func transpose(dst []float32, w *decoder.Weight) error {
	const block = 16
	buf := make([]float32, block*w.Cols)
	row := 0
	for i := range w.Pieces {
		r, err := newRows(&w.Pieces[i], w.Cols)
		if err != nil {
			return err
		}
		for from := 0; from < r.n; from += block {
			n := min(block, r.n-from)
			for j := range n {
				if err := r.expand(buf[j*w.Cols:][:w.Cols], from+j); err != nil {
					return err
				}
			}
			scatter(dst[row:], buf, n, w.Cols, w.Rows)
			row += n
		}
	}
	return nil
}

// stack expands the rows of w into dst one below the other. In the form Paired, rows of each two pieces take turns.
func stack(dst []float32, w *decoder.Weight) error {
	step := 1
	if w.Form == decoder.Paired {
		step = 2
	}
	for i := range w.Pieces {
		r, err := newRows(&w.Pieces[i], w.Cols)
		if err != nil {
			return err
		}
		at := dst[i/step*step*r.n*w.Cols:]
		for j := range r.n {
			if err := r.expand(at[(j*step+i%step)*w.Cols:][:w.Cols], j); err != nil {
				return err
			}
		}
	}
	return nil
}

// rows are those of one stored tensor, in their order.
type rows struct {
	t    *decoder.Tensor
	data []byte
	size int // bytes of a row
	n    int
}

func newRows(t *decoder.Tensor, cols int) (rows, error) {
	size, err := quant.Bytes(t.Type, cols)
	if err != nil {
		return rows{}, err
	}
	data, err := t.Blocks()
	return rows{t, data, size, t.Rows()}, err
}

// expand writes row i as float32.
func (r *rows) expand(dst []float32, i int) error {
	if r.t.Order != nil {
		i = int(r.t.Order[i])
	}
	return quant.Dequantize(dst, r.t.Type, r.data[i*r.size:][:r.size])
}

// scatter writes n rows of src as columns of dst, whose rows are stride apart.
func scatter(dst, src []float32, n, cols, stride int) {
	for c := range cols {
		line := dst[c*stride : c*stride+n]
		for r := range line {
			line[r] = src[r*cols+c]
		}
	}
}
