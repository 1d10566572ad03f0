// SPDX-License-Identifier: Apache-2.0

package quant

import (
	"encoding/binary"
	"math"
)

// F16ToF32 widens an IEEE 754 binary16 number exactly; NaNs keep their payload.
func F16ToF32(h uint16) float32 {
	b := uint32(h&0x7fff)<<13 + 112<<23 // the biases differ by 127-15 = 112
	switch h & 0x7c00 {
	case 0x7c00: // infinity or NaN
		b += 112 << 23
	case 0: // zero or subnormal: give it a leading one, then take that one, 2^-14, away, which is exact
		b = math.Float32bits(math.Float32frombits(b+1<<23) - 0x1p-14)
	}
	return math.Float32frombits(b | uint32(h&0x8000)<<16)
}

// F32ToF16 narrows to binary16, to nearest, ties to even; too large becomes infinite, NaNs stay NaNs.
func F32ToF16(f float32) uint16 {
	b := math.Float32bits(f)
	sign, a := uint16(b>>16)&0x8000, b&0x7fffffff
	switch {
	case a > 0xff<<23:
		return sign | 0x7e00 | uint16(a>>13)&0x3ff
	case a >= 143<<23: // 2^16 and more
		return sign | 0x7c00
	case a >= 113<<23: // 2^-14: normal; a carry out of the mantissa raises the exponent, up to infinity
		a -= 112 << 23
		return sign | uint16((a+0xfff+(a>>13&1))>>13)
	}
	// Adding 1/2 makes the unit in the last place 2^-24, that of a subnormal half, so the addition itself rounds.
	v := math.Float32frombits(a) + 0.5
	return sign | uint16(math.Float32bits(v)-126<<23)
}

// BF16ToF32 widens a bfloat16 number exactly.
func BF16ToF32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// F32ToBF16 narrows to bfloat16, to nearest, ties to even; NaNs become quiet.
func F32ToBF16(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0xff<<23 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + (b >> 16 & 1)) >> 16)
}

// half reads the binary16 number at the start of b.
func half(b []byte) float32 { return F16ToF32(binary.LittleEndian.Uint16(b)) }

func expandF32(dst []float32, src []byte) {
	for ; len(dst) >= 8 && len(src) >= 32; dst, src = dst[8:], src[32:] {
		b, y := (*[32]byte)(src), (*[8]float32)(dst)
		for j := range y {
			y[j] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*j:]))
		}
	}
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

func expandF64(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
	}
}

func expandF16(dst []float32, src []byte) {
	for ; len(dst) >= 8 && len(src) >= 16; dst, src = dst[8:], src[16:] {
		b, y := (*[16]byte)(src), (*[8]float32)(dst)
		for j := range y {
			h := uint32(binary.LittleEndian.Uint16(b[2*j:]))
			if h&0x7c00-0x400 < 0x7800 { // normal: the branch nearly always taken, and cheap
				y[j] = math.Float32frombits(h&0x8000<<16 | (h&0x7fff<<13 + 112<<23))
				continue
			}
			y[j] = F16ToF32(uint16(h))
		}
	}
	for i := range dst {
		dst[i] = F16ToF32(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

func expandBF16(dst []float32, src []byte) {
	for ; len(dst) >= 8 && len(src) >= 16; dst, src = dst[8:], src[16:] {
		b, y := (*[16]byte)(src), (*[8]float32)(dst)
		for j := range y {
			y[j] = BF16ToF32(binary.LittleEndian.Uint16(b[2*j:]))
		}
	}
	for i := range dst {
		dst[i] = BF16ToF32(binary.LittleEndian.Uint16(src[2*i:]))
	}
}
