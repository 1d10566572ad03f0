// SPDX-License-Identifier: Apache-2.0

//go:build cgo && (linux || darwin)

package ort

// #include <stdint.h>
import "C"

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// Tapper is what a run's Tap nodes call. Tap must not panic: it runs on a thread that came from C, and reports failure by false.
// data is rows x width, products rows x n for the n rows of the tap's encoder, empty where it has none.
type Tapper interface {
	Tap(tap int, data []float32, rows, width int, products []float32) bool
}

// tappers maps the identity that a run carries as its first number to the Go side of it. Identities start at 1 and are used again after release.
var tappers struct {
	sync.Mutex
	list atomic.Pointer[[]Tapper]
}

// Register gives t an identity for the first element of the graph input "run"; it allocates, and is meant for sessions, not for runs.
func Register(t Tapper) int64 {
	tappers.Lock()
	defer tappers.Unlock()
	var next []Tapper
	if old := tappers.list.Load(); old != nil {
		next = append(next, *old...)
	} else {
		next = append(next, nil)
	}
	id := len(next)
	for i, held := range next[1:] {
		if held == nil {
			id = i + 1
			break
		}
	}
	if id == len(next) {
		next = append(next, nil)
	}
	next[id] = t
	tappers.list.Store(&next)
	return int64(id)
}

// Unregister gives an identity back. No run may carry it any more.
func Unregister(id int64) {
	tappers.Lock()
	defer tappers.Unlock()
	next := append([]Tapper(nil), *tappers.list.Load()...)
	next[id] = nil
	tappers.list.Store(&next)
}

//export trimtabTap
func trimtabTap(run, tap C.int64_t, data *C.float, rows, width C.int64_t, products *C.float, encoded C.int64_t) C.int32_t {
	held := tappers.list.Load()
	if held == nil {
		return 1
	}
	list := *held
	if run < 1 || int(run) >= len(list) || list[run] == nil {
		return 1
	}
	view := unsafe.Slice((*float32)(unsafe.Pointer(data)), int(rows*width))
	encoding := unsafe.Slice((*float32)(unsafe.Pointer(products)), int(rows*encoded))
	if !list[run].Tap(int(tap), view, int(rows), int(width), encoding) {
		return 1
	}
	return 0
}
