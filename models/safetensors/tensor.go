// SPDX-License-Identifier: Apache-2.0

package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/trimtab/trimtab/models/quant"
)

// DType is the element type as the header spells it, such as BF16.
type DType string

// The types with conversions; files may hold any that the format knows (F8_E4M3 and so on), whose Data stays raw.
const (
	F64  DType = "F64"
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	I64  DType = "I64"
	I32  DType = "I32"
	I16  DType = "I16"
	I8   DType = "I8"
	U64  DType = "U64"
	U32  DType = "U32"
	U16  DType = "U16"
	U8   DType = "U8"
	Bool DType = "BOOL"
)

// widths lists every type of the format in the order of the reference library, by which it sorts what it writes
// (enum Dtype in safetensors/src/tensor.rs). It is never changed.
var widths = [...]struct {
	dtype DType
	bits  int
}{
	{Bool, 8},
	{"F4", 4},
	{"F6_E2M3", 6},
	{"F6_E3M2", 6},
	{U8, 8},
	{I8, 8},
	{"F8_E5M2", 8},
	{"F8_E4M3", 8},
	{"F8_E8M0", 8},
	{"F8_E4M3FNUZ", 8},
	{"F8_E5M2FNUZ", 8},
	{I16, 16},
	{U16, 16},
	{F16, 16},
	{BF16, 16},
	{I32, 32},
	{U32, 32},
	{F32, 32},
	{"C64", 64},
	{F64, 64},
	{I64, 64},
	{U64, 64},
}

// rank is the place of a type in widths, -1 for a type that the format does not know.
func (d DType) rank() int {
	for i, w := range widths {
		if w.dtype == d {
			return i
		}
	}
	return -1
}

// Bits returns the width of one element, 0 for a type that the format does not know.
func (d DType) Bits() int {
	if i := d.rank(); i >= 0 {
		return widths[i].bits
	}
	return 0
}

// Tensor is one named array of a file, row-major and little-endian. Data is BORROWED from the file: using it after
// Close faults.
type Tensor struct {
	Name  string
	DType DType
	Shape []int
	Data  []byte
}

// Float32Tensor packs values, copied, for [Write], which checks the shape against their number.
func Float32Tensor(name string, values []float32, shape ...int) Tensor {
	data := make([]byte, 4*len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(v))
	}
	return Tensor{Name: name, DType: F32, Shape: shape, Data: data}
}

// Len returns the number of elements; a tensor without dimensions has one.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// AppendFloat32 appends the elements of an F64, F32, F16 or BF16 tensor to dst.
func (t Tensor) AppendFloat32(dst []float32) ([]float32, error) {
	from := map[DType]quant.Type{F64: quant.F64, F32: quant.F32, F16: quant.F16, BF16: quant.BF16}
	q, ok := from[t.DType]
	if !ok {
		return dst, fmt.Errorf("tensor %.80q: want F64, F32, F16 or BF16, found %s", t.Name, t.DType)
	}
	n := t.Len()
	dst = slices.Grow(dst, n)
	return dst[:len(dst)+n], quant.Dequantize(dst[len(dst):len(dst)+n], q, t.Data)
}

// AppendInt64 appends the elements of a tensor of whole numbers or bools (0 and 1) to dst. A U64 beyond int64 is an error.
func (t Tensor) AppendInt64(dst []int64) ([]int64, error) {
	read := intReader(t.DType)
	if read == nil {
		return dst, fmt.Errorf("tensor %.80q: want a type of whole numbers, found %s", t.Name, t.DType)
	}
	size := t.DType.Bits() / 8
	dst = slices.Grow(dst, t.Len())
	for b := t.Data; len(b) >= size; b = b[size:] {
		n := read(b)
		if t.DType == U64 && n < 0 {
			return dst, fmt.Errorf("tensor %.80q: want numbers below 2^63, found %d", t.Name, uint64(n))
		}
		dst = append(dst, n)
	}
	return dst, nil
}

func intReader(d DType) func([]byte) int64 {
	le := binary.LittleEndian
	switch d {
	case I64, U64:
		return func(b []byte) int64 { return int64(le.Uint64(b)) }
	case I32:
		return func(b []byte) int64 { return int64(int32(le.Uint32(b))) }
	case U32:
		return func(b []byte) int64 { return int64(le.Uint32(b)) }
	case I16:
		return func(b []byte) int64 { return int64(int16(le.Uint16(b))) }
	case U16:
		return func(b []byte) int64 { return int64(le.Uint16(b)) }
	case I8:
		return func(b []byte) int64 { return int64(int8(b[0])) }
	case U8, Bool:
		return func(b []byte) int64 { return int64(b[0]) }
	}
	return nil
}

// size returns the bytes that a shape of type d takes; ok is false when they overflow, or end within a byte.
func size(d DType, shape []int) (n uint64, ok bool) {
	elements := uint64(1)
	for _, dim := range shape {
		if dim < 0 {
			return 0, false
		}
		// A zero must not hide an overflow beside it.
		hi, lo := bits.Mul64(elements, max(uint64(dim), 1))
		if hi != 0 || lo > math.MaxInt {
			return 0, false
		}
		elements = lo
	}
	if slices.Contains(shape, 0) {
		return 0, true
	}
	hi, lo := bits.Mul64(elements, uint64(d.Bits()))
	return lo / 8, hi == 0 && lo%8 == 0 && lo/8 <= math.MaxInt
}
