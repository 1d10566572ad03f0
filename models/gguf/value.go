// SPDX-License-Identifier: Apache-2.0

package gguf

import (
	"fmt"
	"math"
)

// Kind is the type of a metadata value, with GGUF's numbers.
type Kind uint32

// The kinds of gguf.md.
const (
	Uint8   Kind = 0
	Int8    Kind = 1
	Uint16  Kind = 2
	Int16   Kind = 3
	Uint32  Kind = 4
	Int32   Kind = 5
	Float32 Kind = 6
	Bool    Kind = 7
	String  Kind = 8
	Array   Kind = 9
	Uint64  Kind = 10
	Int64   Kind = 11
	Float64 Kind = 12
)

// kinds is indexed by Kind; size is 0 for kinds whose values differ in length.
var kinds = [...]struct {
	name string
	size int
}{
	Uint8: {"uint8", 1}, Int8: {"int8", 1}, Uint16: {"uint16", 2}, Int16: {"int16", 2}, Uint32: {"uint32", 4},
	Int32: {"int32", 4}, Float32: {"float32", 4}, Bool: {"bool", 1}, String: {"string", 0}, Array: {"array", 0},
	Uint64: {"uint64", 8}, Int64: {"int64", 8}, Float64: {"float64", 8},
}

// known compares as Kind: as an int, where that has 32 bits, a large number would be negative.
func (k Kind) known() bool { return k < Kind(len(kinds)) }

// String returns Go's name of the type.
func (k Kind) String() string {
	if !k.known() {
		return fmt.Sprintf("kind %d", uint32(k))
	}
	return kinds[k].name
}

// maxNesting bounds arrays of arrays, which the format allows and nobody is known to write.
const maxNesting = 4

// minBytes is the least that one value of kind k takes in a file: a string has its length, an array kind and length.
func minBytes(k Kind) uint64 {
	switch k {
	case String:
		return 8
	case Array:
		return 12
	}
	return uint64(kinds[k].size)
}

// Value is one metadata value as it lies in the file; the zero Value stands for none.
type Value struct {
	Kind Kind
	Elem Kind   // of an Array's elements
	Len  int    // of an Array
	text string // the packed bytes: of an array its elements, of a string its characters
}

// String shows a scalar in full and an array as its length and element kind, for listings.
func (v Value) String() string {
	if v.Kind == Array {
		return fmt.Sprintf("[%d]%s", v.Len, v.Elem)
	}
	return fmt.Sprint(v.Any())
}

// Any returns the value as Go has it: uint8 to float64, bool, string, a slice of one of these, or []any for an array of
// arrays. Arrays are new memory; strings share the file's metadata, which stays valid after Close.
func (v Value) Any() any {
	switch v.Kind {
	case Uint8:
		return uint8(v.integer())
	case Int8:
		return int8(v.integer())
	case Uint16:
		return uint16(v.integer())
	case Int16:
		return int16(v.integer())
	case Uint32:
		return uint32(v.integer())
	case Int32:
		return int32(v.integer())
	case Uint64:
		return uint64(v.integer())
	case Int64:
		return v.integer()
	case Float32:
		return float32(v.float())
	case Float64:
		return v.float()
	case Bool:
		return v.text[0] != 0
	case String:
		return v.text
	}
	return v.anyArray()
}

func (v Value) anyArray() any {
	switch v.Elem {
	case Uint8:
		return list(v, func(e Value) uint8 { return uint8(e.integer()) })
	case Int8:
		return list(v, func(e Value) int8 { return int8(e.integer()) })
	case Uint16:
		return list(v, func(e Value) uint16 { return uint16(e.integer()) })
	case Int16:
		return list(v, func(e Value) int16 { return int16(e.integer()) })
	case Uint32:
		return list(v, func(e Value) uint32 { return uint32(e.integer()) })
	case Int32:
		return list(v, func(e Value) int32 { return int32(e.integer()) })
	case Uint64:
		return list(v, func(e Value) uint64 { return uint64(e.integer()) })
	case Int64:
		return list(v, Value.integer)
	case Float32:
		return list(v, func(e Value) float32 { return float32(e.float()) })
	case Float64:
		return list(v, Value.float)
	case Bool:
		return list(v, Value.bool)
	case String:
		return list(v, Value.string)
	}
	return list(v, Value.Any)
}

// little reads the first n bytes of s, least significant first.
func little(s string, n int) (x uint64) {
	for i := range n {
		x |= uint64(s[i]) << (8 * i)
	}
	return x
}

// integer widens an integer; a Uint64 beyond int64 wraps, which callers that mind check first.
func (v Value) integer() int64 {
	switch v.Kind {
	case Int8:
		return int64(int8(v.text[0]))
	case Int16:
		return int64(int16(little(v.text, 2)))
	case Int32:
		return int64(int32(little(v.text, 4)))
	}
	return int64(little(v.text, len(v.text)))
}

func (v Value) float() float64 {
	if v.Kind == Float32 {
		return float64(math.Float32frombits(uint32(little(v.text, 4))))
	}
	return math.Float64frombits(little(v.text, 8))
}

func (v Value) bool() bool     { return v.text[0] != 0 }
func (v Value) string() string { return v.text }

// list converts every element of an array.
func list[T any](v Value, convert func(Value) T) []T {
	out := make([]T, v.Len)
	text := v.text
	for i := range out {
		var e Value
		e, text = next(v.Elem, text)
		out[i] = convert(e)
	}
	return out
}

// next cuts the first value of kind k off text. The text was checked when the file was opened.
func next(k Kind, text string) (Value, string) {
	switch k {
	case String:
		n := 8 + int(little(text, 8))
		return Value{Kind: k, text: text[8:n]}, text[n:]
	case Array:
		v := Value{Kind: k, Elem: Kind(little(text, 4)), Len: int(little(text[4:], 8))}
		rest := text[12:]
		v.text = rest
		for range v.Len {
			_, rest = next(v.Elem, rest)
		}
		v.text = v.text[:len(v.text)-len(rest)]
		return v, rest
	}
	n := kinds[k].size
	return Value{Kind: k, text: text[:n]}, text[n:]
}
