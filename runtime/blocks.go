// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"encoding/binary"

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

// eachBlock calls f with every block of 32 columns of a matrix, row by row and with its place in that order.
func eachBlock(w *decoder.Weight, f func(i int, block []byte)) error {
	_, size := w.As.Block()
	at, perRow := 0, w.Cols/decoder.BlockCols
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

// codes writes what MatMulNBits takes for the codes of Q8_0, Q4_0 or Q4_1: bytes offset by 128, or columns 2i and 2i+1 in the nibbles of byte i, low one first,
// where the file has columns i and i+16.
func codes(dst []byte, w *decoder.Weight) error {
	if w.As == quant.Q8_0 {
		return eachBlock(w, func(i int, block []byte) {
			for j, q := range block[2:] {
				dst[32*i+j] = q ^ 0x80
			}
		})
	}
	return eachBlock(w, func(i int, block []byte) {
		q, out := block[len(block)-16:], dst[16*i:][:16]
		for j := range 8 {
			out[j] = q[2*j]&15 | q[2*j+1]<<4
			out[j+8] = q[2*j]>>4 | q[2*j+1]&0xf0
		}
	})
}

// scales writes those of codes, a row one behind the other.
func scales(dst []float32, w *decoder.Weight) error {
	return eachBlock(w, func(i int, block []byte) { dst[i] = halfAt(block, 0) })
}

// minimums writes what Q4_1 adds to every column of a block once 8 is taken from its codes, transposed.
func minimums(dst []float32, w *decoder.Weight) error {
	perRow := w.Cols / decoder.BlockCols
	return eachBlock(w, func(i int, block []byte) {
		dst[i%perRow*w.Rows+i/perRow] = halfAt(block, 2) + 8*halfAt(block, 0)
	})
}

func halfAt(block []byte, at int) float32 {
	return quant.F16ToF32(binary.LittleEndian.Uint16(block[at:]))
}
