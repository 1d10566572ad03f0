// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"fmt"

	"github.com/trimtab/trimtab/models/quant"
)

// Tensor is one stored tensor, borrowed from the file it lies in.
type Tensor struct {
	Name  string
	Type  quant.Type
	Shape []int                  // row-major: [out, in] for a linear layer
	Data  []byte                 // stored blocks; nil where Make makes them
	Order []int32                // of a matrix: for each row the stored row to take; nil is row by row
	Make  func() ([]byte, error) // makes the blocks, with rows in order, of a tensor that the file stores in another way
}

// Rows returns how many rows the last dimension is repeated in: 1 for a vector.
func (t *Tensor) Rows() int {
	n := 1
	for i := range len(t.Shape) - 1 {
		n *= t.Shape[i]
	}
	return n
}

// Cols returns the last dimension, and 1 for a tensor without dimensions.
func (t *Tensor) Cols() int {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[len(t.Shape)-1]
}

// Bytes is the size of the stored blocks.
func (t *Tensor) Bytes() int64 {
	size, err := quant.Bytes(t.Type, t.Rows()*t.Cols())
	if err != nil {
		return int64(len(t.Data))
	}
	return int64(size)
}

// Blocks returns the stored blocks, made where the file has them in another way; rows still have to be taken in the order of Order.
func (t *Tensor) Blocks() ([]byte, error) {
	if t.Make == nil {
		return t.Data, nil
	}
	data, err := t.Make()
	if err != nil {
		return nil, fmt.Errorf("decoder: tensor %s: %w", t.Name, err)
	}
	return data, nil
}

// Source finds tensors by the names that GGUF files use, such as blk.3.attn_q.weight, whatever the file calls them.
type Source interface {
	Tensor(name string) (Tensor, bool)
}

// Releaser is implemented by sources whose tensors lie in mapped files: Release says that a tensor's data will hardly be read
// again, ReleaseAll that nothing will.
type Releaser interface {
	Release(data []byte)
	ReleaseAll()
}

// Form is how a weight stands in memory when the graph runs.
type Form uint8

// The forms that graphs are built with.
const (
	Packed   Form = iota // tiles of cgo/kernels, uint8 [bytes], for the operators Linear and Row
	Matrix               // float32 [in, out], for MatMul
	Plain                // float32 as stored, Shape
	Paired               // float32 Shape, rows of each two consecutive pieces taking turns
	Codes                // blocks for MatMulNBits: uint8 [out, in/group, bytes of a group], see nbits.go
	Scales               // of Codes: float32 [out, in/group]
	Minimums             // of Codes: float32 [in/group, out]
)

// Weight is one initializer of a graph: the tensors it is made of, one below the other, and its form.
type Weight struct {
	Name   string // the initializer's name, unique for what it holds
	Form   Form
	Pieces []Tensor
	As     quant.Type // that the rows are held in, of a matrix; its pieces may be stored in others
	Rows   int
	Cols   int
	Bytes  int   // of the packed form; 0 otherwise
	Parts  int   // of the packed form: so many matrices of equal shape, packed one after the other; 0 is one
	Shape  []int // of the forms Plain, Paired and those of MatMulNBits
}

// MissingError says that a model lacks a tensor that its description asks for, or has it in another shape.
type MissingError struct {
	Tensor string
	Want   string
	Found  string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("decoder: tensor %s: want %s, found %s", e.Tensor, e.Want, e.Found)
}
