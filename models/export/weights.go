// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"fmt"
	"math/bits"
	"path/filepath"
	"unsafe"

	"github.com/trimtab/trimtab/internal/mapped"
	"github.com/trimtab/trimtab/models/onnx"
)

// tensor is an initializer with its elements, wherever they lie.
type tensor struct {
	*onnx.Tensor
	data []byte        // nil where the elements are not bytes one after the other
	at   onnx.Location // of data, relative to the folder of Model.Real; no file where it lies elsewhere
}

// Weight is an initializer that is not written into the graph again.
type Weight struct {
	Name  string
	Type  onnx.DType
	Shape []int
	Data  []byte // in the mapped file, BORROWED until Model.Close
	// Turned says that the graph wants the matrix transposed: Shape is what it wants, Data what the file has.
	Turned bool
}

// Turn writes the transpose of the stored matrix into dst, 32 rows and columns at a time so that both sides stay in the processor's cache.
func (w *Weight) Turn(dst []byte) {
	const tile = 32
	n, rows, cols := size(w.Type)/8, w.Shape[1], w.Shape[0]
	for r0 := 0; r0 < rows; r0 += tile {
		for c0 := 0; c0 < cols; c0 += tile {
			for r := r0; r < min(r0+tile, rows); r++ {
				for c := c0; c < min(c0+tile, cols); c++ {
					copy(dst[(c*rows+r)*n:][:n], w.Data[(r*cols+c)*n:])
				}
			}
		}
	}
}

// inlineBytes is the size up to which a tensor is written into the graph: reading shapes and axes there is what the runtime's optimiser needs.
const inlineBytes = 1024

// size returns the bits of an element, 0 where elements have no fixed size (TensorProto.DataType of onnx.proto3).
func size(t onnx.DType) int {
	switch t {
	case onnx.Uint8, onnx.Int8, onnx.Bool, 17, 18, 19, 20: // and float8
		return 8
	case onnx.Float16, onnx.BFloat, 4, 5: // and 16 bit integers
		return 16
	case onnx.Float, onnx.Int32, 12:
		return 32
	case onnx.Int64, onnx.Double, 13:
		return 64
	case 21, 22: // 4 bit integers
		return 4
	}
	return 0
}

// bytes is the size that type and shape give, 0 where there is none; a product beyond 2^56 counts as none.
func (t *tensor) bytes() int64 {
	n := uint64(size(t.Info.Type))
	for _, d := range t.Info.Shape {
		hi, lo := bits.Mul64(n, uint64(d.Size))
		if d.Size < 0 || hi != 0 || lo > 1<<56 {
			return 0
		}
		n = lo
	}
	return int64((n + 7) / 8)
}

// dims returns the shape as numbers.
func (t *tensor) dims() []int {
	out := make([]int, len(t.Info.Shape))
	for i, d := range t.Info.Shape {
		out[i] = d.Size
	}
	return out
}

// files are those that a model's weights lie in.
type files struct {
	model  *mapped.File
	path   string
	real   string // path behind all links
	others map[string]*mapped.File
	names  map[string]string // of others, relative to the folder of real; "" where they do not lie there
}

// locate finds the elements of a tensor and holds their size against its shape.
func (f *files) locate(t *tensor) error {
	want := t.bytes()
	if t.File == "" {
		if size(t.Info.Type) > 0 && int64(len(t.Data)) >= want {
			t.data = t.Data
			t.at = f.within(t.data)
		} else if t.Data != nil {
			return &Error{f.path, fmt.Sprintf("tensor %q of shape %v", t.Info.Name, t.dims()), fmt.Sprintf("%d bytes", want), fmt.Sprint(len(t.Data))}
		}
		return nil
	}
	if t.Length < 0 {
		t.Length = want
	}
	data, err := f.open(t.File)
	if err != nil {
		return fmt.Errorf("export: tensor %q: %w", t.Info.Name, err)
	}
	if size(t.Info.Type) == 0 || t.Length != want || t.Offset > int64(len(data)) || t.Length > int64(len(data))-t.Offset {
		return &Error{
			f.path, fmt.Sprintf("tensor %q of shape %v", t.Info.Name, t.dims()), fmt.Sprintf("%d bytes within the %d of %s", want, len(data), t.File),
			fmt.Sprintf("%d from byte %d on", t.Length, t.Offset),
		}
	}
	t.data = data[t.Offset:][:t.Length:t.Length]
	t.at = onnx.Location{File: f.names[t.File], Offset: t.Offset, Length: t.Length}
	return nil
}

// within tells where bytes of the model's own file stand in it.
func (f *files) within(data []byte) onnx.Location {
	if f.model == nil {
		return onnx.Location{}
	}
	whole := f.model.Bytes()
	offset := int64(uintptr(unsafe.Pointer(unsafe.SliceData(data))) - uintptr(unsafe.Pointer(unsafe.SliceData(whole))))
	if len(data) == 0 || offset < 0 || offset+int64(len(data)) > int64(len(whole)) {
		return onnx.Location{}
	}
	return onnx.Location{File: filepath.Base(f.real), Offset: offset, Length: int64(len(data))}
}

// open maps a file of the model's folder, or one that lies beside the model where both are links, as in the cache of Hugging Face.
func (f *files) open(name string) ([]byte, error) {
	if have := f.others[name]; have != nil {
		return have.Bytes(), nil
	}
	if !filepath.IsLocal(name) {
		return nil, &Error{f.path, "external data", "a file of the model's folder", name}
	}
	dir := filepath.Dir(f.path)
	real, err := filepath.EvalSymlinks(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	base, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	beside, aside := filepath.Rel(filepath.Dir(f.real), real)
	rel, err := filepath.Rel(base, real)
	linked := aside == nil && filepath.IsLocal(beside)
	if !linked && (err != nil || !filepath.IsLocal(rel)) {
		return nil, &Error{f.path, "external data", "a file of the model's folder", real}
	}
	m, err := mapped.Open(real)
	if err != nil {
		return nil, err
	}
	f.others[name] = m
	if linked {
		f.names[name] = beside
	}
	return m.Bytes(), nil
}

func (f *files) close() error {
	err := f.model.Close()
	for _, m := range f.others {
		err = errors.Join(err, m.Close())
	}
	return err
}
