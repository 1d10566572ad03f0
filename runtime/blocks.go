// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/quant"
)

// blocks returns the rows of a tensor in the blocks of a type, and the order in which they are still to be taken. They are the file's own where it has that type.
func blocks(t *decoder.Tensor, as quant.Type) ([]byte, []int32, error) {
	if t.Type == as {
		data, err := t.Blocks()
		return data, t.Order, err
	}
	r, err := newRows(t, t.Cols())
	if err != nil {
		return nil, nil, err
	}
	size, err := quant.Bytes(as, t.Cols())
	if err != nil {
		return nil, nil, err
	}
	out, row := make([]byte, r.n*size), make([]float32, t.Cols())
	for i := range r.n {
		if err := r.expand(row, i); err != nil {
			return nil, nil, err
		}
		if err := quant.Quantise(out[i*size:][:size], as, row); err != nil {
			return nil, nil, err
		}
	}
	return out, nil, nil
}

// eachBlock calls f with every stored block of a matrix, row by row and with its place in that order.
func eachBlock(w *decoder.Weight, f func(i int, block []byte)) error {
	elements, size := w.As.Block()
	at, perRow := 0, w.Cols/elements
	for i := range w.Pieces {
		data, order, err := blocks(&w.Pieces[i], w.As)
		if err != nil {
			return err
		}
		for r := range w.Pieces[i].Rows() {
			from := r
			if order != nil {
				from = int(order[r])
			}
			row := data[from*perRow*size:][:perRow*size]
			for len(row) > 0 {
				f(at, row[:size])
				row, at = row[size:], at+1
			}
		}
	}
	return nil
}

// codes writes what MatMulNBits takes for the codes of a type: bytes, or columns 2i and 2i+1 in the nibbles of byte i, low one first.
func codes(dst []byte, w *decoder.Weight) error {
	n, _ := decoder.HeldNBits(w.As)
	elements, _ := w.As.Block()
	lift := byte(n.Lift())
	var c quant.Codes
	return eachBlock(w, func(i int, block []byte) {
		c.ReadCodes(w.As, block)
		stored := c.Code[:elements]
		if n.Width == 8 {
			for j, q := range stored {
				dst[i*elements+j] = q + lift
			}
			return
		}
		out := dst[i*elements/2:][:elements/2]
		for j := range out {
			out[j] = stored[2*j] + lift | (stored[2*j+1]+lift)<<4
		}
	})
}

// scales writes those of codes, a row one behind the other.
func scales(dst []float32, w *decoder.Weight) error {
	return eachGroup(w, func(i int, scale, _ float32) { dst[i] = scale })
}

// minimums writes what is added to every column of a group once the type's Zero is taken from its codes, transposed.
func minimums(dst []float32, w *decoder.Weight) error {
	n, _ := decoder.HeldNBits(w.As)
	perRow, zero := w.Cols/n.Group, float32(n.Zero())
	return eachGroup(w, func(i int, scale, minimum float32) {
		dst[i%perRow*w.Rows+i/perRow] = minimum + zero*scale
	})
}

// eachGroup calls f with every group's scale and minimum, in the order of eachBlock.
func eachGroup(w *decoder.Weight, f func(i int, scale, minimum float32)) error {
	n, _ := decoder.HeldNBits(w.As)
	elements, _ := w.As.Block()
	groups := elements / n.Group
	var c quant.Codes
	return eachBlock(w, func(i int, block []byte) {
		c.ReadScales(w.As, block)
		for g := range groups {
			f(i*groups+g, c.Scale[g], c.Minimum[g])
		}
	})
}
