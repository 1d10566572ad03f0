// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/trimtab/trimtab/internal/dot"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/quant"
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

// BenchmarkProductCoder is one activation behind a graph that has made rough products: the quick way, and the plain one that looks at every feature.
func BenchmarkProductCoder(b *testing.B) {
	root := fixture.Path(b, "fixtures-dictionaries/smollm2-135m/topk-l14")
	d := open(b, root, Options{})
	x := openTable(b, filepath.Join(root, "reference.safetensors")).floats("activations")[:64*d.Form.In]
	for _, quick := range []bool{true, false} {
		b.Run(fmt.Sprintf("quick=%t", quick), func(b *testing.B) {
			coder := d.NewProductCoder()
			if !quick {
				coder.few = nil
			}
			slack, packed := inEightBits(b, d)
			var products [][]float32
			for i := range 64 {
				row, out := x[i*d.Form.In:][:d.Form.In], make([]float32, d.Form.N)
				dot.Products(out, row, packed, d.Form.In)
				products = append(products, out)
			}
			var code []Feature
			i, fresh := 0, 0
			for b.Loop() {
				code = coder.Encode(code[:0], x[i*d.Form.In:][:d.Form.In], products[i], slack)
				fresh += coder.Fresh()
				i = (i + 1) % 64
			}
			b.ReportMetric(float64(fresh)/float64(b.N), "fresh/op")
		})
	}
}

// inEightBits is the encoder as a model holds it, with what each row loses.
func inEightBits(tb testing.TB, d *Dictionary) (slack, packed []float32) {
	tb.Helper()
	f := d.Form
	slack, packed = make([]float32, f.N), make([]float32, f.N*f.In)
	blocks := make([]byte, f.In/32*34)
	for i := range slack {
		row, back := f.Enc[i*f.In:(i+1)*f.In], packed[i*f.In:(i+1)*f.In]
		quant.QuantiseQ8_0(blocks, row)
		if err := quant.Dequantize(back, quant.Q8_0, blocks); err != nil {
			tb.Fatal(err)
		}
		lost := 0.0
		for j, v := range row {
			lost += float64(v-back[j]) * float64(v-back[j])
		}
		slack[i] = float32(math.Sqrt(lost) + 1e-4*dot.Length(row))
	}
	return slack, packed
}

// realITDA opens the dictionary of 3,246 real atoms with its table and returns its reference activations.
func realITDA(tb testing.TB, k int) (d *Dictionary, x []float32) {
	tb.Helper()
	root := fixture.Path(tb, "fixtures-dictionaries/smollm2-135m/itda-l14")
	d = open(tb, root, Options{K: k})
	d.Prepare()
	return d, openTable(tb, filepath.Join(root, "reference.safetensors")).floats("X")
}

// BenchmarkPursuit compares signed matching pursuit over 4,096 atoms of width 576 (3,246 of them real), k = 40, with the loop c = D r of every round (ratio), and shows what it takes
// behind a graph that has made the first products: exactly, and in 8 bits.
func BenchmarkPursuit(b *testing.B) {
	const n, d, k = 4096, 576, 40
	real, x := realITDA(b, k)
	rows := append(slices.Clone(real.Form.Dec), unitDictionary(1, n-real.Form.N, d)...)
	dict := pursueFlat(b, rows, d, real.Form.Act.Pursuit)
	dict.Prepare()
	coder, behind := dict.NewCoder(), dict.NewProductCoder()
	inputs := make([][]float32, 64)
	products, rough := make([][]float32, len(inputs)), make([][]float32, len(inputs))
	slack := make([]float32, dict.Form.N)
	for i := range inputs {
		inputs[i] = x[i*d : (i+1)*d]
		products[i] = slices.Clone(coder.Products(inputs[i]))
		rough[i] = roughened(uint64(i), products[i], slack, inputs[i])
	}
	code := make([]Feature, 0, n)
	each := func(f func(i int)) float64 {
		start := time.Now()
		for i := range inputs {
			f(i)
		}
		return float64(time.Since(start).Microseconds()) / float64(len(inputs))
	}
	for b.Loop() {
		plain := each(func(i int) { code = plainLoop(code[:0], dict.Form.Dec, inputs[i], k) })
		whole := each(func(i int) { code = coder.Encode(code[:0], inputs[i]) })
		b.ReportMetric(plain/whole, "ratio")
		b.ReportMetric(plain, "plain-us")
		b.ReportMetric(whole, "encode-us")
		b.ReportMetric(each(func(i int) { code = coder.Select(code[:0], inputs[i], products[i]) }), "select-us")
		b.ReportMetric(each(func(i int) { code = behind.Encode(code[:0], inputs[i], rough[i], slack) }), "within-us")
	}
}

// plainLoop is the pursuit as it is written down (algorithm 2 of arXiv 2505.17769): all products in every round, in single precision.
func plainLoop(dst []Feature, m, x []float32, k int) []Feature {
	d := len(x)
	r, c := slices.Clone(x), make([]float32, len(m)/d)
	for range k {
		multiply(c, m, r)
		at := 0
		for i, v := range c {
			if max(v, -v) > max(c[at], -c[at]) {
				at = i
			}
		}
		z := c[at]
		addScaled(r, -z, m[at*d:(at+1)*d])
		dst = append(dst, Feature{int32(at), z})
	}
	return dst
}
