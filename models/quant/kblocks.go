// SPDX-License-Identifier: Apache-2.0

package quant

import "encoding/binary"

// The K types: blocks of 256 elements in sub-blocks of 16 or 32, each with a scale (and an offset) of a few bits that
// the block's d (and dmin) multiply. Element order and packing are those of ggml-quants.c.

func expandQ2_K(dst []float32, src []byte) {
	for len(dst) >= 256 && len(src) >= 84 {
		b, y := (*[84]byte)(src), (*[256]float32)(dst)
		scales, qs := b[:16], b[16:80]
		d, dmin := half(b[80:]), half(b[82:])
		for s := range 16 { // 16 elements each: two sub-blocks share 2 bits of 32 bytes
			scale, offset := d*float32(scales[s]&15), float32(dmin*float32(scales[s]>>4))
			shift := s / 2 % 4 * 2
			q := (*[16]byte)(qs[s/8*32+s%2*16:])
			out := (*[16]float32)(y[s*16:])
			for j := range 16 {
				out[j] = float32(scale*float32(q[j]>>shift&3)) - offset
			}
		}
		dst, src = dst[256:], src[84:]
	}
}

func expandQ3_K(dst []float32, src []byte) {
	for len(dst) >= 256 && len(src) >= 110 {
		b, y := (*[110]byte)(src), (*[256]float32)(dst)
		high, qs, scales := b[:32], b[32:96], b[96:108]
		d := half(b[108:])
		for s := range 16 {
			// Six-bit scales: low nibbles in bytes 0-7, the two high bits in bytes 8-11.
			scale := scales[s%8]>>(s/8*4)&15 | scales[8+s%4]>>(s/4*2)&3<<4
			dl := d * float32(int(scale)-32)
			shift, mask := s/2%4*2, byte(1)<<(s/2)
			q := (*[16]byte)(qs[s/8*32+s%2*16:])
			h := (*[16]byte)(high[s%2*16:])
			out := (*[16]float32)(y[s*16:])
			for j := range 16 {
				v := int(q[j] >> shift & 3)
				if h[j]&mask == 0 { // a clear bit subtracts
					v -= 4
				}
				out[j] = dl * float32(v)
			}
		}
		dst, src = dst[256:], src[110:]
	}
}

// scaleMin unpacks the 6-bit scale and offset of sub-block s of 8 from the 12 bytes that Q4_K and Q5_K share, and
// multiplies them by the block's.
func scaleMin(d, dmin float32, p *[12]byte, s int) (scale, offset float32) {
	if s < 4 {
		return d * float32(p[s]&63), float32(dmin * float32(p[s+4]&63))
	}
	return d * float32(p[s+4]&15|p[s-4]>>6<<4), float32(dmin * float32(p[s+4]>>4|p[s]>>6<<4))
}

func expandQ4_K(dst []float32, src []byte) {
	for len(dst) >= 256 && len(src) >= 144 {
		b, y := (*[144]byte)(src), (*[256]float32)(dst)
		d, dmin, packed := half(b[:]), half(b[2:]), (*[12]byte)(b[4:])
		for s := 0; s < 8; s += 2 { // 32 bytes hold two sub-blocks: low nibbles, then high ones
			scale0, offset0 := scaleMin(d, dmin, packed, s)
			scale1, offset1 := scaleMin(d, dmin, packed, s+1)
			q := (*[32]byte)(b[16+s*16:])
			out := (*[64]float32)(y[s*32:])
			for j := range 32 {
				v := q[j]
				out[j] = float32(scale0*levels4[v&15]) - offset0
				out[j+32] = float32(scale1*levels4[v>>4]) - offset1
			}
		}
		dst, src = dst[256:], src[144:]
	}
}

func expandQ5_K(dst []float32, src []byte) {
	for len(dst) >= 256 && len(src) >= 176 {
		b, y := (*[176]byte)(src), (*[256]float32)(dst)
		d, dmin, packed := half(b[:]), half(b[2:]), (*[12]byte)(b[4:])
		high := (*[32]byte)(b[16:])
		for s := 0; s < 8; s += 2 {
			scale0, offset0 := scaleMin(d, dmin, packed, s)
			scale1, offset1 := scaleMin(d, dmin, packed, s+1)
			q := (*[32]byte)(b[48+s*16:])
			out := (*[64]float32)(y[s*32:])
			for j := range 32 {
				v, h := int32(q[j]), int32(high[j])>>s
				out[j] = float32(scale0*float32(v&15|h&1<<4)) - offset0
				out[j+32] = float32(scale1*float32(v>>4|h&2<<3)) - offset1
			}
		}
		dst, src = dst[256:], src[176:]
	}
}

func expandQ6_K(dst []float32, src []byte) {
	for len(dst) >= 256 && len(src) >= 210 {
		b, y := (*[210]byte)(src), (*[256]float32)(dst)
		d := half(b[208:])
		for s := 0; s < 16; s += 8 { // halves of 128 elements: 64 low bytes, 32 high bytes, 8 scales
			low, high := (*[64]byte)(b[s*8:]), (*[32]byte)(b[128+s*4:])
			var scales [8]float32
			for i := range scales {
				scales[i] = d * float32(int8(b[192+s+i]))
			}
			out := (*[128]float32)(y[s*16:])
			for j := range 32 {
				l0, l1, h, k := int32(low[j]), int32(low[j+32]), int32(high[j]), j/16
				out[j] = scales[k] * float32(l0&15|h&3<<4-32)
				out[j+32] = scales[k+2] * float32(l1&15|h>>2&3<<4-32)
				out[j+64] = scales[k+4] * float32(l0>>4|h>>4&3<<4-32)
				out[j+96] = scales[k+6] * float32(l1>>4|h>>6<<4-32)
			}
		}
		dst, src = dst[256:], src[210:]
	}
}

func expandTQ1_0(dst []float32, src []byte) {
	for len(dst) >= 256 && len(src) >= 54 {
		b, y := (*[54]byte)(src), dst[:256]
		d := half(b[52:])
		// Five ternary digits a byte in runs of 32 and 16 bytes, then four a byte in the last 4.
		y = trits(y, b[:32], 5, d)
		y = trits(y, b[32:48], 5, d)
		trits(y, b[48:52], 4, d)
		dst, src = dst[256:], src[54:]
	}
}

// trits writes digit n of every byte of qs, for n = 0..digits-1 from the most significant, and returns the rest of y.
// A byte is the fraction digits/243 scaled to 256, so that multiplying by 3 carries the next digit out at the top.
func trits(y []float32, qs []byte, digits int, d float32) []float32 {
	power := byte(1)
	for range digits {
		for j, q := range qs {
			y[j] = float32(int(uint16(q*power)*3>>8)-1) * d
		}
		y = y[len(qs):]
		power *= 3
	}
	return y
}

func expandTQ2_0(dst []float32, src []byte) {
	for len(dst) >= 256 && len(src) >= 66 {
		b, y := (*[66]byte)(src), (*[256]float32)(dst)
		d := half(b[64:])
		for i := range y {
			q := b[i/128*32+i%32] >> (i / 32 % 4 * 2) & 3
			y[i] = float32(int(q)-1) * d
		}
		dst, src = dst[256:], src[66:]
	}
}

// u16 reads the i-th little-endian 16-bit word of b.
func u16(b []byte, i int) uint16 { return binary.LittleEndian.Uint16(b[2*i:]) }
