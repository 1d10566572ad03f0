// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"sync"

	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/decoder"
)

// ropeTable holds cosines and sines by position for all sessions of a model; a longer table replaces a shorter one, which lives on until close for those who use it.
type ropeTable struct {
	mu     sync.Mutex
	rope   *decoder.Rope
	device *device // where tables stand; nil is the processor's memory
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
	}
	t.rope.Table(ort.Floats(v.memory[0]), ort.Floats(v.memory[1]), 0, n)
	for i, mem := range v.memory {
		var err error
		if v.values[i], err = t.device.hold(mem, ort.Float32, n, half); err != nil {
			v.free()
			return nil, err
		}
	}
	t.tables = append(t.tables, v)
	return v, nil
}

func (v *ropeValues) free() {
	for i := range v.values {
		v.values[i].Close()
		ort.Free(v.memory[i])
	}
}

func (t *ropeTable) close() {
	for _, v := range t.tables {
		v.free()
	}
	t.tables = nil
}
