// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package dot

const (
	lanes = 8
	fast  = false
)

func tile4x3(*[12]float32, *float32, *float32, int, int) {
	panic("dot: no assembly for this processor")
}

func tile4x1(*[4]float32, *float32, *float32, int, int) {
	panic("dot: no assembly for this processor")
}

func tile1x1(*float32, *float32, *float32, int) { panic("dot: no assembly for this processor") }

func descend(_, _, _, _ *float32, _ float32, _ uint32, _ int) {
	panic("dot: no assembly for this processor")
}

func reach(_, _, _, _, _ *float32, _, _ float32, _ uint32, _ int) {
	panic("dot: no assembly for this processor")
}

func collect(*int32, *float32, float32, int) int { panic("dot: no assembly for this processor") }

func rows4(*[4]float32, *[8]*float32, *float32, int) { panic("dot: no assembly for this processor") }

func largest(*float32, int) float32 { panic("dot: no assembly for this processor") }

func find(*float32, float32, int) int { panic("dot: no assembly for this processor") }
