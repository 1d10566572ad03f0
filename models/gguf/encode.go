// SPDX-License-Identifier: Apache-2.0

package gguf

import (
	"encoding/binary"
	"reflect"
)

// kindOf returns how values of a Go type are stored. The elements of []any are arrays.
func kindOf(t reflect.Type) (Kind, bool) {
	switch t.Kind() {
	case reflect.Uint8:
		return Uint8, true
	case reflect.Int8:
		return Int8, true
	case reflect.Uint16:
		return Uint16, true
	case reflect.Int16:
		return Int16, true
	case reflect.Uint32:
		return Uint32, true
	case reflect.Int32:
		return Int32, true
	case reflect.Uint64:
		return Uint64, true
	case reflect.Int64:
		return Int64, true
	case reflect.Float32:
		return Float32, true
	case reflect.Float64:
		return Float64, true
	case reflect.Bool:
		return Bool, true
	case reflect.String:
		return String, true
	case reflect.Slice, reflect.Interface:
		return Array, true
	}
	return 0, false
}

// kind writes the number of a type.
func (e *encoder) kind(what string, t reflect.Type) Kind {
	k, ok := kindOf(t)
	if !ok {
		e.fail(what, "a number of fixed width, a bool, a string, or a slice of one of these", t.String())
	}
	e.u32(uint32(k))
	return k
}

// value writes a value's kind and the value.
func (e *encoder) value(what string, value any) {
	v := reflect.ValueOf(value)
	if !v.IsValid() {
		e.fail(what, "a value", "nil")
		return
	}
	switch e.kind(what, v.Type()) {
	case String:
		e.string(v.String())
	case Array:
		e.array(what, v)
	default:
		e.fixed(what, value)
	}
}

// array writes the elements' kind, their number, and them.
func (e *encoder) array(what string, v reflect.Value) {
	elem := e.kind(what, v.Type().Elem())
	e.u64(v.Len())
	if elem != String && elem != Array {
		e.fixed(what, v.Interface())
		return
	}
	for i := range v.Len() {
		x := v.Index(i)
		for x.Kind() == reflect.Interface {
			x = x.Elem()
		}
		switch {
		case elem == String:
			e.string(x.String())
		case x.Kind() != reflect.Slice:
			e.fail(what, "arrays in an array of arrays", x.Kind().String())
			return
		default:
			e.array(what, x)
		}
	}
}

// fixed writes a number, a bool, or a slice of them.
func (e *encoder) fixed(what string, value any) {
	if e.err != nil {
		return
	}
	b, err := binary.Append(e.b, binary.LittleEndian, value)
	if err != nil {
		e.fail(what, "numbers of fixed width", err.Error())
		return
	}
	e.b = b
}
