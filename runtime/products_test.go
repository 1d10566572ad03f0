// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"math"
	"testing"
)

func TestProducts(t *testing.T) {
	tiny(t, Config{}) // brings the library
	p, err := NewProducts(2)
	if err != nil {
		t.Fatal(err)
	}
	const most, features, width = 19, 33, 24
	y, _ := p.Floats(most * features)
	x, _ := p.Floats(most * width)
	w, err := p.Floats(features * width)
	if err != nil {
		t.Fatal(err)
	}
	copy(x, direction(len(x), 1))
	for round, rows := range []int{most, 7, most} {
		copy(w, direction(len(w), uint64(round)))
		if err := p.Multiply(y, x, w, rows, features, width); err != nil {
			t.Fatal(err)
		}
		for i := range rows * features {
			want := 0.0
			for j := range width {
				want += float64(x[i/features*width+j]) * float64(w[i%features*width+j])
			}
			// Sums of 24 products of numbers around 1, in single precision.
			if math.Abs(float64(y[i])-want) > 1e-5 {
				t.Fatalf("%d rows: y[%d] = %g, want %g", rows, i, y[i], want)
			}
		}
	}
	if err := p.Multiply(make([]float32, most*features), x, w, most, features, width); err == nil {
		t.Error("Multiply into other memory succeeded")
	}
	if first, again := p.Close(), p.Close(); first != nil || again != nil || p.Multiply(y, x, w, 1, features, width) == nil {
		t.Error("Close, Close, Multiply: want no errors, then one")
	}
}

func BenchmarkProducts(b *testing.B) {
	tiny(b, Config{})
	p, err := NewProducts(2)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	const rows, features, width = 256, 4608, 576
	y, _ := p.Floats(rows * features)
	x, _ := p.Floats(rows * width)
	w, _ := p.Floats(features * width)
	for b.Loop() {
		if err := p.Multiply(y, x, w, rows, features, width); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(2*rows*features*width*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
