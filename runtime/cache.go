// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"github.com/trimtab/trimtab/cgo/kernels"
	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/decoder"
)

// cache holds the keys and values of a session, in memory that attention writes in place.
type cache struct {
	device   *device // whose memory it is; nil is the processor's
	kind     decoder.Cache
	capacity int // tokens
	heads    int
	dim      int
	memory   [][]byte // ONNX Runtime's: keys and values of block i at 2i and 2i+1, each [heads, capacity, dim]; else those of block i together at i; none on a device
	values   []*ort.Value
}

const firstCapacity = 256 // tokens; doubled as needed

func newCache(d *decoder.Description, kind decoder.Cache, on *device, tokens, most int) (*cache, error) {
	c := &cache{device: on, kind: kind, heads: d.KVHeads, dim: d.CacheDim(), capacity: min(firstCapacity, most)}
	for c.capacity < tokens {
		c.capacity = min(2*c.capacity, most)
	}
	if on != nil {
		return c, nil // fill makes the tensors
	}
	for range c.buffers(d.Layers) {
		if err := c.addBuffer(); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// buffers is how many tensors so many blocks have.
func (c *cache) buffers(layers int) int {
	if c.kind.ORT() {
		return 2 * layers
	}
	return layers
}

// number is the type of ONNX Runtime's caches.
func (c *cache) number() ort.DType {
	if c.kind == decoder.CacheORTF16 {
		return ort.Float16
	}
	return ort.Float32
}

func (c *cache) addBuffer() error {
	mem, err := ort.Alloc(c.bytes(c.capacity))
	if err != nil {
		return err
	}
	c.memory = append(c.memory, mem)
	t, shape := c.number(), []int{1, c.heads, c.capacity, c.dim}
	if !c.kind.ORT() {
		t, shape = ort.Uint8, []int{len(mem)}
	}
	v, err := ort.NewValue(mem, t, shape...)
	c.values = append(c.values, v)
	return err
}

// bytes returns the size of one buffer for so many tokens.
func (c *cache) bytes(tokens int) int {
	if c.kind.ORT() {
		return c.number().Size() * c.heads * tokens * c.dim
	}
	return kernels.CacheBytes(kernels.Type(c.kind.Type()), c.heads, c.dim, tokens)
}

// bind names the buffers of block i as inputs (and, where attention returns them, outputs) of a graph.
func (c *cache) bind(b *ort.Binding, i int) error {
	if !c.kind.ORT() {
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

// fill makes the tensors of a device, with the tokens of a smaller cache in front where there is one.
func (c *cache) fill(layers int, old *cache) error {
	for i := range c.buffers(layers) {
		var v *ort.Value
		var err error
		if old != nil {
			v, err = c.device.grow(old.values[i], c.number(), c.heads, old.capacity, c.capacity, c.dim)
		} else {
			v, err = c.device.memory.NewValue(c.number(), 1, c.heads, c.capacity, c.dim)
		}
		if err != nil {
			return err
		}
		c.values = append(c.values, v)
	}
	return nil
}

// copyFrom takes over the first tokens of another cache.
func (c *cache) copyFrom(old *cache, tokens int) {
	if tokens == 0 {
		return
	}
	if !c.kind.ORT() {
		// A cache of the project's own is a prefix of a longer one.
		for i, mem := range c.memory {
			copy(mem, old.memory[i][:c.bytes(tokens)])
		}
		return
	}
	size := c.number().Size() * c.dim
	for i, mem := range c.memory {
		for h := range c.heads {
			copy(mem[h*c.capacity*size:][:tokens*size], old.memory[i][h*old.capacity*size:][:tokens*size])
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
