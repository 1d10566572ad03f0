// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package kernels_test

import (
	"encoding/binary"
	"fmt"

	"github.com/trimtab/trimtab/cgo/kernels"
)

// A matrix of two rows and 32 columns as a GGUF file stores it in Q8_0: each row is a half-precision scale and 32 signed bytes.
func Example() {
	stored := make([]byte, 2*34)
	for row, scale := range []uint16{0x3c00, 0x3800} { // 1 and 0.5
		binary.LittleEndian.PutUint16(stored[row*34:], scale)
		for c := range 32 {
			stored[row*34+2+c] = byte(c)
		}
	}
	w := kernels.Weight{Type: kernels.Q8_0, Rows: 2, Cols: 32}
	w.Data = make([]byte, kernels.PackedBytes(w.Type, w.Rows, w.Cols))
	if err := kernels.Pack(w, kernels.Piece{Data: stored, Rows: 2}); err != nil {
		panic(err)
	}
	x, y := make([]float32, 32), make([]float32, 2)
	x[3], x[31] = 127, 127
	if err := kernels.Linear(y, x, w, 1, make([]byte, kernels.ScratchBytes(w.Type, 1, 32)), 1); err != nil {
		panic(err)
	}
	fmt.Println(y)
	// Output: [4318 2159]
}
