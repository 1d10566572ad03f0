// SPDX-License-Identifier: Apache-2.0

package pickle

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/trimtab/trimtab/models/quant"
)

const maxDims = 64

// Tensor is a view of a storage. Its values are read where they lie, so it must not be used after the file's Close.
type Tensor struct {
	Shape []int

	elem   elem
	stride []int // in elements
	data   []byte
}

// Type returns torch's name of the element type, such as bfloat16.
func (t Tensor) Type() string { return t.elem.name }

// Len returns the number of elements; a tensor without dimensions has one.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// rebuildTensor is (storage, offset, size, stride, ...); what follows is about gradients.
func rebuildTensor(m *machine, args Tuple) (Value, error) {
	if len(args) < 4 {
		return nil, m.fail("storage, offset, size and stride of a tensor", "%d arguments", len(args))
	}
	s, ok := args[0].(storage)
	if !ok {
		return nil, m.fail("a tensor's storage", "%s", describe(args[0]))
	}
	return m.view(s, args)
}

// rebuildTensorV3 has the element type as its seventh argument and counts the storage in bytes.
func rebuildTensorV3(m *machine, args Tuple) (Value, error) {
	if len(args) < 7 {
		return nil, m.fail("seven arguments of a tensor", "%d", len(args))
	}
	s, ok1 := args[0].(storage)
	dtype, ok2 := args[6].(*global)
	if !ok1 || !ok2 || dtype.elem.width == 0 {
		return nil, m.fail("a storage and an element type", "%s and %s", describe(args[0]), describe(args[6]))
	}
	s.elem = dtype.elem
	return m.view(s, args)
}

func (m *machine) view(s storage, args Tuple) (Value, error) {
	offset, ok1 := args[1].(int64)
	shape, ok2 := ints(args[2])
	stride, ok3 := ints(args[3])
	if !ok1 || !ok2 || !ok3 || offset < 0 || len(shape) != len(stride) || len(shape) > maxDims {
		return nil, m.fail("offset, size and stride of a tensor", "others")
	}
	if err := m.spend(2 * len(shape)); err != nil {
		return nil, err
	}
	t := Tensor{Shape: shape, stride: stride, elem: s.elem}
	have := uint64(len(s.data) / s.elem.width)
	last, count, ok := extent(shape, stride)
	last, carry := bits.Add64(last, uint64(offset), 0)
	switch {
	case !ok || carry != 0 || count > have:
		return nil, m.fail(fmt.Sprintf("a tensor whose elements lie in its storage of %d", have), "size %v, stride %v", shape, stride)
	case count == 0:
		return t, nil
	case last >= have:
		return nil, m.fail(fmt.Sprintf("a tensor inside its storage of %d elements", have), "an element at %d", last)
	}
	t.data = s.data[uint64(offset)*uint64(s.elem.width):]
	return t, nil
}

// ints reads a tuple of whole numbers that are not negative.
func ints(v Value) ([]int, bool) {
	t, ok := v.(Tuple)
	out := make([]int, len(t))
	for i, x := range t {
		n, isInt := x.(int64)
		if !isInt || n < 0 || n > math.MaxInt {
			return nil, false
		}
		out[i] = int(n)
	}
	return out, ok
}

// extent is the place of the last element and the number of elements; ok is false when either overflows.
func extent(shape, stride []int) (last, count uint64, ok bool) {
	if slices.Contains(shape, 0) {
		return 0, 0, true
	}
	count = 1
	for i, d := range shape {
		over, n := bits.Mul64(count, uint64(d))
		hi, lo := bits.Mul64(uint64(d-1), uint64(stride[i]))
		sum, carry := bits.Add64(last, lo, 0)
		if over|hi|carry != 0 {
			return 0, 0, false
		}
		count, last = n, sum
	}
	return last, count, count <= math.MaxInt
}

// AppendFloat32 appends the elements of a tensor of floats to dst, in row-major order whatever the strides are.
func (t Tensor) AppendFloat32(dst []float32) ([]float32, error) {
	types := map[string]quant.Type{"float64": quant.F64, "float32": quant.F32, "float16": quant.F16, "bfloat16": quant.BF16}
	q, ok := types[t.elem.name]
	if !ok {
		return dst, fmt.Errorf("pickle: want a tensor of floats, found %s", t.elem.name)
	}
	from, n, w := len(dst), t.Len(), t.elem.width
	dst = slices.Grow(dst, n)[:from+n]
	if t.contiguous() {
		return dst, quant.Dequantize(dst[from:], q, t.data[:n*w])
	}
	var err error
	i := from
	t.each(func(at int) {
		if e := quant.Dequantize(dst[i:i+1], q, t.data[at*w:(at+1)*w]); e != nil {
			err = e
		}
		i++
	})
	return dst, err
}

// AppendInt64 appends the elements of a tensor of whole numbers or bools (0 and 1) to dst, in row-major order.
func (t Tensor) AppendInt64(dst []int64) ([]int64, error) {
	le, w := binary.LittleEndian, t.elem.width
	var read func(b []byte) int64
	switch t.elem.name {
	case "int64":
		read = func(b []byte) int64 { return int64(le.Uint64(b)) }
	case "int32":
		read = func(b []byte) int64 { return int64(int32(le.Uint32(b))) }
	case "int16":
		read = func(b []byte) int64 { return int64(int16(le.Uint16(b))) }
	case "int8":
		read = func(b []byte) int64 { return int64(int8(b[0])) }
	case "uint8", "bool":
		read = func(b []byte) int64 { return int64(b[0]) }
	default:
		return dst, fmt.Errorf("pickle: want a tensor of whole numbers, found %s", t.elem.name)
	}
	dst = slices.Grow(dst, t.Len())
	t.each(func(at int) { dst = append(dst, read(t.data[at*w:])) })
	return dst, nil
}

func (t Tensor) contiguous() bool {
	step := 1
	for i := len(t.Shape) - 1; i >= 0; i-- {
		if t.Shape[i] != 1 && t.stride[i] != step {
			return t.Len() == 0
		}
		step *= t.Shape[i]
	}
	return true
}

// each visits the places of the elements in row-major order.
func (t Tensor) each(visit func(at int)) {
	index, at := make([]int, len(t.Shape)), 0
	for range t.Len() {
		visit(at)
		for i := len(index) - 1; i >= 0; i-- {
			index[i]++
			at += t.stride[i]
			if index[i] < t.Shape[i] {
				break
			}
			at -= index[i] * t.stride[i]
			index[i] = 0
		}
	}
}
