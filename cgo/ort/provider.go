// SPDX-License-Identifier: Apache-2.0

//go:build cgo && (linux || darwin)

package ort

// #include <stdlib.h>
// #include "session.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// list puts the provider into options and returns what frees the lists.
func (p *Provider) list(o *C.tt_options) (free func()) {
	if p.Name == "" {
		return func() {}
	}
	word := C.size_t(unsafe.Sizeof(uintptr(0)))
	n := C.size_t(len(p.Settings))
	keys, values := (**C.char)(C.malloc((n+1)*word)), (**C.char)(C.malloc((n+1)*word))
	keyList, valueList := unsafe.Slice(keys, len(p.Settings)), unsafe.Slice(values, len(p.Settings))
	i := 0
	for k, v := range p.Settings {
		keyList[i], valueList[i] = C.CString(k), C.CString(v)
		i++
	}
	o.provider = C.CString(p.Name)
	o.settings, o.keys, o.settings_values = n, keys, values
	return func() {
		for i := range keyList {
			C.free(unsafe.Pointer(keyList[i]))
			C.free(unsafe.Pointer(valueList[i]))
		}
		C.free(unsafe.Pointer(keys))
		C.free(unsafe.Pointer(values))
		C.free(unsafe.Pointer(o.provider))
	}
}

// Providers lists the execution providers that the library was built with, such as CUDAExecutionProvider. Load must have succeeded.
func Providers() ([]string, error) {
	if err := ready("list execution providers"); err != nil {
		return nil, err
	}
	var names **C.char
	var n C.int
	if err := take(C.tt_providers(&names, &n), "list execution providers"); err != nil {
		return nil, err
	}
	defer C.tt_providers_release(names, n)
	out := make([]string, n)
	for i, name := range unsafe.Slice(names, int(n)) {
		out[i] = C.GoString(name)
	}
	return out, nil
}

// Memory makes tensors where a provider computes. Close it behind all of them and in front of its session.
type Memory struct {
	p C.tt_memory
}

// NewMemory returns the memory of that name and number ("Cuda", "Cpu"), which one of the session's providers must have.
func (s *Session) NewMemory(name string, device int) (*Memory, error) {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	m := &Memory{}
	if err := take(C.tt_memory_create(s.p, c, C.int(device), &m.p), fmt.Sprintf("find memory %s of device %d", name, device)); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// NewValue returns a tensor with memory of its own, whose contents are not defined; its Close frees the memory.
func (m *Memory) NewValue(t DType, shape ...int) (*Value, error) {
	var dims [8]C.int64_t
	if len(shape) > len(dims) {
		return nil, fmt.Errorf("ort: tensor of shape %v: want at most %d dimensions, found %d", shape, len(dims), len(shape))
	}
	n := t.Size()
	for i, d := range shape {
		dims[i] = C.int64_t(d)
		n *= d
	}
	v := &Value{}
	st := C.tt_memory_value(&m.p, C.size_t(n), &dims[0], C.size_t(len(shape)), C.int(t), &v.owner, &v.p)
	if err := take(st, fmt.Sprintf("allocate a tensor of shape %v on the device", shape)); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

// Close gives the allocator back; twice and nil are fine.
func (m *Memory) Close() {
	if m != nil {
		C.tt_memory_release(&m.p)
	}
}
