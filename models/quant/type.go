// SPDX-License-Identifier: Apache-2.0

// Package quant knows ggml's block types: their sizes, and the float32 values their blocks stand for.
//
// A [Type] names how a tensor's values are packed. Values of one row are packed in blocks of a fixed number of elements
// and bytes, so any whole number of blocks can be expanded on its own with [Dequantize]. Results are bit-equal to
// ggml's own dequantisers (ggml-quants.c), which the fixtures hold: products and sums are rounded one by one,
// never fused.
package quant

import (
	"fmt"
	"math/bits"
)

// Type is ggml's number for a way of packing values, as it stands in GGUF files (enum ggml_type in ggml.h; Q6_0 is of ik_llama.cpp's).
type Type uint32

// The types ggml still knows. Gaps are types that were withdrawn.
const (
	F32     Type = 0
	F16     Type = 1
	Q4_0    Type = 2
	Q4_1    Type = 3
	Q5_0    Type = 6
	Q5_1    Type = 7
	Q8_0    Type = 8
	Q8_1    Type = 9
	Q2_K    Type = 10
	Q3_K    Type = 11
	Q4_K    Type = 12
	Q5_K    Type = 13
	Q6_K    Type = 14
	Q8_K    Type = 15
	IQ2_XXS Type = 16
	IQ2_XS  Type = 17
	IQ3_XXS Type = 18
	IQ1_S   Type = 19
	IQ4_NL  Type = 20
	IQ3_S   Type = 21
	IQ2_S   Type = 22
	IQ4_XS  Type = 23
	I8      Type = 24
	I16     Type = 25
	I32     Type = 26
	I64     Type = 27
	F64     Type = 28
	IQ1_M   Type = 29
	BF16    Type = 30
	TQ1_0   Type = 34
	TQ2_0   Type = 35
	MXFP4   Type = 39
	NVFP4   Type = 40
	Q1_0    Type = 41
	Q6_0    Type = 133
)

// layout says how one block of a type lies in memory. expand is nil where the type has no float values of its own
// (integers) or occurs only inside ggml's kernels.
type layout struct {
	name     string
	elements int
	bytes    int
	expand   func(dst []float32, src []byte)
}

// layouts is indexed by Type; it is never changed.
var layouts = [...]layout{
	F32:     {"F32", 1, 4, expandF32},
	F16:     {"F16", 1, 2, expandF16},
	Q4_0:    {"Q4_0", 32, 18, expandQ4_0},
	Q4_1:    {"Q4_1", 32, 20, expandQ4_1},
	Q5_0:    {"Q5_0", 32, 22, expandQ5_0},
	Q5_1:    {"Q5_1", 32, 24, expandQ5_1},
	Q8_0:    {"Q8_0", 32, 34, expandQ8_0},
	Q8_1:    {"Q8_1", 32, 36, nil},
	Q2_K:    {"Q2_K", 256, 84, expandQ2_K},
	Q3_K:    {"Q3_K", 256, 110, expandQ3_K},
	Q4_K:    {"Q4_K", 256, 144, expandQ4_K},
	Q5_K:    {"Q5_K", 256, 176, expandQ5_K},
	Q6_K:    {"Q6_K", 256, 210, expandQ6_K},
	Q8_K:    {"Q8_K", 256, 292, nil},
	IQ2_XXS: {"IQ2_XXS", 256, 66, expandIQ2_XXS},
	IQ2_XS:  {"IQ2_XS", 256, 74, expandIQ2_XS},
	IQ3_XXS: {"IQ3_XXS", 256, 98, expandIQ3_XXS},
	IQ1_S:   {"IQ1_S", 256, 50, expandIQ1_S},
	IQ4_NL:  {"IQ4_NL", 32, 18, expandIQ4_NL},
	IQ3_S:   {"IQ3_S", 256, 110, expandIQ3_S},
	IQ2_S:   {"IQ2_S", 256, 82, expandIQ2_S},
	IQ4_XS:  {"IQ4_XS", 256, 136, expandIQ4_XS},
	I8:      {"I8", 1, 1, nil},
	I16:     {"I16", 1, 2, nil},
	I32:     {"I32", 1, 4, nil},
	I64:     {"I64", 1, 8, nil},
	F64:     {"F64", 1, 8, expandF64},
	IQ1_M:   {"IQ1_M", 256, 56, expandIQ1_M},
	BF16:    {"BF16", 1, 2, expandBF16},
	TQ1_0:   {"TQ1_0", 256, 54, expandTQ1_0},
	TQ2_0:   {"TQ2_0", 256, 66, expandTQ2_0},
	MXFP4:   {"MXFP4", 32, 17, expandMXFP4},
	NVFP4:   {"NVFP4", 64, 36, expandNVFP4},
	Q1_0:    {"Q1_0", 128, 18, nil},
	Q6_0:    {"Q6_0", 32, 26, expandQ6_0},
}

// Known reports whether the size of the type's blocks is known, so that a tensor of it can be found in a file.
func (t Type) Known() bool { return t < Type(len(layouts)) && layouts[t].elements > 0 }

// String returns ggml's name, such as Q4_1, or "type 33" for a number that is not known.
func (t Type) String() string {
	if !t.Known() {
		return fmt.Sprintf("type %d", uint32(t))
	}
	return layouts[t].name
}

// Block returns how many elements and bytes one block holds; both are 0 for an unknown type.
func (t Type) Block() (elements, bytes int) {
	if !t.Known() {
		return 0, 0
	}
	return layouts[t].elements, layouts[t].bytes
}

// Bytes returns how many bytes n elements of type t take. n must be a whole number of blocks.
func Bytes(t Type, n int) (int, error) {
	elements, size := t.Block()
	if elements == 0 {
		return 0, fmt.Errorf("quant: %s: want a known block type", t)
	}
	if n < 0 || n%elements != 0 {
		return 0, fmt.Errorf("quant: %s: want a multiple of %d elements, found %d", t, elements, n)
	}
	hi, lo := bits.Mul64(uint64(n/elements), uint64(size))
	if hi != 0 || int(lo) < 0 || uint64(int(lo)) != lo {
		return 0, fmt.Errorf("quant: %s: size of %d elements overflows", t, n)
	}
	return int(lo), nil
}

// Dequantize expands src, blocks of type t, into dst. The lengths must agree: len(src) == Bytes(t, len(dst)).
func Dequantize(dst []float32, t Type, src []byte) error {
	want, err := Bytes(t, len(dst))
	if err != nil {
		return err
	}
	if len(src) != want {
		return fmt.Errorf("quant: %s: want %d bytes for %d elements, found %d", t, want, len(dst), len(src))
	}
	expand := layouts[t].expand
	if expand == nil {
		return fmt.Errorf("quant: %s: want a type with float values; this one has none that can be expanded", t)
	}
	expand(dst, src)
	return nil
}
