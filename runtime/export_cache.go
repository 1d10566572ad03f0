// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/export"
)

// exportCache is what an export keeps from pass to pass for one session.
type exportCache struct {
	capacity int // tokens
	length   int // tokens that the buffers hold; more than the session's where some were dropped
	states   []exportState
}

// exportState is one cache input. Unless attention writes in place, each pass reads one buffer and writes the other, and then they change places.
type exportState struct {
	export.State
	memory [2][]byte
	value  *ort.Value // of a shared buffer
}

func newExportCache(states []export.State, capacity int) (*exportCache, error) {
	c := &exportCache{capacity: capacity, states: make([]exportState, len(states))}
	for i := range states {
		st := &c.states[i]
		st.State = states[i]
		for j := range st.memory {
			if j == 1 && st.Shared {
				break
			}
			mem, err := ort.Alloc(max(st.bytes(capacity), 1))
			if err != nil {
				c.close()
				return nil, err
			}
			st.memory[j] = mem
		}
		if !st.Shared {
			continue
		}
		var err error
		if st.value, err = st.tensor(0, capacity); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// blocks returns how often the tokens of a state repeat, and the bytes of one token in one of them.
func (st *exportState) blocks() (n, size int) {
	n, size = 1, ort.DType(st.Type).Size()
	for i, d := range st.Shape {
		switch {
		case i < st.Past:
			n *= d
		case i > st.Past:
			size *= d
		}
	}
	return n, size
}

// bytes is the size of a buffer for so many tokens.
func (st *exportState) bytes(tokens int) int {
	n, size := st.blocks()
	if st.Past < 0 {
		return size
	}
	return n * size * tokens
}

// tensor shows a buffer with room for so many tokens.
func (st *exportState) tensor(j, tokens int) (*ort.Value, error) {
	var dims [8]int
	shape := append(dims[:0], st.Shape...)
	if st.Past >= 0 {
		shape[st.Past] = tokens
	}
	return ort.NewValue(st.memory[j], ort.DType(st.Type), shape...)
}

// shorten drops all tokens but the first n.
func (c *exportCache) shorten(n int) {
	for i := range c.states {
		st := &c.states[i]
		switch {
		case st.Past < 0:
			if n == 0 {
				clear(st.memory[0])
			}
		case !st.Shared && n < c.length:
			st.copyBlocks(st.memory[0], st.memory[0], n, c.length, n)
		}
	}
	c.length = n
}

// copyBlocks copies n tokens of each block; to and from are the tokens that a block has room for. Blocks only move towards the front where both are one buffer.
func (st *exportState) copyBlocks(dst, src []byte, to, from, n int) {
	blocks, size := st.blocks()
	for b := range blocks {
		copy(dst[b*to*size:][:n*size], src[b*from*size:][:n*size])
	}
}

// copyFrom takes over the tokens of a smaller cache.
func (c *exportCache) copyFrom(old *exportCache) {
	for i := range c.states {
		st, from := &c.states[i], &old.states[i]
		if st.Shared {
			st.copyBlocks(st.memory[0], from.memory[0], c.capacity, old.capacity, old.length)
		} else {
			copy(st.memory[0], from.memory[0])
		}
	}
	c.length = old.length
}

// swap makes what a pass wrote the input of the next.
func (c *exportCache) swap(length int) {
	for i := range c.states {
		if st := &c.states[i]; !st.Shared {
			st.memory[0], st.memory[1] = st.memory[1], st.memory[0]
		}
	}
	c.length = length
}

func (c *exportCache) close() {
	if c == nil {
		return
	}
	for i := range c.states {
		c.states[i].value.Close()
		for _, m := range c.states[i].memory {
			ort.Free(m)
		}
	}
	c.states = nil
}

func (x *exportNetwork) fork(from, to *Session) (err error) {
	if from.export == nil {
		return nil
	}
	if to.export, err = newExportCache(x.from.Main.States, from.export.capacity); err != nil {
		return err
	}
	to.export.copyFrom(from.export)
	return nil
}

// reserve doubles the room until n tokens fit.
func (x *exportNetwork) reserve(s *Session, n int) error {
	if s.export != nil && n <= s.export.capacity {
		return nil
	}
	capacity := min(firstCapacity, x.config.Context)
	for capacity < n {
		capacity = min(2*capacity, x.config.Context)
	}
	c, err := newExportCache(x.from.Main.States, capacity)
	if err != nil {
		return err
	}
	if s.export != nil {
		c.copyFrom(s.export)
	}
	s.dropFeeds()
	s.export.close()
	s.export = c
	return nil
}
