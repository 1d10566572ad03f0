// SPDX-License-Identifier: Apache-2.0

package gguf

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/trimtab/trimtab/models/quant"
)

const (
	magic            = "GGUF"
	defaultAlignment = 32
	alignmentKey     = "general.alignment"
	maxDims          = 4 // GGML_MAX_DIMS in ggml.h

	minPair = 8 + 1 + 4 + 1         // key length, a character, kind, a byte of value
	minInfo = 8 + 1 + 4 + 0 + 4 + 8 // name length, a character, dimensions, none of them, type, offset
)

// part is one parsed file.
type part struct {
	version   uint32
	alignment int
	meta      Meta
	tensors   []Tensor
}

// info is where a tensor says it lies.
type info struct {
	at            int // of the entry in the header, for errors
	offset, bytes uint64
}

// parse reads a whole file from memory; path is for errors only.
func parse(path string, data []byte) (*part, error) {
	c := &cursor{path: path, data: data}
	p := &part{meta: Meta{path: path}}
	p.version = c.version()
	tensors := c.count(minInfo, "tensor count")
	pairs := c.count(minPair, "metadata count")
	c.pairs(&p.meta, pairs)
	p.alignment = c.alignment(p.meta)
	infos := c.infos(p, tensors)
	if c.err == nil {
		c.place(p, infos)
	}
	return p, c.err
}

func (c *cursor) version() uint32 {
	if got := c.take(4, "magic"); got != nil && string(got) != magic {
		c.failAt(0, "magic", fmt.Sprintf("%q", magic), fmt.Sprintf("%q: not a GGUF file", got))
	}
	v := c.u32("version")
	switch {
	case c.err != nil, v == 2, v == 3:
	case v&0xffff == 0 && v != 0:
		c.fail("version", "a little-endian file", fmt.Sprintf("version %d in big-endian order: convert it with llama.cpp's gguf_convert_endian.py", v>>24))
	default:
		c.fail("version", "2 or 3", fmt.Sprint(v))
	}
	return v
}

func (c *cursor) alignment(m Meta) int {
	n, ok, err := Optional(m.Int(alignmentKey))
	switch {
	case c.err != nil || !ok && err == nil:
		return defaultAlignment
	case err != nil:
		c.err = err
	case n <= 0 || n&(n-1) != 0 || n > math.MaxInt32:
		c.fail("key "+alignmentKey, "a power of two below 2^31", fmt.Sprint(n))
	}
	return n
}

// infos reads the tensors' names, types and shapes into p.
func (c *cursor) infos(p *part, n int) []info {
	if c.err != nil {
		return nil
	}
	seen := make(map[string]bool, n)
	infos := make([]info, 0, n)
	p.tensors = make([]Tensor, 0, n)
	for range n {
		at := c.off
		t := Tensor{Name: c.name("tensor name")}
		what := fmt.Sprintf("tensor %.80q", t.Name)
		if seen[t.Name] && c.err == nil {
			c.fail(what, "each name once", "it twice")
		}
		seen[t.Name] = true
		t.Shape = c.shape(what)
		t.Type = quant.Type(c.u32(what))
		size := c.bytes(t, what)
		offset := c.u64(what)
		if c.err != nil {
			return nil
		}
		if offset%uint64(p.alignment) != 0 {
			c.fail(what, fmt.Sprintf("an offset that is a multiple of %d", p.alignment), fmt.Sprint(offset))
		}
		p.tensors = append(p.tensors, t)
		infos = append(infos, info{at, offset, size})
	}
	return infos
}

// shape reads dimensions, fastest first, and returns them row-major. Their product fits in an int.
func (c *cursor) shape(what string) []int {
	n := c.u32(what)
	if n > maxDims {
		c.fail(what, fmt.Sprintf("at most %d dimensions", maxDims), fmt.Sprint(n))
		return nil
	}
	shape := make([]int, n)
	product := uint64(1)
	for i := range shape {
		d := c.u64(what)
		hi, lo := bits.Mul64(product, max(d, 1)) // a zero must not hide an overflow beside it
		if hi != 0 || lo > math.MaxInt {
			c.fail(what, "a shape whose size fits in memory", fmt.Sprintf("%d times %d elements", product, d))
			return nil
		}
		product = lo
		shape[len(shape)-1-i] = int(d)
	}
	return shape
}

// bytes returns the size of t's data.
func (c *cursor) bytes(t Tensor, what string) uint64 {
	if c.err != nil {
		return 0
	}
	elements, _ := t.Type.Block()
	if elements == 0 {
		c.fail(what, "a tensor type that is known", t.Type.String())
		return 0
	}
	row := 1
	if len(t.Shape) > 0 {
		row = t.Shape[len(t.Shape)-1]
	}
	if row%elements != 0 {
		c.fail(what, fmt.Sprintf("rows of a multiple of %d elements for %s", elements, t.Type), fmt.Sprint(row))
		return 0
	}
	size, err := quant.Bytes(t.Type, t.Len())
	if err != nil {
		c.fail(what, "a size that fits in memory", fmt.Sprintf("shape %v", t.Shape))
	}
	return uint64(size)
}

// place gives every tensor its bytes, which must lie inside the file and belong to it alone.
func (c *cursor) place(p *part, infos []info) {
	align := uint64(p.alignment)
	start := (uint64(c.off) + align - 1) / align * align
	var room uint64
	if start < uint64(len(c.data)) {
		room = uint64(len(c.data)) - start
	}
	for i, n := range infos {
		t := &p.tensors[i]
		if n.bytes > room || n.offset > room-n.bytes {
			c.failAt(n.at, fmt.Sprintf("tensor %.80q", t.Name),
				fmt.Sprintf("%d bytes at offset %d", n.bytes, n.offset), fmt.Sprintf("%d bytes of data in the file: is it cut off?", room))
			return
		}
		if n.bytes > 0 {
			from := start + n.offset
			t.Data = c.data[from : from+n.bytes : from+n.bytes]
		}
	}
	c.overlaps(p, infos)
}

func (c *cursor) overlaps(p *part, infos []info) {
	order := make([]int, 0, len(infos))
	for i, n := range infos {
		if n.bytes > 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(infos[a].offset, infos[b].offset) })
	for k := 1; k < len(order); k++ {
		a, b := infos[order[k-1]], infos[order[k]]
		if b.offset < a.offset+a.bytes {
			before, t := p.tensors[order[k-1]], p.tensors[order[k]]
			c.failAt(b.at, fmt.Sprintf("tensor %.80q", t.Name),
				fmt.Sprintf("data behind that of %.80q, which ends at offset %d", before.Name, a.offset+a.bytes), fmt.Sprintf("offset %d", b.offset))
			return
		}
	}
}
