// SPDX-License-Identifier: Apache-2.0

package dot

import "math"

// Block is how many numbers one ceiling of [Descend] is of.
const Block = 64

// Descend is c += a v, and writes for each block of c the largest of c + rough, with signed the largest of |c| + rough: what a greedy search over c needs
// to look at few of its numbers. All lengths are multiples of Block; tops has one number a block.
func Descend(tops, c, rough []float32, a float32, v []float32, signed bool) {
	if len(c) != len(rough) || len(c) != len(v) || len(c) != Block*len(tops) {
		panic("dot: Descend: lengths differ or are no blocks")
	}
	mask := uint32(math.MaxUint32)
	if signed {
		mask >>= 1
	}
	switch {
	case len(tops) == 0:
	case fast:
		descend(&tops[0], &c[0], &rough[0], &v[0], a, mask, len(tops))
	default:
		descendPlain(tops, c, rough, a, v, mask)
	}
}

// descendPlain is the twin of the assembly; it rounds a v before it is added.
func descendPlain(tops, c, rough []float32, a float32, v []float32, mask uint32) {
	for b := range tops {
		top := float32(math.Inf(-1))
		from, to := b*Block, (b+1)*Block
		cs, rs, vs := c[from:to], rough[from:to], v[from:to]
		for i, x := range cs {
			x += a * vs[i]
			cs[i] = x
			// Signs are random, and a branch on them is slow.
			if u := math.Float32frombits(math.Float32bits(x)&mask) + rs[i]; u > top {
				top = u
			}
		}
		tops[b] = top
	}
}
