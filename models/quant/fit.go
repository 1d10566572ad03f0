// SPDX-License-Identifier: Apache-2.0

package quant

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Quantise writes src as blocks of type t to dst, whose length must be Bytes(t, len(src)). It knows F32, Q8_0, as ggml rounds it,
// Q6_0, whose scale is fitted to the block's codes, and Q4_1, whose scale and minimum are fitted to the block's values rather than taken from their range: see
// quantiseQ4_1.
func Quantise(dst []byte, t Type, src []float32) error {
	want, err := Bytes(t, len(src))
	if err != nil {
		return err
	}
	if len(dst) != want {
		return fmt.Errorf("quant: %s: want %d bytes for %d elements, found %d", t, want, len(src), len(dst))
	}
	switch t {
	case F32:
		for i, v := range src {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
		}
	case Q8_0:
		QuantiseQ8_0(dst, src)
	case Q6_0:
		QuantiseQ6_0(dst, src)
	case Q4_1:
		for ; len(src) > 0; dst, src = dst[20:], src[32:] {
			quantiseQ4_1((*[20]byte)(dst), (*[32]float32)(src))
		}
	default:
		return fmt.Errorf("quant: %s: want F32, Q8_0, Q6_0 or Q4_1 to quantise to", t)
	}
	return nil
}

// fitSteps are the ranges of codes that are tried for a block, as the number of steps that its values are spread over: with more than 15 the outermost values are
// cut, with fewer all codes are not used.
var fitSteps = [...]float32{15, 14.2, 15.8, 16.6, 17.4, 18.2}

// quantiseQ4_1 tries a few scales, fits scale and minimum to the codes that each gives by least squares, and keeps the block with the least squared error.
func quantiseQ4_1(dst *[20]byte, x *[32]float32) {
	low, high := x[0], x[0]
	for _, v := range x[1:] {
		low, high = min(low, v), max(high, v)
	}
	least := float32(math.Inf(1))
	var codes [32]byte
	for _, steps := range fitSteps {
		d, m := (high-low)/steps, low
		if steps > 15 { // cut at both ends alike
			m += d * (steps - 15) / 2
		}
		d, m = fitLine(x, encode(x, &codes, d, m), d, m)
		d, m = F16ToF32(F32ToF16(d)), F16ToF32(F32ToF16(m))
		if e := encode(x, &codes, d, m).squares(x, d, m); e < least {
			least = e
			put4_1(dst, &codes, d, m)
		}
	}
	if math.IsInf(float64(least), 1) { // not a number, or past half precision: what is stored says so
		put4_1(dst, &codes, float32(math.NaN()), float32(math.NaN()))
	}
}

type codes4 [32]byte

// encode writes the code of each value under value = d·code + m.
func encode(x *[32]float32, out *[32]byte, d, m float32) *codes4 {
	inverse := float32(0)
	if d != 0 {
		inverse = 1 / d
	}
	for i, v := range x {
		out[i] = byte(min(max((v-m)*inverse+0.5, 0), 15))
	}
	return (*codes4)(out)
}

// squares is the sum of squared errors.
func (c *codes4) squares(x *[32]float32, d, m float32) (sum float32) {
	for i, v := range x {
		e := v - float32(d*float32(c[i])) - m
		sum += e * e
	}
	return sum
}

// fitLine returns the d and m with the least squared error for given codes; where all codes are the same, those given.
func fitLine(x *[32]float32, c *codes4, d, m float32) (float32, float32) {
	var q, qq, v, qv float32
	for i, y := range x {
		k := float32(c[i])
		q, qq, v, qv = q+k, qq+k*k, v+y, qv+k*y
	}
	if det := 32*qq - q*q; det > 0 {
		d = (32*qv - q*v) / det
		m = (v - d*q) / 32
	}
	return d, m
}

func put4_1(dst *[20]byte, c *[32]byte, d, m float32) {
	binary.LittleEndian.PutUint16(dst[:], F32ToF16(d))
	binary.LittleEndian.PutUint16(dst[2:], F32ToF16(m))
	for j := range 16 {
		dst[4+j] = c[j] | c[j+16]<<4
	}
}
