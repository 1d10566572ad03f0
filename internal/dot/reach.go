// SPDX-License-Identifier: Apache-2.0

package dot

import "math"

// Group is how many numbers one bound of [Reach] is of, and Chunk how many numbers have Lanes groups: group l of chunk c are the numbers
// c Chunk + l + Lanes t, t from 0 to Group-1.
const (
	Group = 8
	Lanes = 8
	Chunk = Group * Lanes
)

// Bound returns a v + offset, with signed its absolute value, and how far it may be off where v is within long slack / |a| of the truth: the last term is the
// rounding of the sum itself.
func Bound(v, offset, slack, a, long float32, mask uint32) (sum, off float32) {
	product := a * v
	sum = math.Float32frombits(math.Float32bits(product+offset) & mask)
	return sum, long*slack + 0x1p-22*(magnitude(product)+magnitude(offset))
}

func magnitude(v float32) float32 { return math.Float32frombits(math.Float32bits(v) &^ (1 << 31)) }

// Whole is the mask of Bound and Reach for sums as they are, Unsigned that for their absolute values.
const (
	Whole    = math.MaxUint32
	Unsigned = math.MaxUint32 >> 1
)

// Reach writes for each group the largest upper and the largest lower bound of its numbers. v, offset and slack are equally long, a multiple of Chunk; high and
// low have a number a group.
func Reach(high, low, v, offset, slack []float32, a, long float32, mask uint32) {
	n := len(v)
	if len(offset) != n || len(slack) != n || n%Chunk != 0 || len(high) != n/Group || len(low) != n/Group {
		panic("dot: Reach: lengths differ or are no chunks")
	}
	switch {
	case n == 0:
	case fast:
		reach(&high[0], &low[0], &v[0], &offset[0], &slack[0], a, long, mask, n/Chunk)
	default:
		reachPlain(high, low, v, offset, slack, a, long, mask)
	}
}

// reachPlain is the twin of the assembly, which rounds once less.
func reachPlain(high, low, v, offset, slack []float32, a, long float32, mask uint32) {
	for g := range high {
		high[g], low[g] = float32(math.Inf(-1)), float32(math.Inf(-1))
		first := g/Lanes*Chunk + g%Lanes
		for i := first; i < first+Chunk; i += Lanes {
			sum, off := Bound(v[i], offset[i], slack[i], a, long, mask)
			high[g], low[g] = max(high[g], sum+off), max(low[g], sum-off)
		}
	}
}
