// SPDX-License-Identifier: Apache-2.0

package quant

import "encoding/binary"

// Coding says how the values of a type are integer codes with a scale for each group of elements:
//
//	value = scale · (code - Offset)   or, with Minimums,   scale · code + minimum
type Coding struct {
	Bits     int // of a code
	Group    int // elements that share a scale
	Offset   int // 0 with minimums
	Minimums bool
}

var codings = map[Type]Coding{
	Q4_0: {Bits: 4, Group: 32, Offset: 8},
	Q4_1: {Bits: 4, Group: 32, Minimums: true},
	Q5_0: {Bits: 5, Group: 32, Offset: 16},
	Q5_1: {Bits: 5, Group: 32, Minimums: true},
	Q6_0: {Bits: 6, Group: 32, Offset: 32},
	Q8_0: {Bits: 8, Group: 32, Offset: 128},
	Q2_K: {Bits: 2, Group: 16, Minimums: true},
	Q3_K: {Bits: 3, Group: 16, Offset: 4},
	Q4_K: {Bits: 4, Group: 32, Minimums: true},
	Q5_K: {Bits: 5, Group: 32, Minimums: true},
	Q6_K: {Bits: 6, Group: 16, Offset: 32},
}

// Coding returns that of a type; types of other kinds have none.
func (t Type) Coding() (Coding, bool) {
	c, ok := codings[t]
	return c, ok
}

// Codes are the integers of one block of at most 256 elements. The values that they stand for are, bit for bit, those of [Dequantize].
type Codes struct {
	Code    [256]byte
	Scale   [16]float32 // by group
	Minimum [16]float32 // by group, where the type has minimums
}

// ReadCodes takes the codes of one whole block of a type with a [Coding].
func (c *Codes) ReadCodes(t Type, block []byte) {
	switch t {
	case Q4_0, Q4_1, Q5_0, Q5_1, Q6_0, Q8_0:
		c.codes32(t, block)
	case Q2_K:
		c.codesQ2_K((*[84]byte)(block))
	case Q3_K:
		c.codesQ3_K((*[110]byte)(block))
	case Q4_K, Q5_K:
		c.codesQ4_K(t, block)
	case Q6_K:
		c.codesQ6_K((*[210]byte)(block))
	default:
		panic("quant: Codes: " + t.String() + " has no codes")
	}
}

// ReadScales takes the scales and minimums of such a block.
func (c *Codes) ReadScales(t Type, block []byte) {
	switch t {
	case Q4_0, Q5_0, Q6_0, Q8_0:
		c.Scale[0] = half(block)
	case Q4_1, Q5_1:
		c.Scale[0], c.Minimum[0] = half(block), half(block[2:])
	case Q2_K:
		d, dmin := half(block[80:]), half(block[82:])
		for s, v := range block[:16] {
			c.Scale[s], c.Minimum[s] = d*float32(v&15), -float32(dmin*float32(v>>4))
		}
	case Q3_K:
		c.scalesQ3_K((*[110]byte)(block))
	case Q4_K, Q5_K:
		d, dmin, packed := half(block), half(block[2:]), (*[12]byte)(block[4:])
		for s := range 8 {
			scale, offset := scaleMin(d, dmin, packed, s)
			c.Scale[s], c.Minimum[s] = scale, -offset
		}
	case Q6_K:
		d := half(block[208:])
		for s, v := range block[192:208] {
			c.Scale[s] = d * float32(int8(v))
		}
	default:
		panic("quant: Codes: " + t.String() + " has no codes")
	}
}

// codes32 reads 32 codes: bytes, or nibbles with the bits above them in front.
func (c *Codes) codes32(t Type, block []byte) {
	if t == Q8_0 {
		for j, q := range block[2:34] {
			c.Code[j] = q ^ 0x80
		}
		return
	}
	low := block[len(block)-16:]
	for j, q := range low {
		c.Code[j], c.Code[j+16] = q&15, q>>4
	}
	switch t {
	case Q5_0, Q5_1:
		bits := binary.LittleEndian.Uint32(block[len(block)-20:])
		for j := range 32 {
			c.Code[j] |= byte(bits>>j&1) << 4
		}
	case Q6_0:
		for j := range 16 {
			h := block[2+j%8] >> (j / 8 * 4)
			c.Code[j] |= h & 3 << 4
			c.Code[j+16] |= h >> 2 & 3 << 4
		}
	}
}

func (c *Codes) codesQ2_K(b *[84]byte) {
	for i := range 256 {
		c.Code[i] = b[16+i/128*32+i%32] >> (i / 32 % 4 * 2) & 3
	}
}

// Of Q3_K the third bits stand in front, bit s of byte j for element 32 s + j.
func (c *Codes) codesQ3_K(b *[110]byte) {
	for i := range 256 {
		c.Code[i] = b[32+i/128*32+i%32]>>(i/32%4*2)&3 | b[i%32]>>(i/32)&1<<2
	}
}

// Its scales have six bits: low nibbles in eight bytes, the upper two in the four behind them.
func (c *Codes) scalesQ3_K(b *[110]byte) {
	scales, d := b[96:108], half(b[108:])
	for s := range 16 {
		scale := scales[s%8]>>(s/8*4)&15 | scales[8+s%4]>>(s/4*2)&3<<4
		c.Scale[s] = d * float32(int(scale)-32)
	}
}

func (c *Codes) codesQ4_K(t Type, b []byte) {
	low := b[len(b)-128:]
	for i := range 256 {
		q := low[i/64*32+i%32] >> (i / 32 % 2 * 4) & 15
		if t == Q5_K {
			q |= b[16+i%32] >> (i / 32) & 1 << 4
		}
		c.Code[i] = q
	}
}

// Halves of 128 elements have 64 bytes of low nibbles and 32 of upper bits.
func (c *Codes) codesQ6_K(b *[210]byte) {
	for i := range 256 {
		part, j := i/128, i%128
		c.Code[i] = b[part*64+j%64]>>(j/64*4)&15 | b[128+part*32+j%32]>>(j/32*2)&3<<4
	}
}
