// SPDX-License-Identifier: Apache-2.0

package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/trimtab/trimtab/internal/mapped"
)

// Write puts the tensors into the file at path, which appears whole or not at all. They are laid out as the reference
// library does, widest type first and then by name, so that every array is aligned to its elements and equal input
// gives equal bytes. metadata may be nil. Data is streamed, never copied as a whole.
func Write(path string, tensors []Tensor, metadata map[string]string) error {
	sorted := slices.SortedFunc(slices.Values(tensors), func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(b.DType.rank(), a.DType.rank()), cmp.Compare(a.Name, b.Name))
	})
	text, err := encodeHeader(path, sorted, metadata)
	if err != nil {
		return err
	}
	err = mapped.Replace(path, func(w io.Writer) error {
		if _, err := w.Write(text); err != nil {
			return err
		}
		for _, t := range sorted {
			if _, err := w.Write(t.Data); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	return nil
}

// encodeHeader returns the header with its size before it and spaces behind it, a multiple of 8 bytes in all.
func encodeHeader(path string, tensors []Tensor, metadata map[string]string) ([]byte, error) {
	e := &encoder{}
	e.b.Write(make([]byte, 8))
	if metadata != nil {
		e.field(metadataKey, metadata)
	}
	seen, at := map[string]bool{metadataKey: true}, 0
	for _, t := range tensors {
		if n, ok := size(t.DType, t.Shape); !ok || t.DType.Bits() == 0 || n != uint64(len(t.Data)) || seen[t.Name] || !utf8.ValidString(t.Name) {
			return nil, &FormatError{
				Path: path, What: fmt.Sprintf("tensor %.80q", t.Name),
				Want: fmt.Sprintf("a new name and %d bytes for %s %v", n, t.DType, t.Shape), Found: fmt.Sprintf("%d bytes", len(t.Data)),
			}
		}
		seen[t.Name] = true
		shape := append([]int{}, t.Shape...) // nil would become null
		e.field(t.Name, entryJSON{t.DType, shape, [2]int{at, at + len(t.Data)}})
		at += len(t.Data)
	}
	if e.b.Len() == 8 {
		e.b.WriteByte('{')
	}
	e.b.WriteByte('}')
	for e.b.Len()%8 != 0 {
		e.b.WriteByte(' ')
	}
	text := e.b.Bytes()
	binary.LittleEndian.PutUint64(text, uint64(len(text)-8))
	return text, nil
}

type entryJSON struct {
	DType   DType  `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}

// encoder writes the fields of one JSON object in the order they come, which a map would lose.
type encoder struct{ b bytes.Buffer }

func (e *encoder) field(key string, value any) {
	if e.b.Len() == 8 {
		e.b.WriteByte('{')
	} else {
		e.b.WriteByte(',')
	}
	e.json(key)
	e.b.WriteByte(':')
	e.json(value)
}

// json writes a value of strings and numbers, which cannot fail, without the newline that Encode adds.
func (e *encoder) json(value any) {
	j := json.NewEncoder(&e.b)
	j.SetEscapeHTML(false)
	if err := j.Encode(value); err == nil {
		e.b.Truncate(e.b.Len() - 1)
	}
}
