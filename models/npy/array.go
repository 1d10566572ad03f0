// SPDX-License-Identifier: Apache-2.0

package npy

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/trimtab/trimtab/models/quant"
)

// Array is one array of a file. Its values are read where they lie, so it must not be used after the file's Close.
type Array struct {
	Name  string
	Shape []int // none for a single number

	descr   string // as the header spells the type
	kind    string // descr without its byte order
	big     bool   // big-endian
	fortran bool   // column-major
	data    []byte
}

// Type returns the element type as the header spells it, such as "<f4".
func (a Array) Type() string { return a.descr }

// Len returns the number of elements; an array without dimensions has one.
func (a Array) Len() int {
	n := 1
	for _, d := range a.Shape {
		n *= d
	}
	return n
}

// width is the size of an element in bytes, 0 for a type that is not read.
func (a Array) width() int {
	switch a.kind {
	case "b1", "i1", "u1":
		return 1
	case "f2", "i2", "u2":
		return 2
	case "f4", "i4", "u4":
		return 4
	case "f8", "i8", "u8":
		return 8
	}
	return 0
}

// AppendFloat32 appends the elements of an array of floats to dst, in C order.
func (a Array) AppendFloat32(dst []float32) ([]float32, error) {
	plain := map[string]quant.Type{"f2": quant.F16, "f4": quant.F32, "f8": quant.F64}
	if t, ok := plain[a.kind]; ok && !a.big && !a.fortran {
		from := len(dst)
		dst = slices.Grow(dst, a.Len())[:from+a.Len()]
		return dst, quant.Dequantize(dst[from:], t, a.data)
	}
	var read func([]byte) float32
	order := a.order()
	switch a.kind {
	case "f2":
		read = func(b []byte) float32 { return quant.F16ToF32(order.Uint16(b)) }
	case "f4":
		read = func(b []byte) float32 { return math.Float32frombits(order.Uint32(b)) }
	case "f8":
		read = func(b []byte) float32 { return float32(math.Float64frombits(order.Uint64(b))) }
	default:
		return dst, fmt.Errorf("npy: array %.80q: want floats, found %s", a.Name, a.descr)
	}
	return appendAll(dst, a, read), nil
}

// AppendInt64 appends the elements of an array of whole numbers or bools (0 and 1) to dst, in C order.
func (a Array) AppendInt64(dst []int64) ([]int64, error) {
	read := a.intReader()
	if read == nil {
		return dst, fmt.Errorf("npy: array %.80q: want whole numbers, found %s", a.Name, a.descr)
	}
	from := len(dst)
	dst = appendAll(dst, a, read)
	if a.kind == "u8" && slices.ContainsFunc(dst[from:], func(n int64) bool { return n < 0 }) {
		return dst[:from], fmt.Errorf("npy: array %.80q: want numbers below 2^63, found larger ones", a.Name)
	}
	return dst, nil
}

func (a Array) intReader() func([]byte) int64 {
	order := a.order()
	switch a.kind {
	case "i8", "u8":
		return func(b []byte) int64 { return int64(order.Uint64(b)) }
	case "i4":
		return func(b []byte) int64 { return int64(int32(order.Uint32(b))) }
	case "u4":
		return func(b []byte) int64 { return int64(order.Uint32(b)) }
	case "i2":
		return func(b []byte) int64 { return int64(int16(order.Uint16(b))) }
	case "u2":
		return func(b []byte) int64 { return int64(order.Uint16(b)) }
	case "i1":
		return func(b []byte) int64 { return int64(int8(b[0])) }
	case "u1", "b1":
		return func(b []byte) int64 { return int64(b[0]) }
	}
	return nil
}

func (a Array) order() binary.ByteOrder {
	if a.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// appendAll walks the array in C order: the last index runs fastest.
func appendAll[T float32 | int64](dst []T, a Array, read func([]byte) T) []T {
	n, w := a.Len(), a.width()
	dst = slices.Grow(dst, n)
	if !a.fortran {
		for i := range n {
			dst = append(dst, read(a.data[i*w:]))
		}
		return dst
	}
	stride, step := make([]int, len(a.Shape)), 1
	for i, d := range a.Shape {
		stride[i] = step
		step *= d
	}
	index, at := make([]int, len(a.Shape)), 0
	for range n {
		dst = append(dst, read(a.data[at*w:]))
		for i := len(index) - 1; i >= 0; i-- {
			index[i]++
			at += stride[i]
			if index[i] < a.Shape[i] {
				break
			}
			at -= index[i] * stride[i]
			index[i] = 0
		}
	}
	return dst
}
