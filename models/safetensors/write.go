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

	"github.com/trimtab/trimtab/internal/mapped"
)

// Write puts the tensors into the file at path, which appears whole or not at all. They are laid out as the reference
// library does, widest type first and then by name, so that every array is aligned to its elements; equal input
// gives equal bytes. metadata may be nil. Data is streamed, never copied as a whole.
func Write(path string, tensors []Tensor, metadata map[string]string) error {
	sorted := slices.SortedFunc(slices.Values(tensors), func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(b.DType.Bits(), a.DType.Bits()), cmp.Compare(a.Name, b.Name))
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
	b := bytes.NewBuffer(make([]byte, 8))
	comma := byte('{')
	field := func(key string, value any) error {
		b.WriteByte(comma)
		comma = ','
		name, err := json.Marshal(key)
		if err != nil {
			return err
		}
		text, err := json.Marshal(value)
		b.Write(name)
		b.WriteByte(':')
		b.Write(text)
		return err
	}
	if metadata != nil {
		if err := field(metadataKey, metadata); err != nil {
			return nil, err
		}
	}
	seen, at := map[string]bool{metadataKey: true}, 0
	for _, t := range tensors {
		if n, ok := size(t.DType, t.Shape); !ok || t.DType.Bits() == 0 || n != uint64(len(t.Data)) || seen[t.Name] {
			return nil, &FormatError{Path: path, What: fmt.Sprintf("tensor %q", t.Name), Want: fmt.Sprintf("a new name and %d bytes for %s %v", n, t.DType, t.Shape), Found: fmt.Sprintf("%d bytes", len(t.Data))}
		}
		seen[t.Name] = true
		if err := field(t.Name, entryJSON{t.DType, append([]int{}, t.Shape...), [2]int{at, at + len(t.Data)}}); err != nil {
			return nil, err
		}
		at += len(t.Data)
	}
	if comma == '{' {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	binary.LittleEndian.PutUint64(b.Bytes(), uint64(b.Len()-8))
	return b.Bytes(), nil
}

type entryJSON struct {
	DType   DType  `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}
