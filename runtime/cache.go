// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"sync"

	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/decoder"
)

// cache holds the keys and values of a session: for each block two buffers [kv heads, capacity, head dimension] that attention writes in place.
type cache struct {
	capacity int
	heads    int
	dim      int
	memory   [][]byte // keys and values of block i at 2i and 2i+1
	values   []*ort.Value
}

const firstCapacity = 256 // tokens; doubled as needed

func newCache(d *decoder.Description, tokens, most int) (*cache, error) {
	c := &cache{heads: d.KVHeads, dim: d.HeadDim, capacity: min(firstCapacity, most)}
	for c.capacity < tokens {
		c.capacity = min(2*c.capacity, most)
	}
	for range 2 * d.Layers {
		mem, err := ort.Alloc(4 * c.heads * c.capacity * c.dim)
		if err != nil {
			c.close()
			return nil, err
		}
		c.memory = append(c.memory, mem)
		v, err := ort.NewValue(mem, ort.Float32, 1, c.heads, c.capacity, c.dim)
		if err != nil {
			c.close()
			return nil, err
		}
		c.values = append(c.values, v)
	}
	return c, nil
}

// copyFrom takes over the first tokens of another cache.
func (c *cache) copyFrom(old *cache, tokens int) {
	n := tokens * c.dim
	for i, mem := range c.memory {
		dst, src := ort.Floats(mem), ort.Floats(old.memory[i])
		for h := range c.heads {
			copy(dst[h*c.capacity*c.dim:][:n], src[h*old.capacity*c.dim:][:n])
		}
	}
}

func (c *cache) close() {
	if c == nil {
		return
	}
	for _, v := range c.values {
		v.Close()
	}
	for _, m := range c.memory {
		ort.Free(m)
	}
	c.values, c.memory = nil, nil
}

// ropeTable holds cosines and sines by position for all sessions of a model; a longer table replaces a shorter one, which lives on until close for those who use it.
type ropeTable struct {
	mu     sync.Mutex
	rope   *decoder.Rope
	tables []*ropeValues
}

type ropeValues struct {
	positions int
	memory    [2][]byte
	values    [2]*ort.Value
}

// upTo returns a table of at least n positions.
func (t *ropeTable) upTo(n int) (*ropeValues, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.tables) > 0 && t.tables[len(t.tables)-1].positions >= n {
		return t.tables[len(t.tables)-1], nil
	}
	half := t.rope.Dims / 2
	v := &ropeValues{positions: n}
	for i := range v.memory {
		mem, err := ort.Alloc(4 * n * half)
		if err != nil {
			return nil, err
		}
		v.memory[i] = mem
		if v.values[i], err = ort.NewValue(mem, ort.Float32, n, half); err != nil {
			return nil, err
		}
	}
	t.rope.Table(ort.Floats(v.memory[0]), ort.Floats(v.memory[1]), 0, n)
	t.tables = append(t.tables, v)
	return v, nil
}

func (t *ropeTable) close() {
	for _, v := range t.tables {
		for i := range v.memory {
			v.values[i].Close()
			ort.Free(v.memory[i])
		}
	}
	t.tables = nil
}
