// SPDX-License-Identifier: Apache-2.0

package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
)

const (
	maxHeader   = 100_000_000 // the format's own limit
	metadataKey = "__metadata__"
	// maxDims keeps a hostile shape short; numpy and torch stop at 64.
	maxDims = 64
)

// span is where a tensor says its data lies, counted from the end of the header.
type span struct{ begin, end uint64 }

// header decodes a file's JSON header. The first error stays in err, and every step after it does nothing.
type header struct {
	path     string
	dec      *json.Decoder
	err      error
	metadata map[string]string
	tensors  []Tensor
	spans    []span
}

func (h *header) fail(what, want, found string) {
	if h.err == nil {
		h.err = &FormatError{Path: h.path, Offset: 8 + h.dec.InputOffset(), What: what, Want: want, Found: found}
	}
}

// parse reads a whole file from memory; path is for errors only. Tensors come in the order of their data.
func parse(path string, data []byte) (map[string]string, []Tensor, error) {
	text, rest, err := split(path, data)
	if err != nil {
		return nil, nil, err
	}
	h := &header{path: path, dec: json.NewDecoder(bytes.NewReader(text))}
	h.dec.UseNumber()
	h.object("header", h.entry)
	if _, err := h.dec.Token(); h.err == nil && !errors.Is(err, io.EOF) {
		h.fail("header", "spaces behind the object", "something else")
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

// token reads one JSON token.
func (h *header) token(what string) json.Token {
	if h.err != nil {
		return nil
	}
	t, err := h.dec.Token()
	if err != nil {
		h.fail(what, "JSON", err.Error())
	}
	return t
}

// object reads an object and calls each with every key, before its value; a key that comes twice is an error.
func (h *header) object(what string, each func(key string)) {
	if t := h.token(what); t != json.Delim('{') {
		h.fail(what, "an object", fmt.Sprint(t))
	}
	seen := map[string]bool{}
	for h.err == nil && h.dec.More() {
		key, _ := h.token(what).(string)
		if seen[key] {
			h.fail(what, "each key once", fmt.Sprintf("%q twice", key))
		}
		seen[key] = true
		each(key)
	}
	h.token(what)
}

// text reads a string.
func (h *header) text(what string) string {
	t := h.token(what)
	s, ok := t.(string)
	if !ok {
		h.fail(what, "a string", fmt.Sprint(t))
	}
	return s
}

// numbers reads an array of whole numbers without sign.
func (h *header) numbers(what string, limit int) (out []uint64) {
	if t := h.token(what); t != json.Delim('[') {
		h.fail(what, "an array", fmt.Sprint(t))
	}
	for h.err == nil && h.dec.More() {
		t := h.token(what)
		number, _ := t.(json.Number)
		n, err := strconv.ParseUint(string(number), 10, 63)
		if err != nil {
			h.fail(what, "whole numbers below 2^63", fmt.Sprint(t))
		}
		if out = append(out, n); len(out) > limit {
			h.fail(what, fmt.Sprintf("at most %d numbers", limit), "more")
		}
	}
	h.token(what)
	return out
}

// entry reads the value of one key of the header.
func (h *header) entry(name string) {
	if name == metadataKey {
		h.metadata = map[string]string{}
		h.object(metadataKey, func(key string) { h.metadata[key] = h.text(metadataKey) })
		return
	}
	what := fmt.Sprintf("tensor %q", name)
	t := Tensor{Name: name}
	var offsets []uint64
	fields := 0
	h.object(what, func(key string) {
		fields++
		switch key {
		case "dtype":
			t.DType = DType(h.text(what + " dtype"))
		case "shape":
			t.Shape = h.shape(what + " shape")
		case "data_offsets":
			offsets = h.numbers(what+" data_offsets", 2)
		default:
			h.fail(what, "dtype, shape and data_offsets", fmt.Sprintf("key %q", key))
		}
	})
	if h.err == nil && (fields != 3 || len(offsets) != 2) {
		h.fail(what, "dtype, shape and two data_offsets", "fewer")
	}
	if h.err == nil {
		h.add(t, span{offsets[0], offsets[1]})
	}
}

func (h *header) shape(what string) []int {
	numbers := h.numbers(what, maxDims)
	shape := make([]int, len(numbers))
	for i, n := range numbers {
		shape[i] = int(n)
		if uint64(shape[i]) != n || shape[i] < 0 {
			h.fail(what, "lengths that this platform can hold", fmt.Sprint(n))
		}
	}
	return shape
}

// add takes a tensor whose offsets agree with its type and shape.
func (h *header) add(t Tensor, s span) {
	what := fmt.Sprintf("tensor %q", t.Name)
	if t.DType.Bits() == 0 {
		h.fail(what, "a dtype of the format", fmt.Sprintf("%q", t.DType))
		return
	}
	n, ok := size(t.DType, t.Shape)
	if !ok {
		h.fail(what, "a shape of whole bytes that fits in memory", fmt.Sprintf("%s %v", t.DType, t.Shape))
	}
	if s.end < s.begin || s.end-s.begin != n {
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
	at := uint64(0)
	for i, k := range order {
		t, s := h.tensors[k], h.spans[k]
		if s.begin != at || s.end > uint64(len(data)) {
			h.fail(fmt.Sprintf("tensor %q", t.Name), fmt.Sprintf("data from offset %d on, inside %d bytes", at, len(data)), fmt.Sprintf("offsets %d to %d", s.begin, s.end))
			return h.err
		}
		t.Data = data[s.begin:s.end:s.end]
		sorted[i], at = t, s.end
	}
	if at != uint64(len(data)) {
		h.fail("data", fmt.Sprintf("%d bytes, as the header says", at), fmt.Sprint(len(data)))
	}
	h.tensors = sorted
	return h.err
}
