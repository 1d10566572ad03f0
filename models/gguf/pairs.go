// SPDX-License-Identifier: Apache-2.0

package gguf

import (
	"fmt"
	"slices"
)

// pairs reads the metadata. It walks over the values in place, then copies all of them at once: strings are parts of
// that one copy, so that a vocabulary costs one allocation.
func (c *cursor) pairs(m *Meta, n int) {
	type span struct{ from, to int }
	if c.err != nil {
		return
	}
	spans := make([]span, 0, n) // n is at most what the file has bytes for
	m.keys = make([]string, 0, n)
	m.values = make(map[string]Value, n)
	start := c.off
	for range n {
		key := c.name("metadata key")
		what := fmt.Sprintf("key %.80q", key)
		if _, twice := m.values[key]; twice {
			c.fail(what, "each key once", "it twice")
		}
		v, from := c.value(what)
		if c.err != nil {
			return
		}
		m.keys = append(m.keys, key)
		m.values[key] = v
		spans = append(spans, span{from - start, c.off - start})
	}
	text := string(c.data[start:c.off])
	for i, key := range m.keys {
		v := m.values[key]
		v.text = text[spans[i].from:spans[i].to]
		m.values[key] = v
	}
}

// kind reads the number of a type and refuses those that the format does not know.
func (c *cursor) kind(what string) Kind {
	at := c.off
	k := Kind(c.u32(what))
	if !k.known() {
		c.failAt(at, what, "a value of kind 0 to 12", k.String())
		return 0
	}
	return k
}

// value walks over one value and returns it without its text, which starts at from and ends at the cursor.
func (c *cursor) value(what string) (v Value, from int) {
	v.Kind = c.kind(what)
	switch v.Kind {
	case Array:
		v.Elem, v.Len, from = c.array(what, 1)
	case String:
		n := c.u64(what)
		from = c.off
		c.take(n, what)
	default:
		from = c.off
		c.fixed(v.Kind, 1, what)
	}
	return v, from
}

// array walks over an array that lies depth arrays deep, itself included. from is where its elements start.
func (c *cursor) array(what string, depth int) (elem Kind, n, from int) {
	if depth > maxNesting {
		c.fail(what, fmt.Sprintf("at most %d arrays in one another", maxNesting), "more")
	}
	elem = c.kind(what)
	n = c.count(minBytes(elem), what)
	from = c.off
	if elem != String && elem != Array {
		c.fixed(elem, n, what)
		return elem, n, from
	}
	for i := 0; i < n && c.err == nil; i++ {
		if elem == Array {
			c.array(what, depth+1)
			continue
		}
		size := c.u64(what)
		c.take(size, what)
	}
	return elem, n, from
}

// fixed walks over n numbers or bools. A bool is 0 or 1, anything else is invalid (gguf.md).
func (c *cursor) fixed(k Kind, n int, what string) {
	b := c.take(uint64(n)*uint64(kinds[k].size), what)
	if k != Bool {
		return
	}
	if i := slices.IndexFunc(b, func(x byte) bool { return x > 1 }); i >= 0 {
		c.fail(what, "a bool of 0 or 1", fmt.Sprint(b[i]))
	}
}
