// SPDX-License-Identifier: Apache-2.0

package quant

import (
	"math"
	"math/rand/v2"
	"testing"
)

// rangeQ4_1 is the usual rounding to Q4_1, quantize_row_q4_1_ref of ggml-quants.c: the scale spans the block's range.
func rangeQ4_1(dst *[20]byte, x *[32]float32) {
	low, high := x[0], x[0]
	for _, v := range x {
		low, high = min(low, v), max(high, v)
	}
	var codes [32]byte
	d := (high - low) / 15
	encode(x, &codes, d, low)
	put4_1(dst, &codes, d, low)
}

func errorOf(x *[32]float32, block *[20]byte) (sum float64) {
	var y [32]float32
	expandQ4_1(y[:], block[:])
	for i := range x {
		sum += float64(x[i]-y[i]) * float64(x[i]-y[i])
	}
	return sum
}

// TestFitIsNearerThanTheRange: no block is worse than with the usual rounding by more than what half precision of its minimum is worth, and all together are better
// by an eighth of the squared error: 1/6 was measured for normal values.
func TestFitIsNearerThanTheRange(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var usual, fitted float64
	for i := range 2000 {
		var x [32]float32
		size := math.Exp(8 * r.NormFloat64() / 4)
		for j := range x {
			x[j] = float32(size * (r.NormFloat64() + float64(i%3)))
		}
		var a, b [20]byte
		rangeQ4_1(&a, &x)
		if err := Quantise(b[:], Q4_1, x[:]); err != nil {
			t.Fatal(err)
		}
		ea, eb := errorOf(&x, &a)/(size*size), errorOf(&x, &b)/(size*size)
		if eb > ea+1e-3 {
			t.Errorf("block %d: squared error %v, want at most the %v of the usual rounding", i, eb, ea)
		}
		usual, fitted = usual+ea, fitted+eb
	}
	if fitted > usual*7/8 {
		t.Errorf("squared error %v, want an eighth less than the %v of the usual rounding", fitted, usual)
	}
}

// TestFitKeepsWhatIsRepresentable: values that blocks of Q4_1 stand for come back within half precision's rounding of scale and minimum.
func TestFitKeepsWhatIsRepresentable(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		var codes, again [32]float32
		d, m := F16ToF32(F32ToF16(float32(r.Float64()+0.1))), F16ToF32(F32ToF16(float32(r.NormFloat64())))
		for j := range codes {
			codes[j] = d*float32(r.IntN(16)) + m
		}
		codes[3], codes[9] = m, d*15+m // all of the range is in use
		var b [20]byte
		if err := Quantise(b[:], Q4_1, codes[:]); err != nil {
			t.Fatal(err)
		}
		expandQ4_1(again[:], b[:])
		for j := range codes {
			if diff := math.Abs(float64(again[j] - codes[j])); diff > float64(d)*0.02 {
				t.Fatalf("value %v came back as %v, with a scale of %v", codes[j], again[j], d)
			}
		}
	}
}

func TestQuantiseExtremes(t *testing.T) {
	nan := float32(math.NaN())
	for name, c := range map[string]struct{ first, rest float32 }{
		"zeros": {0, 0}, "one value": {-3.5, -3.5}, "subnormal": {1e-40, 0}, "below half precision": {1e-9, -1e-9},
		"one outlier": {1000, 1}, "not a number": {nan, 1}, "infinite": {float32(math.Inf(1)), 1}, "past half precision": {1e6, 1},
	} {
		var x, y [32]float32
		for j := range x {
			x[j] = c.rest
		}
		x[0] = c.first
		for _, typ := range []Type{Q4_1, Q8_0, F32} {
			n, _ := Bytes(typ, 32)
			b := make([]byte, n)
			if err := Quantise(b, typ, x[:]); err != nil {
				t.Fatal(err)
			}
			if err := Dequantize(y[:], typ, b); err != nil {
				t.Fatal(err)
			}
			finite := c.first-c.first == 0 && (c.first < 65504 || typ == F32)
			if d := float64(y[0] - c.first); typ != Q8_0 && finite != (d-d == 0) || finite && typ == Q4_1 && math.Abs(d) > 1e-3*math.Abs(float64(c.first))+1e-7 {
				t.Errorf("%s: %s of %v is %v", name, typ, c.first, y[0])
			}
		}
	}
	for _, c := range []struct {
		t    Type
		n, b int
	}{{Q4_1, 31, 20}, {Q4_1, 32, 19}, {Q6_K, 256, 210}, {F32, 2, 7}} {
		if err := Quantise(make([]byte, c.b), c.t, make([]float32, c.n)); err == nil {
			t.Errorf("%s of %d values into %d bytes: want an error", c.t, c.n, c.b)
		}
	}
}
