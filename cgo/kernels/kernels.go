// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package kernels

// #cgo CFLAGS: -std=c11 -O3 -Wall -Wextra
// #include <stdlib.h>
// #include "kernels.h"
import "C"

import (
	"fmt"
	"math"
	goruntime "runtime"
	"sync"
	"unsafe"
)

// Supported says whether weights of type t have kernels.
func Supported(t Type) bool { return C.tt_supported(C.int(t)) != 0 }

// PackedBytes is the size of a packed weight, or 0 when there is no kernel for its type or shape.
func PackedBytes(t Type, rows, cols int) int {
	if !fits(rows) || !fits(cols) {
		return 0
	}
	return int(C.tt_packed_bytes(C.int(t), C.int(rows), C.int(cols)))
}

// Tiles is the number of 16-row tiles of a weight, the unit that threads split.
func Tiles(rows int) int { return (rows + 15) / 16 }

// Pack lays out the rows of the pieces in w.Data.
func Pack(w Weight, pieces ...Piece) error { return PackTiles(w, 0, Tiles(w.Rows), pieces...) }

// PackTiles packs tiles [tile0, tile1) only, so that several goroutines may share the work.
func PackTiles(w Weight, tile0, tile1 int, pieces ...Piece) error {
	if err := w.check(); err != nil {
		return err
	}
	rows := 0
	c := make([]C.struct_tt_piece, len(pieces))
	var pin goruntime.Pinner
	defer pin.Unpin()
	for i, p := range pieces {
		if err := p.check(w); err != nil {
			return fmt.Errorf("kernels: pack: piece %d: %w", i, err)
		}
		rows += p.Rows
		if p.Rows == 0 {
			continue
		}
		pin.Pin(&p.Data[0])
		c[i] = C.struct_tt_piece{data: unsafe.Pointer(&p.Data[0]), rows: C.int(p.Rows)}
		if p.Order != nil {
			pin.Pin(&p.Order[0])
			c[i].order = (*C.int32_t)(&p.Order[0])
		}
	}
	if rows != w.Rows {
		return fmt.Errorf("kernels: pack: want %d rows in all pieces, found %d", w.Rows, rows)
	}
	rc := C.tt_pack(C.int(w.Type), &c[0], C.int(len(c)), C.int(w.Cols), C.int(tile0), C.int(tile1), unsafe.Pointer(&w.Data[0]))
	return result("pack", rc)
}

// Row writes row r of w to dst[:w.Cols], exactly the values that the file means.
func Row(dst []float32, w Weight, r int) error {
	if err := w.check(); err != nil {
		return err
	}
	if len(dst) < w.Cols || !fits(r) {
		return fmt.Errorf("kernels: row %d: want room for %d values, found %d", r, w.Cols, len(dst))
	}
	rc := C.tt_row(C.int(w.Type), unsafe.Pointer(&w.Data[0]), C.int(w.Rows), C.int(w.Cols), C.int(r), (*C.float)(&dst[0]))
	return result("row", rc)
}

// ScratchBytes is the size of the scratch that Linear needs for m rows.
func ScratchBytes(t Type, m, cols int) int {
	if !fits(m) || !fits(cols) {
		return 0
	}
	return int(C.tt_scratch_bytes(C.int(t), C.int(m), C.int(cols)))
}

// Linear computes y[m, w.Rows] = x[m, w.Cols] w^T on the given number of threads. It is for tests and benchmarks: inference calls the table.
func Linear(y, x []float32, w Weight, m int, scratch []byte, threads int) error {
	if err := w.check(); err != nil {
		return err
	}
	if m < 1 || len(x)/w.Cols < m || len(y)/w.Rows < m || len(scratch) < ScratchBytes(w.Type, m, w.Cols) {
		return fmt.Errorf("kernels: linear: %d rows: x has %d values, y %d, scratch %d bytes", m, len(x), len(y), len(scratch))
	}
	if rc := C.tt_quantise(C.int(w.Type), (*C.float)(&x[0]), C.size_t(w.Cols), C.int(m), C.int(w.Cols), unsafe.Pointer(&scratch[0])); rc != 0 {
		return result("quantise", rc)
	}
	if threads <= 1 {
		return linear(y, w, m, scratch, 0, Tiles(w.Rows))
	}
	return linearThreads(y, w, m, scratch, threads)
}

func linearThreads(y []float32, w Weight, m int, scratch []byte, threads int) error {
	var wg sync.WaitGroup
	tiles := Tiles(w.Rows)
	for i := 1; i < threads; i++ {
		wg.Go(func() { _ = linear(y, w, m, scratch, tiles*i/threads, tiles*(i+1)/threads) }) // as the one below: checked already
	}
	err := linear(y, w, m, scratch, 0, tiles/threads)
	wg.Wait()
	return err
}

func linear(y []float32, w Weight, m int, scratch []byte, tile0, tile1 int) error {
	return result("linear", C.tt_linear_rows(C.int(w.Type), unsafe.Pointer(&w.Data[0]), C.int(w.Rows), C.int(w.Cols),
		unsafe.Pointer(&scratch[0]), C.int(m), (*C.float)(&y[0]), C.size_t(w.Rows), C.int(tile0), C.int(tile1)))
}

// Table returns the address of a constant struct tt_kernels (kernels.h); it is never freed.
func Table() unsafe.Pointer { return unsafe.Pointer(C.tt_table()) }

// ISA names the instruction set in use: "plain", "avx2", "avxvnni", "avx512vnni" or "neon".
func ISA() string { return C.GoString(C.tt_isa()) }

// Select chooses another instruction set, for tests, while nothing computes; "" is the processor's best.
func Select(isa string) error {
	var name *C.char
	if isa != "" {
		name = C.CString(isa)
		defer C.free(unsafe.Pointer(name))
	}
	if C.tt_select(name) != 0 {
		return fmt.Errorf("kernels: instruction set %q is unknown or not on this processor", isa)
	}
	return nil
}

func fits(n int) bool { return n >= 0 && n <= math.MaxInt32 }

func (w Weight) check() error {
	n := PackedBytes(w.Type, w.Rows, w.Cols)
	if n == 0 {
		return fmt.Errorf("kernels: no kernel for type %d with %d rows and %d columns", w.Type, w.Rows, w.Cols)
	}
	if len(w.Data) < n {
		return fmt.Errorf("kernels: weight [%d, %d]: want %d packed bytes, found %d", w.Rows, w.Cols, n, len(w.Data))
	}
	return nil
}

func (p Piece) check(w Weight) error {
	stored := len(p.Data) / int(C.tt_stored_bytes(C.int(w.Type), C.int(w.Cols)))
	if p.Rows < 0 || p.Order == nil && p.Rows > stored || p.Order != nil && p.Rows != len(p.Order) {
		return fmt.Errorf("want %d rows, found %d stored and an order of %d", p.Rows, stored, len(p.Order))
	}
	for _, r := range p.Order {
		if r < 0 || int(r) >= stored {
			return fmt.Errorf("order names row %d of %d", r, stored)
		}
	}
	return nil
}

func result(what string, rc C.int) error {
	if rc == 0 {
		return nil
	}
	return fmt.Errorf("kernels: %s: C result %d (kernels.h)", what, int(rc))
}
