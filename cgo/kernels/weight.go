// SPDX-License-Identifier: Apache-2.0

package kernels

import "errors"

// ErrNoCgo is returned by every function of a build without cgo.
var ErrNoCgo = errors.New("kernels: built without cgo: rebuild with CGO_ENABLED=1 and a C compiler")

// Type is a weight's type, by its number in GGUF files.
type Type int32

// The types that have kernels.
const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2
	Q4_1 Type = 3
	Q5_0 Type = 6
	Q5_1 Type = 7
	Q8_0 Type = 8
	Q2_K Type = 10
	Q3_K Type = 11
	Q4_K Type = 12
	Q5_K Type = 13
	Q6_K Type = 14
	BF16 Type = 30
	Q6_0 Type = 133

	I8 Type = 24 // of caches only: bytes, with a scale for each 32 columns of a token
)

// Weight is a packed matrix [Rows, Cols]; Data holds PackedBytes bytes, from Alloc for speed, and is only read once packed.
type Weight struct {
	Type       Type
	Rows, Cols int
	Data       []byte
}

// Piece is a run of a weight's rows as a file stores them; the pieces of a weight are stacked one below the other.
type Piece struct {
	Data  []byte  // stored rows, row-major
	Rows  int     // how many rows the piece adds to the weight
	Order []int32 // nil, or for each of them the stored row to take: this undoes a file's permutation of q and k
}
