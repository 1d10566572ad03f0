// SPDX-License-Identifier: Apache-2.0

//go:build !cgo

package kernels

import "unsafe"

// Supported is false for every type without cgo.
func Supported(Type) bool { return false }

// PackedBytes is 0 without cgo.
func PackedBytes(Type, int, int) int { return 0 }

// Tiles is the number of 16-row tiles of a weight.
func Tiles(rows int) int { return (rows + 15) / 16 }

// Pack returns ErrNoCgo.
func Pack(Weight, ...Piece) error { return ErrNoCgo }

// PackTiles returns ErrNoCgo.
func PackTiles(Weight, int, int, ...Piece) error { return ErrNoCgo }

// Row returns ErrNoCgo.
func Row([]float32, Weight, int) error { return ErrNoCgo }

// ScratchBytes is 0 without cgo.
func ScratchBytes(Type, int, int) int { return 0 }

// Linear returns ErrNoCgo.
func Linear(_, _ []float32, _ Weight, _ int, _ []byte, _ int) error { return ErrNoCgo }

// Table is nil without cgo.
func Table() unsafe.Pointer { return nil }

// ISA is "none" without cgo.
func ISA() string { return "none" }

// Select returns ErrNoCgo.
func Select(string) error { return ErrNoCgo }

// CacheBytes is 0 without cgo.
func CacheBytes(Type, int, int, int) int { return 0 }

// Append returns ErrNoCgo.
func (c Cache) Append(int, []float32, []float32) error { return ErrNoCgo }

// Read returns ErrNoCgo.
func (c Cache) Read(int, []float32, []float32) error { return ErrNoCgo }

// AttentionScratch is 0 without cgo.
func AttentionScratch(Attention) int { return 0 }

// Attend returns ErrNoCgo.
func Attend(_, _ []float32, _ Attention, _ []byte, _ int) error { return ErrNoCgo }
