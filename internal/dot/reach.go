// SPDX-License-Identifier: Apache-2.0

package dot

import "math"

// Group is how many numbers one top of [Reach] is of, and Chunk how many numbers have Lanes groups: group l of chunk c are the numbers
// c Chunk + l + Lanes t, t from 0 to Group-1.
const (
	Group = 8
	Lanes = 8
	Chunk = Group * Lanes
)

// Whole is the mask of Reach for sums as they are, Unsigned that for their absolute values.
const (
	Whole    = math.MaxUint32
	Unsigned = math.MaxUint32 >> 1
)

// Reach writes how large each a v + offset may be, with Unsigned its absolute value, where a v is within long slack of the truth, and the largest of each group to
// tops. v, offset, slack and upper are equally long, a multiple of Chunk; tops has a number a group.
func Reach(upper, tops, v, offset, slack []float32, a, long float32, mask uint32) {
	n := len(v)
	if len(upper) != n || len(offset) != n || len(slack) != n || n%Chunk != 0 || len(tops) != n/Group {
		panic("dot: Reach: lengths differ or are no chunks")
	}
	switch {
	case n == 0:
	case fast:
		reach(&upper[0], &tops[0], &v[0], &offset[0], &slack[0], a, long, mask, n/Chunk)
	default:
		reachPlain(upper, tops, v, offset, slack, a, long, mask)
	}
}

// reachPlain is the twin of the assembly, which rounds once less.
func reachPlain(upper, tops, v, offset, slack []float32, a, long float32, mask uint32) {
	for g := range tops {
		top := float32(math.Inf(-1))
		first := First(g)
		for i := first; i < first+Chunk; i += Lanes {
			product := a * v[i]
			sum := math.Float32frombits(math.Float32bits(product+offset[i]) & mask)
			// The last term is the rounding of the sum itself.
			upper[i] = sum + (long*slack[i] + 0x1p-22*(magnitude(product)+magnitude(offset[i])))
			top = max(top, upper[i])
		}
		tops[g] = top
	}
}

// First is the first number of a group; the others are each Lanes further.
func First(group int) int { return group/Lanes*Chunk + group%Lanes }

func magnitude(v float32) float32 { return math.Float32frombits(math.Float32bits(v) &^ (1 << 31)) }

// Collect returns the places of the numbers that are at least floor, in rising order, in the memory of dst, which has room for as many as there are numbers.
func Collect(dst []int32, v []float32, floor float32) []int32 {
	dst = dst[:len(v)]
	n, whole := 0, 0
	if whole = len(v) &^ (lanes - 1); fast && whole > 0 {
		n = collect(&dst[0], &v[0], floor, whole)
	} else {
		whole = 0
	}
	for i := whole; i < len(v); i++ {
		if v[i] >= floor {
			dst[n] = int32(i)
			n++
		}
	}
	return dst[:n]
}
