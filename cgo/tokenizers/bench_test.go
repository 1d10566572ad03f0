// SPDX-License-Identifier: Apache-2.0

package tokenizers_test

import (
	"testing"

	"github.com/trimtab/trimtab/models/tokenizer"
)

// BenchmarkEncode encodes the same lines through the library and in Go; divide by lines for the time of one.
func BenchmarkEncode(b *testing.B) {
	o := load(b, "fixtures/tokenizer/smollm2.tokenizer.json")
	e, data := engine(b, o)
	c, err := tokenizer.FromJSON(data, nil)
	if err != nil {
		b.Fatal(err)
	}
	lines := texts(b)
	for name, encode := range map[string]func([]int32, string, bool) []int32{"library": e.Encode, "go": c.Encode} {
		b.Run(name, func(b *testing.B) {
			var ids []int32
			for b.Loop() {
				for _, l := range lines {
					ids = encode(ids[:0], l, true)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(len(lines)), "µs/line")
		})
	}
}
