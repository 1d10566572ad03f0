// SPDX-License-Identifier: Apache-2.0

package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/models/quant"
)

// image builds a file number by number, so that a test can put any lie at any place.
type image []byte

func (b image) u32(v uint32) image      { return binary.LittleEndian.AppendUint32(b, v) }
func (b image) u64(v uint64) image      { return binary.LittleEndian.AppendUint64(b, v) }
func (b image) raw(s string) image      { return append(b, s...) }
func (b image) str(s string) image      { return b.u64(uint64(len(s))).raw(s) }
func (b image) key(s string) image      { return b.str(s) }
func (b image) kind(k Kind) image       { return b.u32(uint32(k)) }
func (b image) pad() image              { return append(b, make([]byte, -len(b)&31)...) }
func (b image) zeros(n int) image       { return append(b, make([]byte, n)...) }
func start(tensors, pairs uint64) image { return image(magic).u32(3).u64(tensors).u64(pairs) }

// info appends a tensor's entry with dimensions in ggml's order.
func (b image) info(name string, t quant.Type, offset uint64, dims ...uint64) image {
	b = b.str(name).u32(uint32(len(dims)))
	for _, d := range dims {
		b = b.u64(d)
	}
	return b.u32(uint32(t)).u64(offset)
}

// valid is a small file with a value of most kinds and two tensors.
func valid() image {
	b := start(2, 5)
	b = b.key("general.architecture").kind(String).str("llama")
	b = b.key("llama.block_count").kind(Uint32).u32(2)
	b = b.key("tokens").kind(Array).kind(String).u64(3).str("a").str("").str("c")
	b = b.key("flags").kind(Array).kind(Bool).u64(2).raw("\x00\x01")
	b = b.key("nested").kind(Array).kind(Array).u64(1).kind(Int8).u64(2).raw("\xff\x01")
	b = b.info("a", quant.F32, 0, 2, 1).info("b", quant.Q8_0, 32, 32)
	return b.pad().zeros(8).pad().zeros(34)
}

// hostile is a table of files that must be refused, with a part of the message.
func hostile() map[string]struct {
	file image
	want string
} {
	long := strings.Repeat("x", maxName+1)
	one := func(t quant.Type, offset uint64, dims ...uint64) image {
		return start(1, 0).info("t", t, offset, dims...).pad().zeros(64)
	}
	deep := start(0, 1).key("k").kind(Array)
	for range 1000 {
		deep = deep.kind(Array).u64(1)
	}
	return map[string]struct {
		file image
		want string
	}{
		"empty":                  {nil, "magic: want 4 bytes"},
		"other magic":            {image("GGML").zeros(60), `magic: want "GGUF", found "GGML"`},
		"version 1":              {image(magic).u32(1).zeros(60), "version: want 2 or 3, found 1"},
		"version 0":              {image(magic).u32(0).zeros(60), "want 2 or 3, found 0"},
		"version 4":              {image(magic).u32(4).zeros(60), "found 4"},
		"big-endian":             {image(magic).raw("\x00\x00\x00\x03").zeros(60), "want a little-endian file, found version 3 in big-endian"},
		"huge tensor count":      {start(math.MaxUint64, 0).zeros(64), "tensor count: want at most"},
		"huge metadata count":    {start(0, 1<<62).zeros(64), "metadata count: want at most"},
		"one tensor too many":    {start(3, 0).info("a", quant.F32, 0).info("b", quant.F32, 32).pad().zeros(64), "tensor"},
		"huge key":               {start(0, 1).u64(math.MaxUint64).zeros(64), "metadata key: want 1 to 65535 bytes"},
		"over-long key":          {start(0, 1).key(long).kind(Uint8).raw("1"), "want 1 to 65535 bytes, found 65536"},
		"empty key":              {start(0, 1).key("").kind(Uint32).u32(1), "want 1 to 65535 bytes, found 0"},
		"key not UTF-8":          {start(0, 1).key("k\xff").kind(Uint32).u32(1), "metadata key: want UTF-8"},
		"key twice":              {start(0, 2).key("k").kind(Uint8).raw("1").key("k").kind(Uint8).raw("1"), `key "k": want each key once`},
		"unknown kind":           {start(0, 1).key("k").kind(13).u32(1), `key "k": want a value of kind 0 to 12, found kind 13`},
		"unknown element kind":   {start(0, 1).key("k").kind(Array).kind(99).u64(1), `key "k": want a value of kind 0 to 12, found kind 99`},
		"huge string":            {start(0, 1).key("k").kind(String).u64(1 << 40), `key "k": want 1099511627776 bytes`},
		"huge array of bytes":    {start(0, 1).key("k").kind(Array).kind(Uint8).u64(math.MaxUint64), `key "k": want at most 0`},
		"huge array of strings":  {start(0, 1).key("k").kind(Array).kind(String).u64(1 << 61).zeros(64), `key "k": want at most 8`},
		"array that wraps":       {start(0, 1).key("k").kind(Array).kind(Uint64).u64(1<<61 + 1).zeros(64), `key "k": want at most 8`},
		"huge string in array":   {start(0, 1).key("k").kind(Array).kind(String).u64(1).u64(math.MaxUint64), `key "k": want 18446744073709551615 bytes`},
		"arrays without end":     {deep, "want at most 4 arrays in one another"},
		"bool of 2":              {start(0, 1).key("k").kind(Bool).raw("\x02").zeros(8), `key "k": want a bool of 0 or 1, found 2`},
		"bool of 255 in array":   {start(0, 1).key("k").kind(Array).kind(Bool).u64(2).raw("\x01\xff"), "found 255"},
		"alignment 0":            {start(0, 1).key(alignmentKey).kind(Uint32).u32(0), "general.alignment: want a power of two"},
		"alignment 48":           {start(0, 1).key(alignmentKey).kind(Uint32).u32(48), "found 48"},
		"alignment beyond":       {start(0, 1).key(alignmentKey).kind(Uint64).u64(1 << 63), "want integer in range"},
		"alignment huge":         {start(0, 1).key(alignmentKey).kind(Uint32).u32(1 << 31), "want a power of two below 2^31"},
		"alignment a string":     {start(0, 1).key(alignmentKey).kind(String).str("32"), `key "general.alignment": want integer, found string`},
		"alignment past the end": {start(1, 1).key(alignmentKey).kind(Uint32).u32(1<<30).info("t", quant.F32, 0, 4).pad().zeros(64), "0 bytes of data in the file"},
		"empty tensor name":      {start(1, 0).info("", quant.F32, 0, 4).pad().zeros(64), "tensor name: want 1 to 65535"},
		"tensor name not UTF-8":  {start(1, 0).info("\xc3", quant.F32, 0, 4).pad().zeros(64), "tensor name: want UTF-8"},
		"tensor twice":           {start(2, 0).info("t", quant.F32, 0, 4).info("t", quant.F32, 32, 4).pad().zeros(64), `tensor "t": want each name once`},
		"nine dimensions":        {one(quant.F32, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1), `tensor "t": want at most 4 dimensions, found 9`},
		"shape overflows":        {one(quant.F32, 0, 1<<32, 1<<32), "want a shape whose size fits in memory"},
		"overflow beside a zero": {one(quant.F32, 0, 0, 1<<32, 1<<32), "want a shape whose size fits in memory"},
		"negative dimension":     {one(quant.F32, 0, 1<<63), "want a shape whose size fits in memory"},
		"bytes overflow":         {one(quant.F64, 0, 1<<62), "want a size that fits in memory"},
		"half a block":           {one(quant.Q8_0, 0, 16, 2), `tensor "t": want rows of a multiple of 32 elements for Q8_0, found 16`},
		"withdrawn type":         {one(4, 0, 32), `tensor "t": want a tensor type that is known, found type 4`},
		"unknown type":           {one(math.MaxUint32, 0, 32), "found type 4294967295"},
		"odd offset":             {one(quant.F32, 4, 4), "want an offset that is a multiple of 32, found 4"},
		"offset beyond the file": {one(quant.F32, 1<<20, 4), `tensor "t": want 16 bytes at offset 1048576, found 64 bytes of data in the file: is it cut off?`},
		"offset that wraps":      {one(quant.F32, math.MaxUint64-31, 4), "64 bytes of data in the file"},
		"larger than the file":   {one(quant.F32, 0, 17), "want 68 bytes at offset 0"},
		"last byte missing":      {one(quant.F32, 32, 9), "want 36 bytes at offset 32"},
		"overlapping":            {start(2, 0).info("a", quant.F32, 0, 9).info("b", quant.F32, 32, 4).pad().zeros(64), `tensor "b": want data behind that of "a", which ends at offset 36, found offset 32`},
		"same data twice":        {start(2, 0).info("a", quant.F32, 32, 4).info("b", quant.F32, 32, 4).pad().zeros(64), "want data behind that of"},
	}
}

// typed reports whether err is one of the package's own.
func typed(err error) bool {
	var format *FormatError
	var key *KeyError
	return errors.As(err, &format) || errors.As(err, &key)
}

func TestHostile(t *testing.T) {
	for name, c := range hostile() {
		t.Run(name, func(t *testing.T) {
			var err error
			spent := allocated(func() { _, err = parse("x.gguf", c.file) })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("parse = %v, want an error with %q", err, c.want)
			}
			if !typed(err) || !strings.Contains(err.Error(), "gguf: x.gguf: ") {
				t.Errorf("parse = %T %v, want a typed error that names the file", err, err)
			}
			if limit := bound(len(c.file)); spent > limit {
				t.Errorf("parse of %d bytes allocated %d, want at most %d", len(c.file), spent, limit)
			}
		})
	}
}

// bound is what parsing n bytes may allocate: error text, and what bookkeeping costs for the smallest entries, which
// TestBookkeeping measures at 12 times their size, and at 17 under the race detector.
func bound(n int) uint64 { return 16<<10 + 20*uint64(n) }

// allocated measures all memory that f asks for, freed or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestBookkeeping fills files with the smallest entries there are: the dearest a file can be for its size.
func TestBookkeeping(t *testing.T) {
	const n = 30000
	tensors, pairs, strings := start(n, 0), start(0, n), start(0, 1).key("k").kind(Array).kind(String).u64(n).zeros(8*n)
	for i := range n {
		name := fmt.Sprintf("%04x", i)
		tensors = tensors.info(name, quant.F32, 0, 0)
		pairs = pairs.key(name).kind(Uint8).raw("\x00")
	}
	for name, file := range map[string]image{"tensors": tensors, "pairs": pairs, "strings": strings} {
		var err error
		spent := allocated(func() { _, err = parse("x.gguf", file) })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%s: %d bytes in the file, %d allocated (%.1f times)", name, len(file), spent, float64(spent)/float64(len(file)))
		if limit := bound(len(file)); spent > limit {
			t.Errorf("%s: parse of %d bytes allocated %d, want at most %d", name, len(file), spent, limit)
		}
	}
}

// TestTruncated cuts a valid file at every byte: only the whole file is one.
func TestTruncated(t *testing.T) {
	whole := valid()
	if _, err := parse("x.gguf", whole); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		var err error
		spent := allocated(func() { _, err = parse("x.gguf", whole[:n]) })
		if err == nil || !typed(err) {
			t.Errorf("parse of %d bytes of %d = %v, want a typed error", n, len(whole), err)
		}
		if limit := bound(n); spent > limit {
			t.Errorf("parse of %d bytes allocated %d, want at most %d", n, spent, limit)
		}
	}
}

// TestFlipped sets every byte of a valid file to several values: a file or an error, never a panic or a large allocation.
func TestFlipped(t *testing.T) {
	whole := valid()
	for i := range whole {
		for _, v := range []byte{0, 1, 9, 0x7f, 0x80, 0xff, whole[i] + 1} {
			bad := slices.Clone(whole)
			bad[i] = v
			spent := allocated(func() { check(t, bad) })
			if limit := 4 * bound(len(bad)); spent > limit { // check writes the file again, too
				t.Errorf("byte %d = %#x: allocated %d, want at most %d", i, v, spent, limit)
			}
		}
	}
}

// check parses data; a refusal must be typed, and what is accepted must be consistent, and equal when written and read again.
func check(t *testing.T, data []byte) {
	t.Helper()
	p, err := parse("x.gguf", data)
	if err != nil {
		if !typed(err) {
			t.Fatalf("parse = %T %v, want a typed error", err, err)
		}
		return
	}
	var meta []Pair
	for _, key := range p.meta.Keys() {
		v, _ := p.meta.Value(key)
		meta = append(meta, Pair{key, v.Any()})
		_ = v.String()
	}
	for _, x := range p.tensors {
		if n, err := quant.Bytes(x.Type, x.Len()); err != nil || n != len(x.Data) {
			t.Fatalf("tensor %q %s %v has %d bytes, want %d (%v)", x.Name, x.Type, x.Shape, len(x.Data), n, err)
		}
	}
	if v, ok := p.meta.Value(alignmentKey); ok && (v.Kind != Uint32 || p.alignment > maxWriteAlignment) {
		return // read from any kind of integer and up to any size, written only as every reader wants it
	}
	e := &encoder{path: "y.gguf", align: defaultAlignment}
	var again bytes.Buffer
	text := e.header(meta, p.tensors)
	if e.err != nil {
		t.Fatalf("what was read cannot be written: %v", e.err)
	}
	if err := e.stream(&again, text, p.tensors); err != nil {
		t.Fatal(err)
	}
	q, err := parse("y.gguf", again.Bytes())
	if err != nil {
		t.Fatalf("what was written cannot be read: %v", err)
	}
	same := func(a, b Tensor) bool {
		return a.Name == b.Name && a.Type == b.Type && slices.Equal(a.Shape, b.Shape) && bytes.Equal(a.Data, b.Data)
	}
	if !maps.Equal(p.meta.values, q.meta.values) || !slices.Equal(p.meta.keys, q.meta.keys) || !slices.EqualFunc(p.tensors, q.tensors, same) {
		t.Fatalf("written and read again, the file differs")
	}
}

func FuzzGGUF(f *testing.F) {
	f.Add([]byte(valid()))
	f.Add([]byte(start(0, 1).key(alignmentKey).kind(Uint32).u32(1 << 30)))
	for _, c := range hostile() {
		if len(c.file) < 4096 {
			f.Add([]byte(c.file))
		}
	}
	f.Fuzz(check)
}

// TestOpenRefuses covers what only files can get wrong, and that a failed Open says so with the path.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	cut := filepath.Join(dir, "cut.gguf")
	if err := os.WriteFile(cut, valid()[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		as   func(error) bool
	}{
		"absent":   {filepath.Join(dir, "no.gguf"), func(err error) bool { return errors.Is(err, os.ErrNotExist) }},
		"a folder": {dir, func(err error) bool { var p *os.PathError; return errors.As(err, &p) }},
		"cut off":  {cut, typed},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Open(c.path)
			if f != nil || err == nil || !c.as(err) || !strings.Contains(err.Error(), c.path) {
				t.Errorf("Open(%s) = %v, %v", c.path, f, err)
			}
		})
	}
}
