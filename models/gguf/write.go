// SPDX-License-Identifier: Apache-2.0

package gguf

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"github.com/trimtab/trimtab/internal/mapped"
	"github.com/trimtab/trimtab/models/quant"
)

// Pair is one metadata entry to write. Value is what [Value.Any] returns: uint8 to float64, bool, string, or a slice of
// one of these. int is not among them: the width is part of the file.
type Pair struct {
	Key   string
	Value any
}

// maxWriteAlignment bounds the padding that is written, which metadata copied from a hostile file would otherwise make
// gigabytes of. Reading a larger alignment costs nothing and is allowed.
const maxWriteAlignment = 1 << 20

// Float32Tensor packs values, copied, for [Write], which checks the shape against their number.
func Float32Tensor(name string, values []float32, shape ...int) Tensor {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return Tensor{Name: name, Type: quant.F32, Shape: shape, Data: data}
}

// Write puts metadata and tensors, in the order given, into a version 3 file at path, which appears whole or not at all.
// Tensor data is aligned to general.alignment (at most 1 MiB) when that is among the pairs, else to 32 bytes, and
// streamed.
func Write(path string, meta []Pair, tensors []Tensor) error {
	e := &encoder{path: path, align: defaultAlignment}
	text := e.header(meta, tensors)
	if e.err != nil {
		return e.err
	}
	err := mapped.Replace(path, func(w io.Writer) error { return e.stream(w, text, tensors) })
	if err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	return nil
}

// stream writes a finished header and the data it describes.
func (e *encoder) stream(w io.Writer, text []byte, tensors []Tensor) error {
	_, err := w.Write(text)
	for _, t := range tensors {
		if err != nil {
			return err
		}
		if _, err = w.Write(t.Data); err == nil {
			_, err = w.Write(make([]byte, e.padding(len(t.Data))))
		}
	}
	return err
}

// encoder builds a header; its first error stays.
type encoder struct {
	path  string
	b     []byte
	align int
	err   error
}

func (e *encoder) fail(what, want, found string) {
	if e.err == nil {
		e.err = &FormatError{Path: e.path, What: what, Want: want, Found: found}
	}
}

// padding is how many bytes n lacks to a multiple of the alignment.
func (e *encoder) padding(n int) int { return -n & (e.align - 1) }

func (e *encoder) u32(v uint32) { e.b = binary.LittleEndian.AppendUint32(e.b, v) }
func (e *encoder) u64(n int)    { e.b = binary.LittleEndian.AppendUint64(e.b, uint64(n)) }

func (e *encoder) string(s string) {
	e.u64(len(s))
	e.b = append(e.b, s...)
}

// name writes a key or tensor name that the reader will accept.
func (e *encoder) name(what, s string, seen map[string]bool) {
	if len(s) == 0 || len(s) > maxName || !utf8.ValidString(s) || seen[s] {
		e.fail(fmt.Sprintf("%s %.40q", what, s), fmt.Sprintf("a new name of 1 to %d bytes of UTF-8", maxName), fmt.Sprintf("%d bytes", len(s)))
	}
	seen[s] = true
	e.string(s)
}

func (e *encoder) header(meta []Pair, tensors []Tensor) []byte {
	e.b = append(e.b, magic...)
	e.u32(3)
	e.u64(len(tensors))
	e.u64(len(meta))
	keys, names := map[string]bool{}, map[string]bool{}
	for _, p := range meta {
		e.name("key", p.Key, keys)
		e.pair(p)
	}
	offset := 0
	for _, t := range tensors {
		e.name("tensor", t.Name, names)
		e.info(t, offset)
		offset += len(t.Data) + e.padding(len(t.Data))
	}
	return append(e.b, make([]byte, e.padding(len(e.b)))...)
}

func (e *encoder) pair(p Pair) {
	if p.Key == alignmentKey {
		n, ok := p.Value.(uint32) // the kind that every reader expects
		if !ok || n == 0 || n&(n-1) != 0 || n > maxWriteAlignment {
			e.fail("key "+alignmentKey, fmt.Sprintf("a uint32 that is a power of two up to %d", maxWriteAlignment), fmt.Sprintf("%T %v", p.Value, p.Value))
			return
		}
		e.align = int(n)
	}
	e.value(fmt.Sprintf("key %.80q", p.Key), p.Value)
}

// info writes where a tensor will lie.
func (e *encoder) info(t Tensor, offset int) {
	what := fmt.Sprintf("tensor %.80q", t.Name)
	if len(t.Shape) > maxDims {
		e.fail(what, fmt.Sprintf("at most %d dimensions", maxDims), fmt.Sprint(t.Shape))
	}
	row := 1
	for _, d := range t.Shape {
		row = d
		if d < 0 {
			e.fail(what, "lengths of 0 and more", fmt.Sprint(t.Shape))
		}
	}
	want, err := quant.Bytes(t.Type, t.Len())
	if block, _ := t.Type.Block(); err != nil || row%max(block, 1) != 0 || want != len(t.Data) {
		e.fail(what, fmt.Sprintf("%d bytes in whole rows of %s %v", want, t.Type, t.Shape), fmt.Sprint(len(t.Data)))
	}
	e.u32(uint32(len(t.Shape)))
	for i := range t.Shape {
		e.u64(t.Shape[len(t.Shape)-1-i])
	}
	e.u32(uint32(t.Type))
	e.u64(offset)
}
