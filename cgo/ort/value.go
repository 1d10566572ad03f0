// SPDX-License-Identifier: Apache-2.0

//go:build cgo && (linux || darwin)

package ort

// #include "session.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// DType is the element type of a tensor, numbered as ONNX numbers them.
type DType int

// The element types that trimtab's graphs use.
const (
	Float32 DType = C.TT_FLOAT
	Uint8   DType = C.TT_UINT8
	Int32   DType = C.TT_INT32
	Int64   DType = C.TT_INT64
	Bool    DType = C.TT_BOOL
	Float16 DType = C.TT_FLOAT16
)

// Size returns the bytes of one element.
func (d DType) Size() int {
	switch d {
	case Uint8, Bool, 3: // int8
		return 1
	case Float16, 16: // bfloat16
		return 2
	case Int64, 11: // double
		return 8
	}
	return 4
}

// Alloc returns n zeroed bytes outside the Go heap, 64-byte aligned, untouched pages not yet resident; give them back with Free.
func Alloc(n int) ([]byte, error) {
	p := C.tt_alloc(C.size_t(n))
	if p == nil {
		return nil, fmt.Errorf("ort: allocate %d bytes: out of memory", n)
	}
	return unsafe.Slice((*byte)(p), n), nil
}

// Free gives back what Alloc returned, whole or shortened from its end; nil is fine.
func Free(b []byte) {
	if cap(b) > 0 {
		C.tt_free(unsafe.Pointer(unsafe.SliceData(b[:1:1])))
	}
}

// Value is a tensor over memory outside the Go heap that it does not own, unless a [Memory] made it. Close it before the memory is freed; closing does not
// free the memory.
type Value struct {
	p     *C.OrtValue
	owner *C.OrtValue // of the memory, where a Memory made it
}

// NewValue makes a tensor of the given shape over mem, which must hold all its elements and must not be Go memory.
func NewValue(mem []byte, t DType, shape ...int) (*Value, error) {
	if err := ready("create tensor"); err != nil {
		return nil, err
	}
	var dims [8]C.int64_t
	if len(shape) > len(dims) {
		return nil, fmt.Errorf("ort: tensor of shape %v: want at most %d dimensions, found %d", shape, len(dims), len(shape))
	}
	n := t.Size()
	for i, d := range shape {
		dims[i] = C.int64_t(d)
		n *= d
	}
	if n > len(mem) {
		return nil, fmt.Errorf("ort: tensor of shape %v: want %d bytes, found %d", shape, n, len(mem))
	}
	v := &Value{}
	st := C.tt_value_create(unsafe.Pointer(unsafe.SliceData(mem)), C.size_t(n), &dims[0], C.size_t(len(shape)), C.int(t), &v.p)
	return v, take(st, "create tensor")
}

// Close releases the tensor, not memory that it does not own; twice and nil are fine.
func (v *Value) Close() {
	if v == nil {
		return
	}
	if v.p != nil {
		C.tt_value_release(v.p)
	}
	if v.owner != nil {
		C.tt_value_release(v.owner)
	}
	v.p, v.owner = nil, nil
}

// Floats views mem as float32.
func Floats(mem []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)/4)
}

// Int64s views mem as int64.
func Int64s(mem []byte) []int64 {
	return unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)/8)
}

// Int32s views mem as int32.
func Int32s(mem []byte) []int32 {
	return unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)/4)
}
