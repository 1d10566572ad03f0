// SPDX-License-Identifier: Apache-2.0

package safetensors

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"
)

const (
	maxHeader   = 100_000_000 // the format's own limit
	metadataKey = "__metadata__"
	// maxDims keeps a hostile shape short; numpy and torch stop at 64.
	maxDims = 64
)

// span is where a tensor says its data lies, counted from the end of the header.
type span struct{ begin, end int }

// header collects what a file's header says.
type header struct {
	scanner
	names    map[string]bool // of tensors
	metadata map[string]string
	tensors  []Tensor
	spans    []span
}

// parse reads a whole file from memory; path is for errors only. Tensors come in the order of their data.
func parse(path string, data []byte) (map[string]string, []Tensor, error) {
	text, rest, err := split(path, data)
	if err != nil {
		return nil, nil, err
	}
	h := &header{scanner: scanner{path: path, text: text}, names: map[string]bool{}}
	h.object("header", h.entry)
	if h.next() != 0 || h.off < len(text) {
		h.fail("header", "spaces behind the object", h.here())
	}
	if h.err != nil {
		return nil, nil, h.err
	}
	if err := h.place(rest); err != nil {
		return nil, nil, err
	}
	return h.metadata, h.tensors, nil
}

// split separates the header's text from the data behind it.
func split(path string, data []byte) (text, rest []byte, err error) {
	bad := func(offset int64, what, want, found string) ([]byte, []byte, error) {
		return nil, nil, &FormatError{Path: path, Offset: offset, What: what, Want: want, Found: found}
	}
	if len(data) < 8 {
		return bad(0, "header size", "8 bytes", fmt.Sprintf("the end of the file after %d", len(data)))
	}
	n, rest := binary.LittleEndian.Uint64(data), data[8:]
	if limit := min(maxHeader, uint64(len(rest))); n > limit {
		return bad(0, "header size", fmt.Sprintf("at most %d", limit), fmt.Sprintf("%d: not a safetensors file, or cut off", n))
	}
	text, rest = rest[:n], rest[n:]
	if len(text) == 0 || text[0] != '{' {
		return bad(8, "header", "an object that starts with {", fmt.Sprintf("%.20q", text))
	}
	if !utf8.Valid(text) {
		return bad(8, "header", "UTF-8", "other bytes")
	}
	return text, rest, nil
}

// entry reads the value of one key of the header.
func (h *header) entry(name string) bool {
	if name == metadataKey {
		return h.readMetadata()
	}
	again := h.names[name]
	h.names[name] = true
	if !again && h.err == nil {
		h.tensor(name)
	}
	return !again
}

func (h *header) readMetadata() bool {
	if h.metadata != nil {
		return false
	}
	h.metadata = map[string]string{}
	h.object(metadataKey, func(key string) bool {
		_, again := h.metadata[key]
		h.metadata[key] = h.string(metadataKey, "a string")
		return !again
	})
	return true
}

// tensor reads what the header says of one tensor.
func (h *header) tensor(name string) {
	what := fmt.Sprintf("tensor %.80q", name)
	t := Tensor{Name: name}
	var offsets []int
	h.object(what, func(key string) (once bool) {
		switch key {
		case "dtype":
			once = t.DType == ""
			t.DType = DType(h.string(what, "a dtype in quotes"))
		case "shape":
			once = t.Shape == nil
			t.Shape = h.numbers(what, maxDims)
		case "data_offsets":
			once = offsets == nil
			offsets = h.numbers(what, 2)
		default:
			h.fail(what, "dtype, shape and data_offsets", fmt.Sprintf("key %.80q", key))
		}
		return once
	})
	if t.DType == "" || t.Shape == nil || len(offsets) != 2 {
		h.fail(what, "dtype, shape and two data_offsets", "fewer")
	}
	if h.err == nil {
		h.add(t, span{offsets[0], offsets[1]})
	}
}

// add takes a tensor whose offsets agree with its type and shape.
func (h *header) add(t Tensor, s span) {
	what := fmt.Sprintf("tensor %.80q", t.Name)
	if t.DType.Bits() == 0 {
		h.fail(what, "a dtype of the format", fmt.Sprintf("%q", t.DType))
		return
	}
	n, ok := size(t.DType, t.Shape)
	if !ok {
		h.fail(what, "a shape of whole bytes that fits in memory", fmt.Sprintf("%s %v", t.DType, t.Shape))
	}
	if s.end < s.begin || uint64(s.end-s.begin) != n {
		h.fail(what, fmt.Sprintf("data of %d bytes for %s %v", n, t.DType, t.Shape), fmt.Sprintf("offsets %d to %d", s.begin, s.end))
	}
	h.tensors = append(h.tensors, t)
	h.spans = append(h.spans, s)
}

// place sorts the tensors by their data and cuts it for them: they must cover all of it, each byte once.
func (h *header) place(data []byte) error {
	order := make([]int, len(h.spans))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := h.spans[a], h.spans[b]
		return cmp.Or(cmp.Compare(x.begin, y.begin), cmp.Compare(x.end, y.end))
	})
	sorted := make([]Tensor, len(order))
	at := 0
	for i, k := range order {
		t, s := h.tensors[k], h.spans[k]
		if s.begin != at || s.end > len(data) {
			h.fail(fmt.Sprintf("tensor %.80q", t.Name), fmt.Sprintf("data from offset %d on, inside %d bytes", at, len(data)), fmt.Sprintf("offsets %d to %d", s.begin, s.end))
			return h.err
		}
		t.Data = data[s.begin:s.end:s.end]
		sorted[i], at = t, s.end
	}
	if at != len(data) {
		h.fail("data", fmt.Sprintf("%d bytes, as the header says", at), fmt.Sprint(len(data)))
	}
	h.tensors = sorted
	return h.err
}
