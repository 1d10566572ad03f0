// SPDX-License-Identifier: Apache-2.0

package gguf

import (
	"errors"
	"fmt"
)

// Meta is a file's metadata. It keeps its own copy of the packed values, decodes on every call, and stays valid after
// Close. A getter that finds nothing, or another type than its name says, returns a [*KeyError].
type Meta struct {
	path   string
	keys   []string
	values map[string]Value
}

// Keys returns the keys in file order. The slice is the Meta's own.
func (m Meta) Keys() []string { return m.keys }

// Value returns the value of any kind.
func (m Meta) Value(key string) (Value, bool) {
	v, ok := m.values[key]
	return v, ok
}

// String reads a string.
func (m Meta) String(key string) (string, error) {
	v, err := m.find(key, String.String(), only(String))
	return v.text, err
}

// Int reads an integer of any width and sign, since writers differ in both; one that int cannot hold is an error.
func (m Meta) Int(key string) (int, error) {
	v, err := m.find(key, "integer", Kind.integer)
	if err != nil {
		return 0, err
	}
	n, ok := v.int()
	if !ok {
		return 0, m.wrong(key, "integer in range", v.String())
	}
	return n, nil
}

// Float reads a float32 or float64.
func (m Meta) Float(key string) (float64, error) {
	v, err := m.find(key, "float", Kind.float)
	if err != nil {
		return 0, err
	}
	return v.float(), nil
}

// Bool reads a bool.
func (m Meta) Bool(key string) (bool, error) {
	v, err := m.find(key, Bool.String(), only(Bool))
	if err != nil {
		return false, err
	}
	return v.bool(), nil
}

// Strings reads an array of strings; they share the metadata's memory.
func (m Meta) Strings(key string) ([]string, error) {
	v, err := m.array(key, String.String(), only(String))
	if err != nil {
		return nil, err
	}
	return list(v, Value.string), nil
}

// Ints reads an array of integers of any width and sign.
func (m Meta) Ints(key string) ([]int, error) {
	v, err := m.array(key, "integer", Kind.integer)
	if err != nil {
		return nil, err
	}
	fit := true
	out := list(v, func(e Value) int {
		n, ok := e.int()
		fit = fit && ok
		return n
	})
	if !fit {
		return nil, m.wrong(key, "array of integers in range", "one beyond")
	}
	return out, nil
}

// Floats reads an array of float32, or of float64 which it narrows.
func (m Meta) Floats(key string) ([]float32, error) {
	v, err := m.array(key, "float", Kind.float)
	if err != nil {
		return nil, err
	}
	return list(v, func(e Value) float32 { return float32(e.float()) }), nil
}

// Bools reads an array of bool.
func (m Meta) Bools(key string) ([]bool, error) {
	v, err := m.array(key, Bool.String(), only(Bool))
	if err != nil {
		return nil, err
	}
	return list(v, Value.bool), nil
}

// Optional makes an absent key no error: Optional(m.Int("x")) reports whether the key is there, and errors only for a
// value of the wrong type.
func Optional[T any](value T, err error) (T, bool, error) {
	if errors.Is(err, ErrAbsent) {
		return value, false, nil
	}
	return value, err == nil, err
}

// only accepts one kind.
func only(want Kind) func(Kind) bool { return func(k Kind) bool { return k == want } }

func (k Kind) integer() bool { return k <= Int32 || k == Uint64 || k == Int64 }
func (k Kind) float() bool   { return k == Float32 || k == Float64 }

// int converts an integer and reports whether int can hold it.
func (v Value) int() (int, bool) {
	x := v.integer()
	return int(x), int64(int(x)) == x && (v.Kind != Uint64 || x >= 0)
}

func (m Meta) wrong(key, want, found string) error {
	return &KeyError{Path: m.path, Key: key, Want: want, Found: found}
}

// find returns the scalar of an accepted kind.
func (m Meta) find(key, want string, accept func(Kind) bool) (Value, error) {
	v, ok := m.values[key]
	if !ok {
		return Value{}, m.wrong(key, want, nothing)
	}
	if !accept(v.Kind) {
		return Value{}, m.wrong(key, want, v.describe())
	}
	return v, nil
}

// array returns the array with elements of an accepted kind.
func (m Meta) array(key, want string, accept func(Kind) bool) (Value, error) {
	want = "array of " + want
	v, err := m.find(key, want, only(Array))
	if err == nil && !accept(v.Elem) {
		return Value{}, m.wrong(key, want, v.describe())
	}
	return v, err
}

// describe names the value's type for an error.
func (v Value) describe() string {
	if v.Kind == Array {
		return fmt.Sprintf("array of %s", v.Elem)
	}
	return v.Kind.String()
}
