// SPDX-License-Identifier: Apache-2.0

// Package gguf reads and writes GGUF files: named metadata and named tensors in ggml's block types.
//
// [Open] maps a file and returns a [File]: its [Meta] answers for the metadata, its Tensors lie in file order, each a
// [Tensor] whose Data is borrowed from the mapping until Close. [Write] makes a file of [Pair] values and tensors. The
// format is that of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
//
// Every number in a file is checked against the bytes that are left before it is believed, so a hostile file costs no
// more memory than a small multiple of its own size; what is wrong is reported as a [*FormatError]. Values are not
// looked at: a NaN is not a reader's matter. Keys and names must be UTF-8; strings among the values are returned as they
// are. A file must not be shortened in place while it is open; [Write] never does that.
package gguf

import (
	"errors"
	"fmt"

	"github.com/trimtab/trimtab/internal/mapped"
	"github.com/trimtab/trimtab/models/quant"
)

// File is an open GGUF file, or a set of split files seen as one. Any number of goroutines may read it until Close.
type File struct {
	Version   uint32 // 2 or 3
	Alignment int    // bytes; tensor data starts at multiples of it
	Meta      Meta   // of the first part; stays valid after Close
	Tensors   []Tensor

	index map[string]int
	parts []*mapped.File
}

// Tensor is one named array of a file. Data is BORROWED from the file: using it after Close faults.
type Tensor struct {
	Name  string
	Type  quant.Type
	Shape []int // row-major, the reverse of ggml's dimensions: a linear layer is [out, in]
	Data  []byte
}

// Len returns the number of elements; a tensor without dimensions has one.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Open maps the file at path and checks all of it but the values. Any part of a split model, named
// NAME-00001-of-00003.gguf and so on, opens the whole model. A tensor of a type this package cannot size is an error
// here, since nothing behind it could be checked.
func Open(path string) (*File, error) {
	f := &File{index: map[string]int{}}
	if err := f.open(path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// add maps and parses one file.
func (f *File) add(path string) (*part, error) {
	m, err := mapped.Open(path)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	f.parts = append(f.parts, m)
	return parse(path, m.Bytes())
}

// take makes p's tensors the file's.
func (f *File) take(p *part) error {
	for _, t := range p.tensors {
		if _, twice := f.index[t.Name]; twice {
			return &FormatError{Path: p.meta.path, What: fmt.Sprintf("tensor %q", t.Name), Want: "each name once", Found: "it twice"}
		}
		f.index[t.Name] = len(f.Tensors)
		f.Tensors = append(f.Tensors, t)
	}
	return nil
}

// Tensor finds a tensor by its name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.index[name]
	if !ok {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// Float32 expands the named tensor into new memory. With a shape given, the tensor's must equal it; -1 allows any length.
func (f *File) Float32(name string, shape ...int) ([]float32, error) {
	t, ok := f.Tensor(name)
	if !ok {
		return nil, &FormatError{Path: f.Meta.path, What: fmt.Sprintf("tensor %q", name), Want: "it in the file", Found: fmt.Sprintf("%d others", len(f.Tensors))}
	}
	if !fits(t.Shape, shape) {
		return nil, &FormatError{Path: f.Meta.path, What: fmt.Sprintf("tensor %q", name), Want: fmt.Sprintf("shape %v", shape), Found: fmt.Sprint(t.Shape)}
	}
	dst := make([]float32, t.Len())
	if err := quant.Dequantize(dst, t.Type, t.Data); err != nil {
		return nil, fmt.Errorf("gguf: %s: tensor %q: %w", f.Meta.path, name, err)
	}
	return dst, nil
}

// fits reports whether a shape is as wanted; nothing wanted fits everything.
func fits(shape, want []int) bool {
	if len(want) == 0 {
		return true
	}
	if len(shape) != len(want) {
		return false
	}
	for i, d := range want {
		if d >= 0 && d != shape[i] {
			return false
		}
	}
	return true
}

// Close gives the memory back; every Tensor's Data is gone then. Closing nil or closing twice is fine.
func (f *File) Close() error {
	if f == nil {
		return nil
	}
	var errs []error
	for _, m := range f.parts {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}
