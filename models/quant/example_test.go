// SPDX-License-Identifier: Apache-2.0

package quant_test

import (
	"fmt"

	"github.com/trimtab/trimtab/models/quant"
)

func ExampleDequantize() {
	block := make([]byte, 34) // a half-precision scale, then 32 signed bytes
	scale := quant.F32ToF16(0.25)
	block[0], block[1] = byte(scale), byte(scale>>8)
	block[2], block[3] = 4, 0xff
	values := make([]float32, 32)
	err := quant.Dequantize(values, quant.Q8_0, block)
	fmt.Println(values[:3], err)
	// Output: [1 -0.25 0] <nil>
}
