// SPDX-License-Identifier: Apache-2.0

package quant

import (
	"encoding/binary"
	"math"
)

// QuantiseQ8_0 writes src, whose length is a multiple of 32, to dst as blocks of Q8_0, 34 bytes each: scale amax/127 in half precision, values
// divided by the exact scale and rounded half away from zero, as quantize_row_q8_0_ref of ggml-quants.c does. It panics where dst has another length.
func QuantiseQ8_0(dst []byte, src []float32) {
	if len(src)%32 != 0 || len(dst) != len(src)/32*34 {
		panic("quant: QuantiseQ8_0: dst and src do not fit")
	}
	for ; len(src) > 0; dst, src = dst[34:], src[32:] {
		amax := float32(0)
		for _, v := range src[:32] {
			amax = max(amax, max(v, -v))
		}
		d := amax / 127
		inverse := float32(0)
		if d != 0 {
			inverse = 1 / d
		}
		binary.LittleEndian.PutUint16(dst, F32ToF16(d))
		for j, v := range src[:32] {
			dst[2+j] = byte(int8(math.Round(float64(v * inverse))))
		}
	}
}
