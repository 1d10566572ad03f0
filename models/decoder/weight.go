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
	Shape []int  // row-major: [out, in] for a linear layer
	Data  []byte // stored blocks
}

// Rows returns the first dimension of a matrix and 1 for a vector.
func (t *Tensor) Rows() int {
	if len(t.Shape) < 2 {
		return 1
	}
	return t.Shape[0]
}

// Cols returns the last dimension.
func (t *Tensor) Cols() int { return t.Shape[len(t.Shape)-1] }

// Source finds tensors by the names that GGUF files use, such as blk.3.attn_q.weight, whatever the file calls them.
type Source interface {
	Tensor(name string) (Tensor, bool)
}

// Releaser is implemented by sources whose tensors lie in mapped files: Release says that a tensor's data will hardly be read again.
type Releaser interface {
	Release(data []byte)
}

// Form is how a weight stands in memory when the graph runs.
type Form uint8

// The forms that graphs are built with.
const (
	Packed Form = iota // tiles of cgo/kernels, uint8 [bytes], for the operators Linear and Row
	Matrix             // float32 [in, out], for MatMul
	Plain              // float32 as stored
)

// Weight is one initializer of a graph: the tensors it is made of, one below the other, and its form.
type Weight struct {
	Name   string // the initializer's name, unique for what it holds
	Form   Form
	Pieces []Tensor
	Rows   int
	Cols   int
	Bytes  int // of the packed form; 0 otherwise
}

// Type returns the stored type, which is the same for all pieces.
func (w *Weight) Type() quant.Type { return w.Pieces[0].Type }

// MissingError says that a model lacks a tensor that its description asks for, or has it in another shape.
type MissingError struct {
	Tensor string
	Want   string
	Found  string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("decoder: tensor %s: want %s, found %s", e.Tensor, e.Want, e.Found)
}
