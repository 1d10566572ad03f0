// SPDX-License-Identifier: Apache-2.0

package quant

import "encoding/binary"

// The types with blocks of 32 elements. In all of them the low nibble of byte j is element j, the high one j+16.
// d is the block's scale, m its offset. Explicit float32 conversions keep the compiler from fusing a product with a
// sum, which would round once where ggml rounds twice.

func expandQ4_0(dst []float32, src []byte) {
	for len(dst) >= 32 && len(src) >= 18 {
		b, y := (*[18]byte)(src), (*[32]float32)(dst)
		d := half(b[:])
		for j := range 16 {
			q := b[2+j]
			y[j], y[j+16] = levels4Signed[q&15]*d, levels4Signed[q>>4]*d
		}
		dst, src = dst[32:], src[18:]
	}
}

func expandQ4_1(dst []float32, src []byte) {
	for len(dst) >= 32 && len(src) >= 20 {
		b, y := (*[20]byte)(src), (*[32]float32)(dst)
		d, m := half(b[:]), half(b[2:])
		for j := range 16 {
			q := b[4+j]
			y[j] = float32(levels4[q&15]*d) + m
			y[j+16] = float32(levels4[q>>4]*d) + m
		}
		dst, src = dst[32:], src[20:]
	}
}

func expandQ5_0(dst []float32, src []byte) {
	for len(dst) >= 32 && len(src) >= 22 {
		b, y := (*[22]byte)(src), (*[32]float32)(dst)
		d, high := half(b[:]), binary.LittleEndian.Uint32(b[2:])
		for j := range 16 {
			q := uint32(b[6+j])
			y[j] = float32(int32(q&15|high<<4&16)-16) * d
			y[j+16] = float32(int32(q>>4|high>>12&16)-16) * d
			high >>= 1
		}
		dst, src = dst[32:], src[22:]
	}
}

func expandQ5_1(dst []float32, src []byte) {
	for len(dst) >= 32 && len(src) >= 24 {
		b, y := (*[24]byte)(src), (*[32]float32)(dst)
		d, m, high := half(b[:]), half(b[2:]), binary.LittleEndian.Uint32(b[4:])
		for j := range 16 {
			q := uint32(b[8+j])
			y[j] = float32(float32(int32(q&15|high<<4&16))*d) + m
			y[j+16] = float32(float32(int32(q>>4|high>>12&16))*d) + m
			high >>= 1
		}
		dst, src = dst[32:], src[24:]
	}
}

// The upper two bits of element j stand in byte j%8: at bit 0 for the first eight, 4 for the second, 2 and 6 for those 16 behind them.
func expandQ6_0(dst []float32, src []byte) {
	for len(dst) >= 32 && len(src) >= 26 {
		b, y := (*[26]byte)(src), (*[32]float32)(dst)
		d := half(b[:])
		for j := range 16 {
			q, high := b[10+j], b[2+j%8]>>(j/8*4)
			y[j] = float32(int(q&15|high&3<<4)-32) * d
			y[j+16] = float32(int(q>>4|high>>2&3<<4)-32) * d
		}
		dst, src = dst[32:], src[26:]
	}
}

func expandQ8_0(dst []float32, src []byte) {
	for len(dst) >= 32 && len(src) >= 34 {
		b, y := (*[34]byte)(src), (*[32]float32)(dst)
		d := half(b[:])
		for j := range 32 {
			y[j] = float32(int8(b[2+j])) * d
		}
		dst, src = dst[32:], src[34:]
	}
}
