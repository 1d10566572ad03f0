// SPDX-License-Identifier: Apache-2.0

package gguf

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// maxName is the longest key or tensor name in bytes that the format allows (2^16-1, gguf.md).
const maxName = 1<<16 - 1

// cursor walks over a file's header. After the first error it stays where it is and every read returns zero, so that
// callers check err once a loop and not once a read.
type cursor struct {
	path string
	data []byte
	off  int
	err  error
}

func (c *cursor) fail(what, want, found string) { c.failAt(c.off, what, want, found) }

func (c *cursor) failAt(off int, what, want, found string) {
	if c.err == nil {
		c.err = &FormatError{Path: c.path, Offset: int64(off), What: what, Want: want, Found: found}
	}
}

// left is the number of bytes not yet read.
func (c *cursor) left() uint64 { return uint64(len(c.data) - c.off) }

// take returns the next n bytes, or nil after an error.
func (c *cursor) take(n uint64, what string) []byte {
	if c.err != nil {
		return nil
	}
	if n > c.left() {
		c.fail(what, fmt.Sprintf("%d bytes", n), fmt.Sprintf("the end of the file after %d", c.left()))
		return nil
	}
	b := c.data[c.off : c.off+int(n)]
	c.off += int(n)
	return b
}

func (c *cursor) u32(what string) uint32 {
	if b := c.take(4, what); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64(what string) uint64 {
	if b := c.take(8, what); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// count reads a number of things that take at least size bytes each.
func (c *cursor) count(size uint64, what string) int {
	n := c.u64(what)
	if c.err == nil && n > c.left()/size {
		c.fail(what, fmt.Sprintf("at most %d, for which there are bytes", c.left()/size), fmt.Sprint(n))
		return 0
	}
	return int(n)
}

// name reads the name of a key or a tensor: valid UTF-8, not empty, not over-long.
func (c *cursor) name(what string) string {
	n := c.u64(what)
	if n > maxName || n == 0 && c.err == nil {
		c.fail(what, fmt.Sprintf("1 to %d bytes", maxName), fmt.Sprint(n))
		return ""
	}
	b := c.take(n, what)
	if !utf8.Valid(b) {
		c.fail(what, "UTF-8", fmt.Sprintf("%.40q", b))
		return ""
	}
	return string(b)
}
