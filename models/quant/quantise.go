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

// QuantiseQ6_0 writes src, whose length is a multiple of 32, to dst as blocks of Q6_0, 26 bytes each: the number furthest from zero has code 0, which stands for -32
// scales, and the scale is then fitted to all codes by least squares. It panics where dst has another length.
func QuantiseQ6_0(dst []byte, src []float32) {
	if len(src)%32 != 0 || len(dst) != len(src)/32*26 {
		panic("quant: QuantiseQ6_0: dst and src do not fit")
	}
	for ; len(src) > 0; dst, src = dst[26:], src[32:] {
		furthest := float32(0)
		for _, v := range src[:32] {
			if max(v, -v) > max(furthest, -furthest) {
				furthest = v
			}
		}
		inverse := float32(0)
		if max(furthest, -furthest) > 0x1p-100 { // or it would overflow; blocks below half precision are zeros anyway
			inverse = -32 / furthest
		}
		put6_0((*[26]byte)(dst), (*[32]float32)(src), inverse)
	}
}

func put6_0(dst *[26]byte, x *[32]float32, inverse float32) {
	var codes [32]byte
	var qx, qq float32
	for j, v := range x {
		q := min(float32(math.Floor(float64(v*inverse)+0.5)), 31)
		codes[j] = byte(int(q) + 32)
		qx, qq = qx+q*v, qq+q*q
	}
	d := float32(0)
	if qq > 0 {
		d = qx / qq
	}
	binary.LittleEndian.PutUint16(dst[:], F32ToF16(d))
	clear(dst[2:10])
	for j := range 16 {
		dst[10+j] = codes[j]&15 | codes[j+16]<<4
		dst[2+j%8] |= (codes[j]>>4 | codes[j+16]>>4<<2) << (j / 8 * 4)
	}
}
