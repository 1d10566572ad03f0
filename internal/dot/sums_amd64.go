// SPDX-License-Identifier: Apache-2.0

package dot

import "golang.org/x/sys/cpu"

// lanes is how many numbers a register of the assembly holds.
const lanes = 8

var fast = cpu.X86.HasAVX2 && cpu.X86.HasFMA

// tile4x3 writes the products of four rows of a with three of b, row by row. Rows are stride bytes apart and n numbers long, n a multiple of lanes.
//
//go:noescape
func tile4x3(dst *[12]float32, a, b *float32, stride, n int)

// tile4x1 writes the products of four rows of a with one of b.
//
//go:noescape
func tile4x1(dst *[4]float32, a, b *float32, stride, n int)

// tile1x1 writes the product of one row with another.
//
//go:noescape
func tile1x1(dst, a, b *float32, n int)

// descend is [Descend] over a number of blocks; mask keeps the bits of a number that count.
//
//go:noescape
func descend(tops, c, rough, v *float32, a float32, mask uint32, blocks int)

// reach is [Reach] over a number of chunks; mask keeps the bits of a sum that count.
//
//go:noescape
func reach(upper, tops, v, offset, slack *float32, a, long float32, mask uint32, chunks int)

// collect is [Collect] of n numbers, a multiple of lanes; it returns how many it found.
//
//go:noescape
func collect(dst *int32, v *float32, floor float32, n int) int

// rows4 writes the products of x with the first four rows, n numbers long, a multiple of lanes, and asks for the memory of the other four.
//
//go:noescape
func rows4(dst *[4]float32, at *[8]*float32, x *float32, n int)

// largest returns the largest of n numbers, a multiple of lanes; minus infinity where there is none.
//
//go:noescape
func largest(v *float32, n int) float32

// find returns the place of the first of n numbers that equals x, n a multiple of lanes; -1 where none does.
//
//go:noescape
func find(v *float32, x float32, n int) int
