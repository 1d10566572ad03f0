// SPDX-License-Identifier: Apache-2.0

package pickle

import (
	"encoding/binary"
	"math"
	"strings"
)

// Array is a NumPy array: numbers, or Python objects, of which Items has those in C order and Tensor only the shape.
type Array struct {
	Tensor
	Items []Value // of an array of objects; nil for numbers
}

// dtype is an element type of NumPy, such as f4, before its byte order is known to be little-endian.
type dtype struct {
	kind  string
	known bool
}

// reconstruct is (ndarray, (0,), b"b"): an array that BUILD fills in.
func reconstruct(m *machine, args Tuple) (Value, error) {
	if len(args) == 3 {
		if g, ok := args[0].(*global); ok && g.name == "numpy.ndarray" {
			return &Array{}, nil
		}
	}
	return nil, m.fail("a plain numpy.ndarray", "%d arguments", len(args))
}

// newType is dtype(kind, align, copy).
func newType(m *machine, args Tuple) (Value, error) {
	if len(args) > 0 {
		if kind, ok := args[0].(string); ok && len(kind) < 8 {
			return &dtype{kind: strings.TrimLeft(kind, "<|="), known: strings.ContainsAny(kind[:min(1, len(kind))], "<|=")}, nil
		}
	}
	return nil, m.fail("a numpy.dtype with a name", "%d arguments", len(args))
}

// encode is codecs.encode(text, "latin1"), which is how protocol 2 holds bytes.
func encode(m *machine, args Tuple) (Value, error) {
	if len(args) == 2 {
		text, ok := args[0].(string)
		if ok && args[1] == "latin1" {
			return latin1(m, text)
		}
	}
	return nil, m.fail("text to be encoded as latin1", "%d arguments", len(args))
}

func latin1(m *machine, text string) (Value, error) {
	if err := m.spend(len(text)); err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 255 {
			return nil, m.fail("latin1 text", "the character %q", r)
		}
		out = append(out, byte(r))
	}
	return out, nil
}

// scalar is (dtype, bytes): one number of NumPy's.
func scalar(m *machine, args Tuple) (Value, error) {
	if len(args) != 2 {
		return nil, m.fail("the type and the bytes of a number", "%d arguments", len(args))
	}
	t, ok1 := args[0].(*dtype)
	data, ok2 := args[1].([]byte)
	if !ok1 || !ok2 {
		return nil, m.fail("the type and the bytes of a number", "%s and %s", describe(args[0]), describe(args[1]))
	}
	e, ok := t.elem()
	if !ok || len(data) != e.width {
		return nil, m.fail("a number of a plain little-endian type", "%d bytes of %q", len(data), t.kind)
	}
	one := Tensor{elem: e, data: data}
	if values, err := one.AppendInt64(nil); err == nil {
		return values[0], nil
	}
	if e.name == "float64" {
		return math.Float64frombits(binary.LittleEndian.Uint64(data)), nil
	}
	values, err := one.AppendFloat32(nil)
	if err != nil {
		return nil, m.fail("a number", "type %q", t.kind)
	}
	return float64(values[0]), nil
}

// elem is the element type in torch's words.
func (t *dtype) elem() (elem, bool) {
	names := map[string]string{
		"f8": "float64", "f4": "float32", "f2": "float16", "i8": "int64", "i4": "int32", "i2": "int16", "i1": "int8", "u1": "uint8", "b1": "bool",
	}
	e, ok := dtypes(names[t.kind])
	return e, ok && t.known
}

// order is BUILD of a dtype: (version, byte order, ...).
func (m *machine) order(t *dtype, state Value) error {
	args, ok := state.(Tuple)
	if !ok || len(args) < 2 {
		return m.fail("the byte order of a numpy.dtype", "%s", describe(state))
	}
	switch args[1] {
	case "<", "|", "=":
		t.known = true
		return nil
	}
	return m.fail("a little-endian numpy.dtype", "%v", args[1])
}

// fill is BUILD of an array: (version, shape, dtype, Fortran order, bytes or objects).
func (m *machine) fill(a *Array, state Value) error {
	args, ok := state.(Tuple)
	if !ok || len(args) != 5 || a.Shape != nil {
		return m.fail("the state of a new numpy.ndarray", "%s", describe(state))
	}
	shape, ok1 := ints(args[1])
	t, ok2 := args[2].(*dtype)
	fortran, ok3 := args[3].(bool)
	if !ok1 || !ok2 || !ok3 || len(shape) > maxDims {
		return m.fail("shape, type and order of a numpy.ndarray", "others")
	}
	if err := m.spend(2 * len(shape)); err != nil {
		return err
	}
	stride := steps(shape, fortran)
	_, count, ok := extent(shape, stride)
	if !ok {
		return m.fail("an array that fits in memory", "shape %v", shape)
	}
	a.Tensor = Tensor{Shape: shape, stride: stride}
	if list, isList := args[4].(*List); isList && strings.HasPrefix(t.kind, "O") {
		return m.objects(a, list, count, fortran)
	}
	data, isBytes := args[4].([]byte)
	e, isPlain := t.elem()
	if !isBytes || !isPlain || uint64(len(data)) != count*uint64(e.width) {
		return m.fail("the bytes of an array of a plain little-endian type", "%s of %q for shape %v", describe(args[4]), t.kind, shape)
	}
	a.elem, a.data = e, data
	return nil
}

func (m *machine) objects(a *Array, list *List, count uint64, fortran bool) error {
	if uint64(len(list.Items)) != count || (fortran && len(a.Shape) > 1) {
		return m.fail("as many objects as the shape has, in C order", "%d for %v", len(list.Items), a.Shape)
	}
	a.Items = list.Items
	return nil
}

// steps are the strides of an array without gaps.
func steps(shape []int, fortran bool) []int {
	out, step := make([]int, len(shape)), 1
	for i := range shape {
		at := i
		if !fortran {
			at = len(shape) - 1 - i
		}
		out[at] = step
		step *= max(shape[at], 1)
	}
	return out
}
