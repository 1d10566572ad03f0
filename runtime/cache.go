// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"github.com/trimtab/trimtab/cgo/kernels"
	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/decoder"
)

// cache holds the keys and values of a session, in memory that attention writes in place.
type cache struct {
	kind     decoder.Cache
	capacity int // tokens
	heads    int
	dim      int
	memory   [][]byte // CacheORT: keys and values of block i at 2i and 2i+1, each [heads, capacity, dim]; else those of block i together at i
	values   []*ort.Value

	addresses []byte // those of memory, int64 each, for passes of several sequences
}

const firstCapacity = 256 // tokens; doubled as needed

func newCache(d *decoder.Description, kind decoder.Cache, tokens, most int) (*cache, error) {
	c := &cache{kind: kind, heads: d.KVHeads, dim: d.CacheDim(), capacity: min(firstCapacity, most)}
	for c.capacity < tokens {
		c.capacity = min(2*c.capacity, most)
	}
	buffers := d.Layers
	if kind == decoder.CacheORT {
		buffers *= 2
	}
	for range buffers {
		if err := c.addBuffer(); err != nil {
			c.close()
			return nil, err
		}
	}
	var err error
	if c.addresses, err = ort.Alloc(8 * buffers); err != nil {
		c.close()
		return nil, err
	}
	for i, mem := range c.memory {
		ort.Int64s(c.addresses)[i] = ort.Address(mem)
	}
	return c, nil
}

func (c *cache) addBuffer() error {
	mem, err := ort.Alloc(c.bytes(c.capacity))
	if err != nil {
		return err
	}
	c.memory = append(c.memory, mem)
	t, shape := ort.Float32, []int{1, c.heads, c.capacity, c.dim}
	if c.kind != decoder.CacheORT {
		t, shape = ort.Uint8, []int{len(mem)}
	}
	v, err := ort.NewValue(mem, t, shape...)
	c.values = append(c.values, v)
	return err
}

// bytes returns the size of one buffer for so many tokens.
func (c *cache) bytes(tokens int) int {
	if c.kind == decoder.CacheORT {
		return 4 * c.heads * tokens * c.dim
	}
	return kernels.CacheBytes(kernels.Type(c.kind.Type()), c.heads, c.dim, tokens)
}

// bind names the buffers of block i as inputs (and, where attention returns them, outputs) of a graph.
func (c *cache) bind(b *ort.Binding, i int) error {
	if c.kind != decoder.CacheORT {
		return b.Input(decoder.CacheName(i), c.values[i])
	}
	pastKey, pastValue, key, value := decoder.CacheNames(i)
	for _, x := range []struct {
		bind func(string, *ort.Value) error
		name string
		v    *ort.Value
	}{{b.Input, pastKey, c.values[2*i]}, {b.Input, pastValue, c.values[2*i+1]}, {b.Output, key, c.values[2*i]}, {b.Output, value, c.values[2*i+1]}} {
		if err := x.bind(x.name, x.v); err != nil {
			return err
		}
	}
	return nil
}

// copyFrom takes over the first tokens of another cache.
func (c *cache) copyFrom(old *cache, tokens int) {
	if tokens == 0 {
		return
	}
	if c.kind != decoder.CacheORT {
		// A cache of the project's own is a prefix of a longer one.
		for i, mem := range c.memory {
			copy(mem, old.memory[i][:c.bytes(tokens)])
		}
		return
	}
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
	ort.Free(c.addresses)
	c.values, c.memory, c.addresses = nil, nil, nil
}
