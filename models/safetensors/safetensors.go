// SPDX-License-Identifier: Apache-2.0

// Package safetensors reads and writes safetensors files: a JSON header and named arrays behind it.
//
// [Open] maps a file, or all shards of a folder, and returns a [File]; a [Tensor]'s Data is borrowed from the mapping
// until Close. [Write] makes a file. The format, and the checks a reader owes it (no holes, no overlaps, no duplicate
// keys), are those of https://github.com/huggingface/safetensors#format.
//
// Every number in a header is checked against the file before it is believed; what is wrong is reported as a
// [*FormatError].
package safetensors

import (
	"errors"
	"fmt"
	"slices"

	"github.com/trimtab/trimtab/internal/mapped"
)

// File is an open file, or a folder of shards seen as one. Any number of goroutines may read it until Close.
type File struct {
	Metadata map[string]string // of the first shard; nil when the header has none
	Tensors  []Tensor          // in the order of their data, shard by shard

	path  string
	index map[string]int
	maps  []*mapped.File
}

// Open maps a file, or the shards of a folder that holds model.safetensors.index.json; a folder without an index must
// hold model.safetensors. The path of an index file opens its shards too.
func Open(path string) (*File, error) {
	f := &File{path: path, index: map[string]int{}}
	if err := f.open(path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// add maps one file and takes its tensors.
func (f *File) add(path string) ([]Tensor, error) {
	m, err := mapped.Open(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	f.maps = append(f.maps, m)
	metadata, tensors, err := parse(path, m.Bytes())
	if err != nil {
		return nil, err
	}
	if len(f.maps) == 1 {
		f.Metadata = metadata
	}
	for _, t := range tensors {
		if _, twice := f.index[t.Name]; twice {
			return nil, &FormatError{Path: path, What: fmt.Sprintf("tensor %.80q", t.Name), Want: "each name in one shard", Found: "it in another one too"}
		}
		f.index[t.Name] = len(f.Tensors)
		f.Tensors = append(f.Tensors, t)
	}
	return tensors, nil
}

// Tensor finds a tensor by its name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.index[name]
	if !ok {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// Float32 converts the named tensor of F64, F32, F16 or BF16 into new memory. With a shape given, the tensor's must
// equal it; -1 allows any length.
func (f *File) Float32(name string, shape ...int) ([]float32, error) {
	t, ok := f.Tensor(name)
	if !ok {
		return nil, &FormatError{Path: f.path, What: fmt.Sprintf("tensor %.80q", name), Want: "it in the file", Found: fmt.Sprintf("%d others", len(f.Tensors))}
	}
	equal := func(d, want int) bool { return want < 0 || d == want }
	if len(shape) > 0 && !slices.EqualFunc(t.Shape, shape, equal) {
		return nil, &FormatError{Path: f.path, What: fmt.Sprintf("tensor %.80q", name), Want: fmt.Sprintf("shape %v", shape), Found: fmt.Sprint(t.Shape)}
	}
	out, err := t.AppendFloat32(nil)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", f.path, err)
	}
	return out, nil
}

// Close gives the memory back; every Tensor's Data is gone then. Closing nil or closing twice is fine.
func (f *File) Close() error {
	if f == nil {
		return nil
	}
	var errs []error
	for _, m := range f.maps {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}
