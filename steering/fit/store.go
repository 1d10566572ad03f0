// SPDX-License-Identifier: Apache-2.0

package fit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
)

// store keeps the rows of one side in blocks, in which the rows of a site lie one behind the other. Full blocks go to a file.
type store struct {
	sites, width, rows int // rows of a site in a block
	count              int
	last               []float32 // the block that is being filled
	file               *os.File  // the full ones; nil before there is one
}

func (t *store) add(rows [][]float32) error {
	i := t.count % t.rows
	switch {
	case t.count == 0:
		t.last = make([]float32, t.sites*t.rows*t.width)
	case i == 0:
		if err := t.spill(); err != nil {
			return fmt.Errorf("fit: samples: %w", err)
		}
	}
	for site, row := range rows {
		copy(t.last[(site*t.rows+i)*t.width:], row)
	}
	t.count++
	return nil
}

func (t *store) spill() (err error) {
	if t.file == nil {
		if t.file, err = os.CreateTemp("", "trimtab-fit-*"); err != nil {
			return err
		}
	}
	return binary.Write(t.file, binary.LittleEndian, t.last)
}

func (t *store) close() error {
	if t.file == nil {
		return nil
	}
	return errors.Join(t.file.Close(), os.Remove(t.file.Name()))
}

// cursor reads the rows of one site in order; each goroutine has its own.
type cursor struct {
	*store
	site  int
	block int // in rows and raw; -1 before the first
	raw   []byte
	chunk []float32
}

func (t *store) at(site int) *cursor { return &cursor{store: t, site: site, block: -1} }

// row returns row i, BORROWED until the next call.
func (c *cursor) row(i int) ([]float32, error) {
	if err := c.load(i / c.rows); err != nil {
		return nil, fmt.Errorf("fit: samples: %w", err)
	}
	at := i % c.rows * c.width
	return c.chunk[at : at+c.width], nil
}

func (c *cursor) load(block int) error {
	if block == c.block {
		return nil
	}
	n := c.rows * c.width
	c.block = block
	if block == (c.count-1)/c.rows {
		c.chunk = c.last[c.site*n : (c.site+1)*n]
		return nil
	}
	if c.raw == nil {
		c.raw = make([]byte, 4*n)
	}
	if _, err := c.file.ReadAt(c.raw, int64(4*n)*int64(block*c.sites+c.site)); err != nil {
		return err
	}
	c.chunk = make([]float32, n)
	for i := range c.chunk {
		c.chunk[i] = math.Float32frombits(binary.LittleEndian.Uint32(c.raw[4*i:]))
	}
	return nil
}
