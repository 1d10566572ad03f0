// SPDX-License-Identifier: Apache-2.0

package quant

import (
	"encoding/binary"
	"math"
	"testing"
)

// TestWideLoopsEqualPlain holds the unrolled loops to the one-element conversions, over all 65536 patterns and every
// length of tail.
func TestWideLoopsEqualPlain(t *testing.T) {
	src := make([]byte, 2<<16)
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(src[2*i:], uint16(i*40503)) // odd: every pattern once, exponents mixed
	}
	plain := map[Type]func(uint16) float32{F16: F16ToF32, BF16: BF16ToF32}
	for typ, one := range plain {
		for n := 1<<16 - 9; n <= 1<<16; n++ {
			dst := make([]float32, n)
			if err := Dequantize(dst, typ, src[:2*n]); err != nil {
				t.Fatal(err)
			}
			for i, got := range dst {
				if want := one(u16(src, i)); math.Float32bits(got) != math.Float32bits(want) {
					t.Fatalf("%s: element %d of %d = %v, want %v", typ, i, n, got, want)
				}
			}
		}
	}
	for n := range 20 {
		dst := make([]float32, n)
		expandF32(dst, src[:4*n])
		for i, got := range dst {
			if want := binary.LittleEndian.Uint32(src[4*i:]); math.Float32bits(got) != want {
				t.Fatalf("F32: element %d of %d = %08x, want %08x", i, n, math.Float32bits(got), want)
			}
		}
	}
}

// TestF64 checks the one type that narrows.
func TestF64(t *testing.T) {
	src := make([]byte, 0, 16)
	for _, v := range []float64{1 + 1e-12, -1e300} {
		src = binary.LittleEndian.AppendUint64(src, math.Float64bits(v))
	}
	dst := make([]float32, 2)
	if err := Dequantize(dst, F64, src); err != nil {
		t.Fatal(err)
	}
	if dst[0] != 1 || !math.IsInf(float64(dst[1]), -1) {
		t.Errorf("Dequantize(F64) = %v, want [1 -Inf]", dst)
	}
}

// TestDequantizeDoesNotAllocate covers every type, so that a loader may call it row by row.
func TestDequantizeDoesNotAllocate(t *testing.T) {
	dst := make([]float32, 256)
	for id, l := range layouts {
		if l.expand == nil {
			continue
		}
		src := make([]byte, len(dst)/l.elements*l.bytes)
		if n := testing.AllocsPerRun(10, func() {
			if err := Dequantize(dst, Type(id), src); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("Dequantize(%s) allocates %v times, want 0", l.name, n)
		}
	}
}
