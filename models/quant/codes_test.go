// SPDX-License-Identifier: Apache-2.0

package quant

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestCodesStandForTheBlocksValues holds that codes, scales and minimums of random blocks give the very bits of Dequantize.
func TestCodesStandForTheBlocksValues(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for typ, coding := range codings {
		elements, size := typ.Block()
		block, want := make([]byte, size), make([]float32, elements)
		var c Codes
		for range 200 {
			for i := range block {
				block[i] = byte(r.Uint32())
			}
			if err := Dequantize(want, typ, block); err != nil {
				t.Fatal(err)
			}
			c.ReadCodes(typ, block)
			c.ReadScales(typ, block)
			for i, w := range want {
				g := i / coding.Group
				got := c.Scale[g] * float32(int(c.Code[i])-coding.Offset)
				if coding.Minimums {
					got = float32(c.Scale[g]*float32(c.Code[i])) + c.Minimum[g]
				}
				if math.Float32bits(got) != math.Float32bits(w) && got == got {
					t.Fatalf("%s: element %d is %v, want %v", typ, i, got, w)
				}
				if int(c.Code[i]) >= 1<<coding.Bits {
					t.Fatalf("%s: code %d of %d bits", typ, c.Code[i], coding.Bits)
				}
			}
		}
	}
}
