// SPDX-License-Identifier: Apache-2.0

package quant

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// The I types: groups of 4 or 8 magnitudes come from a codebook (see grids.go), signs are stored beside them.

// setSign negates v where bit is 1.
func setSign(v float32, bit uint8) float32 {
	return math.Float32frombits(math.Float32bits(v) ^ uint32(bit&1)<<31)
}

// evenSigns completes seven stored sign bits with the eighth that makes their number even.
func evenSigns(s uint32) uint8 {
	s &= 127
	return uint8(s | uint32(bits.OnesCount32(s)&1)<<7)
}

// put8 writes the eight elements of a 2-bit codebook entry.
func put8(y []float32, entry uint16, signs uint8, d float32) {
	out := (*[8]float32)(y)
	for k := range out {
		out[k] = setSign(d*levels2[entry>>(2*k)&3], signs>>k)
	}
}

// put4 writes the four elements of a codebook entry with a level number in each nibble.
func put4(y []float32, levels *[8]float32, entry uint16, signs uint8, d float32) {
	out := (*[4]float32)(y)
	for k := range out {
		out[k] = setSign(d*levels[entry>>(4*k)&7], signs>>k)
	}
}

func expandIQ2_XXS(dst []float32, src []byte) {
	for len(dst) >= 256 && len(src) >= 66 {
		d := half(src)
		for s := range 8 { // 8 bytes for 32 elements: four codebook numbers, 4x7 signs and a 4-bit scale
			q := src[2+8*s:]
			word := binary.LittleEndian.Uint32(q[4:])
			db := d * (0.5 + float32(word>>28)) * 0.25
			for g := range 4 {
				put8(dst[s*32+g*8:], gridIQ2XXS[q[g]], evenSigns(word>>(7*g)), db)
			}
		}
		dst, src = dst[256:], src[66:]
	}
}

func expandIQ2_XS(dst []float32, src []byte) {
	for len(dst) >= 256 && len(src) >= 74 {
		d, qs, scales := half(src), src[2:66], src[66:74]
		for g := range 32 { // nine bits codebook number, seven bits signs
			q := u16(qs, g)
			scale := scales[g/4] >> (g / 2 % 2 * 4) & 15
			put8(dst[g*8:], gridIQ2XS[q&511], evenSigns(uint32(q>>9)), d*(0.5+float32(scale))*0.25)
		}
		dst, src = dst[256:], src[74:]
	}
}

func expandIQ2_S(dst []float32, src []byte) {
	for len(dst) >= 256 && len(src) >= 82 {
		d, qs, signs, high, scales := half(src), src[2:34], src[34:66], src[66:74], src[74:82]
		for g := range 32 {
			index := uint16(qs[g]) | uint16(high[g/4]>>(g%4*2)&3)<<8
			scale := scales[g/4] >> (g / 2 % 2 * 4) & 15
			put8(dst[g*8:], gridIQ2S[index], signs[g], d*(0.5+float32(scale))*0.25)
		}
		dst, src = dst[256:], src[82:]
	}
}

func expandIQ3_XXS(dst []float32, src []byte) {
	for len(dst) >= 256 && len(src) >= 98 {
		d, qs := half(src), src[2:66]
		for s := range 8 {
			word := binary.LittleEndian.Uint32(src[66+4*s:])
			db := d * (0.5 + float32(word>>28)) * 0.5
			for g := range 8 {
				signs := evenSigns(word>>(g/2*7)) >> (g % 2 * 4)
				put4(dst[s*32+g*4:], &levels3XXS, gridIQ3XXS[qs[s*8+g]], signs, db)
			}
		}
		dst, src = dst[256:], src[98:]
	}
}

func expandIQ3_S(dst []float32, src []byte) {
	for len(dst) >= 256 && len(src) >= 110 {
		d, qs, high, signs, scales := half(src), src[2:66], src[66:74], src[74:106], src[106:110]
		for g := range 64 {
			index := uint16(qs[g]) | uint16(high[g/8]>>(g%8)&1)<<8
			scale := scales[g/16] >> (g / 8 % 2 * 4) & 15
			put4(dst[g*4:], &levels3S, gridIQ3S[index], signs[g/2]>>(g%2*4), d*float32(1+2*scale))
		}
		dst, src = dst[256:], src[110:]
	}
}

// putTernary writes the eight elements of an IQ1 codebook entry, values -1, 0, 1 moved by delta.
func putTernary(y []float32, entry uint16, d, delta float32) {
	out := (*[8]float32)(y)
	for k := range out {
		out[k] = d * (float32(int(entry>>(2*k)&3)-1) + delta)
	}
}

// deltaIQ1 is what IQ1 types move their ternary values by: up, or down where the bit is set.
func deltaIQ1(down bool) float32 {
	if down {
		return -0.125
	}
	return 0.125
}

func expandIQ1_S(dst []float32, src []byte) {
	for len(dst) >= 256 && len(src) >= 50 {
		d, qs, high := half(src), src[2:34], src[34:50]
		for g := range 32 { // one word for 32 elements: 4x3 index bits, a 3-bit scale, the delta's sign
			h := u16(high, g/4)
			index := uint16(qs[g]) | h>>(g%4*3)&7<<8
			putTernary(dst[g*8:], gridIQ1[index], d*float32(2*(h>>12&7)+1), deltaIQ1(h>>15 != 0))
		}
		dst, src = dst[256:], src[50:]
	}
}

func expandIQ1_M(dst []float32, src []byte) {
	for len(dst) >= 256 && len(src) >= 56 {
		qs, high, scales := src[:32], src[32:48], src[48:56]
		// The block's scale is spread over the top nibbles of the four scale words.
		d := F16ToF32(u16(scales, 0)>>12 | u16(scales, 1)>>12<<4 | u16(scales, 2)>>12<<8 | u16(scales, 3)>>12<<12)
		for g := range 32 { // a nibble each: 3 index bits and the delta's sign; a 3-bit scale for two groups
			h := high[g/2] >> (g % 2 * 4)
			scale := u16(scales, g/8) >> (g / 2 % 4 * 3) & 7
			putTernary(dst[g*8:], gridIQ1[uint16(qs[g])|uint16(h&7)<<8], d*float32(2*scale+1), deltaIQ1(h&8 != 0))
		}
		dst, src = dst[256:], src[56:]
	}
}

func expandIQ4_NL(dst []float32, src []byte) {
	for len(dst) >= 32 && len(src) >= 18 {
		putNibbles(dst[:32], src[2:18], &levels4NL, half(src))
		dst, src = dst[32:], src[18:]
	}
}

func expandIQ4_XS(dst []float32, src []byte) {
	for len(dst) >= 256 && len(src) >= 136 {
		d, high, low := half(src), u16(src, 1), src[4:8]
		for s := range 8 {
			scale := int(low[s/2]>>(s%2*4)&15) | int(high>>(2*s)&3)<<4
			putNibbles(dst[s*32:s*32+32], src[8+s*16:24+s*16], &levels4NL, d*float32(scale-32))
		}
		dst, src = dst[256:], src[136:]
	}
}

// putNibbles writes len(y) = 2*len(qs) elements: first all low nibbles, then all high ones.
func putNibbles(y []float32, qs []byte, levels *[16]float32, d float32) {
	n := len(qs)
	for j, q := range qs {
		y[j], y[j+n] = d*levels[q&15], d*levels[q>>4]
	}
}

func expandMXFP4(dst []float32, src []byte) {
	for len(dst) >= 32 && len(src) >= 17 {
		putNibbles(dst[:32], src[1:17], &levelsFP4, halfE8M0(src[0]))
		dst, src = dst[32:], src[17:]
	}
}

// halfE8M0 returns 2^(e-128), half of what the OCP microscaling exponent means, because levelsFP4 are doubled.
func halfE8M0(e byte) float32 {
	if e < 2 { // subnormal
		return math.Float32frombits(0x00200000 << e)
	}
	return math.Float32frombits(uint32(e-1) << 23)
}

func expandNVFP4(dst []float32, src []byte) {
	for len(dst) >= 64 && len(src) >= 36 {
		for s := range 4 {
			putNibbles(dst[s*16:s*16+16], src[4+s*8:12+s*8], &levelsFP4, halfUE4M3(src[s]))
		}
		dst, src = dst[64:], src[36:]
	}
}

// halfUE4M3 returns half of an unsigned 8-bit float with 4 exponent and 3 mantissa bits, bias 7; 0x7f, its NaN, is 0.
func halfUE4M3(x byte) float32 {
	exponent, mantissa := x>>3&15, float32(x&7)
	switch {
	case x == 0x7f:
		return 0
	case exponent == 0:
		return mantissa * 0x1p-10
	}
	return (1 + mantissa/8) * math.Float32frombits(uint32(exponent+127-8)<<23)
}
