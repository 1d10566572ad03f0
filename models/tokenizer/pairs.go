// SPDX-License-Identifier: Apache-2.0

package tokenizer

// pairs maps two adjacent token ids to the merge that joins them: an open-addressing table, twice as fast here as a map.
type pairs struct {
	slots []pairSlot
	mask  uint64
}

type pairSlot struct {
	key   uint64 // left+1 in the upper half, so that 0 is an empty slot
	merge merge
}

// merge is what joining two symbols gives; a lower rank is done first.
type merge struct{ rank, id int32 }

func newPairs(n int) *pairs {
	size := 16
	for size < 2*n {
		size *= 2
	}
	return &pairs{slots: make([]pairSlot, size), mask: uint64(size - 1)}
}

func pairKey(a, b int32) uint64 { return uint64(uint32(a)+1)<<32 | uint64(uint32(b)) }

// slot hashes by Fibonacci multiplication.
func (p *pairs) slot(key uint64) uint64 { return (key * 0x9E3779B97F4A7C15 >> 29) & p.mask }

// put keeps the first merge of a pair; it must not be called more often than newPairs was told.
func (p *pairs) put(a, b int32, m merge) {
	key := pairKey(a, b)
	i := p.slot(key)
	for p.slots[i].key != 0 {
		if p.slots[i].key == key {
			return
		}
		i = (i + 1) & p.mask
	}
	p.slots[i] = pairSlot{key, m}
}

func (p *pairs) get(a, b int32) (merge, bool) {
	key := pairKey(a, b)
	for i := p.slot(key); ; i = (i + 1) & p.mask {
		switch p.slots[i].key {
		case key:
			return p.slots[i].merge, true
		case 0:
			return merge{}, false
		}
	}
}
