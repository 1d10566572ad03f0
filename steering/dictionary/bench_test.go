// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"path/filepath"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
)

// BenchmarkEncode is one activation of SmolLM2-135M-Instruct with real dictionaries.
func BenchmarkEncode(b *testing.B) {
	for _, c := range []struct {
		name, folder, tensor string
		k                    int
		plain                bool // without the table of products between atoms
	}{
		{name: "topk-4608", folder: "topk-l14", tensor: "activations"},
		{name: "matryoshka-2304", folder: "matryoshka-l14", tensor: "activations"},
		{name: "itda-3246-k8", folder: "itda-l14", tensor: "X", k: 8},
		{name: "itda-3246-k40", folder: "itda-l14", tensor: "X", k: 40},
		{name: "itda-3246-k40-plain", folder: "itda-l14", tensor: "X", k: 40, plain: true},
	} {
		b.Run(c.name, func(b *testing.B) {
			root := fixture.Path(b, "fixtures-dictionaries/smollm2-135m/"+c.folder)
			d := open(b, root, Options{K: c.k})
			if c.plain {
				d.gram.used.Store(gramBudget)
			}
			x := openTable(b, filepath.Join(root, "reference.safetensors")).floats(c.tensor)
			coder, width := d.NewCoder(), d.Form.In
			code := make([]Feature, 0, d.Form.N)
			rows := len(x) / width
			for i := range rows { // fills the table
				code = coder.Encode(code[:0], x[i*width:(i+1)*width])
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				code = coder.Encode(code[:0], x[i*width:(i+1)*width])
				i = (i + 1) % rows
			}
		})
	}
}
