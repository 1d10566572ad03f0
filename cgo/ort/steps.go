// SPDX-License-Identifier: Apache-2.0

//go:build cgo && (linux || darwin)

package ort

// #include "session.h"
// #include "steps.h"
import "C"

import "unsafe"

// Step is struct tt_step of steps.h, in memory outside the Go heap: what the operators Steps and RouteEach do to one row at one site.
type Step struct {
	Op          int64 // a hooks.Op, or TapStep
	More        int64 // 1 where another step of the same site follows
	Run         int64 // of a tap: the identity that Register returned
	Tap         int64 // its number
	Open        int64 // 1 where it is to be called in the next pass
	V           [4]unsafe.Pointer
	Encoder     unsafe.Pointer // of a tap: a packed matrix, or nil
	EncoderType int64
	EncoderRows int64
	C, X0, X1   float32
	_           float32
}

// TapStep is the Op of a tap.
const TapStep = C.TT_TAP

// The layouts are one: a difference does not compile.
var (
	_ [unsafe.Sizeof(Step{}) - C.sizeof_tt_step]byte
	_ [C.sizeof_tt_step - unsafe.Sizeof(Step{})]byte
)

// NewSteps returns memory for n steps, zeroed; free it with FreeSteps.
func NewSteps(n int) ([]Step, error) {
	mem, err := Alloc(n * int(unsafe.Sizeof(Step{})))
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*Step)(unsafe.Pointer(unsafe.SliceData(mem))), n), nil
}

// FreeSteps gives back what NewSteps returned; nil is fine.
func FreeSteps(list []Step) {
	if cap(list) > 0 {
		C.tt_free(unsafe.Pointer(unsafe.SliceData(list)))
	}
}

// Address is where mem lies, for graphs that are given addresses; mem must not be Go memory.
func Address(mem []byte) int64 { return int64(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))) }

// Address is where a step lies.
func (s *Step) Address() int64 { return int64(uintptr(unsafe.Pointer(s))) }
