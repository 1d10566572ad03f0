// SPDX-License-Identifier: Apache-2.0

package fit_test

import (
	"context"
	"fmt"
	"log"

	"github.com/trimtab/trimtab/steering/fit"
)

// Texts of two kinds that differ along the first of three numbers, read at one site.
func Example() {
	s, err := fit.NewSamples(1, 3)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	for i := range 10 {
		x := float32(i%4) - 2
		for side, row := range [][]float32{fit.Positive: {3, x, 1}, fit.Negative: {1, x, 1}} {
			if err := s.Add(fit.Side(side), [][]float32{row}); err != nil {
				log.Fatal(err)
			}
		}
	}
	layers, err := fit.Layers(context.Background(), s, fit.Options{Methods: []fit.Method{fit.DiffMean}})
	if err != nil {
		log.Fatal(err)
	}
	found := layers[0].Of(fit.DiffMean)
	fmt.Println(found.Vector, found.AUROC)
	// Output: [2 0 0] 1
}
