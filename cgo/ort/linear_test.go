// SPDX-License-Identifier: Apache-2.0

//go:build cgo && (linux || darwin)

package ort_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/cgo/kernels"
	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/onnx"
	"github.com/trimtab/trimtab/models/quant"
)

// types are those whose stored rows the test can make; the places are those of the half-precision numbers of a block.
var types = map[kernels.Type][]int{kernels.F32: nil, kernels.F16: nil, kernels.Q4_0: {0}, kernels.Q4_1: {0, 2}, kernels.Q5_1: {0, 2}, kernels.Q8_0: {0}, kernels.Q4_K: {0, 2}, kernels.Q6_K: {208}}

// stored makes random rows as a file would hold them.
func stored(tb testing.TB, typ kernels.Type, n int) []byte {
	tb.Helper()
	size, err := quant.Bytes(quant.Type(typ), n)
	if err != nil {
		tb.Fatal(err)
	}
	b := make([]byte, size)
	r := rand.New(rand.NewPCG(uint64(typ), uint64(n)))
	switch typ {
	case kernels.F32:
		for i := range n {
			binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(float32(r.NormFloat64())))
		}
	case kernels.F16:
		for i := range n {
			binary.LittleEndian.PutUint16(b[2*i:], quant.F32ToF16(float32(r.NormFloat64())))
		}
	default:
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		_, block := quant.Type(typ).Block()
		for i := 0; i < size; i += block {
			for _, at := range types[typ] {
				binary.LittleEndian.PutUint16(b[i+at:], quant.F32ToF16(float32(r.NormFloat64())/64))
			}
		}
	}
	return b
}

func packed(tb testing.TB, typ kernels.Type, rows, cols int) kernels.Weight {
	tb.Helper()
	w := kernels.Weight{Type: typ, Rows: rows, Cols: cols, Data: make([]byte, kernels.PackedBytes(typ, rows, cols))}
	if err := kernels.Pack(w, kernels.Piece{Data: stored(tb, typ, rows*cols), Rows: rows}); err != nil {
		tb.Fatal(err)
	}
	return w
}

func dequantized(tb testing.TB, w kernels.Weight) []float32 {
	tb.Helper()
	out := make([]float32, w.Rows*w.Cols)
	if err := quant.Dequantize(out, quant.Type(w.Type), stored(tb, w.Type, len(out))); err != nil {
		tb.Fatal(err)
	}
	return out
}

func random(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 99))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// product is what cgo/kernels computes on one thread.
func product(tb testing.TB, x []float32, w kernels.Weight, m int) []float32 {
	tb.Helper()
	y := make([]float32, m*w.Rows)
	if err := kernels.Linear(y, x, w, m, make([]byte, kernels.ScratchBytes(w.Type, m, w.Cols)), 1); err != nil {
		tb.Fatal(err)
	}
	return y
}

func attributes(w kernels.Weight) []onnx.Attr {
	return []onnx.Attr{{Name: "type", Value: int(w.Type)}, {Name: "rows", Value: w.Rows}, {Name: "cols", Value: w.Cols}}
}

// linear is a graph of one operator, Linear or Row, over a weight of any length.
func linear(op string, w kernels.Weight, in onnx.DType) *onnx.Graph {
	g := &onnx.Graph{}
	shape := []onnx.Dim{onnx.Sym("a"), onnx.Sym("b")}
	if op == "Linear" {
		shape = append(shape, onnx.Sym("in"))
	}
	x := g.Input("x", in, shape...)
	g.Input("w", onnx.Uint8, onnx.Sym("bytes"))
	g.Output(g.Add(op, "trimtab", []string{x, "w"}, attributes(w)...), "y", onnx.Float, onnx.Sym("a"), onnx.Sym("b"), onnx.Sym("c"))
	return g
}

func TestLinear(t *testing.T) {
	load(t)
	const rows, cols = 200, 256
	for typ := range types {
		w := packed(t, typ, rows, cols)
		values64, shared := dequantized(t, w), bytesOf(t, w.Data)
		g := linear("Linear", w, onnx.Float)
		for _, threads := range []int{1, 2} {
			s := newSession(t, g, ort.Options{Threads: threads})
			for _, m := range []int{1, 3, 4, 37} { // 3 is the first on several threads, 4 the first whose inputs are rounded on several
				data := random(uint64(m), m*cols)
				x, _ := floats(t, data, 1, m, cols)
				y, got := floats(t, nil, 1, m, rows)
				if err := run(t, s, values{"x": x, "w": shared}, values{"y": y}); err != nil {
					t.Fatal(err)
				}
				if !sameBits(got, product(t, data, w, m)) {
					t.Errorf("type %d, %d rows, %d threads: other bits than cgo/kernels", typ, m, threads)
				}
				compareProduct(t, w, got, data, values64, m)
			}
		}
	}
}

// compareProduct holds y against x · Wᵀ in float64. Block-quantised weights round x to 8 bits in 32 columns: each value moves by at most half a step of
// 1/127 of the largest, 0.6 with the step's own rounding. The sum itself rounds by 1e-5 of its parts, of which minimums of K-quants make up to 60.
func compareProduct(t *testing.T, w kernels.Weight, y, x, weight []float32, m int) {
	t.Helper()
	exact := w.Type == kernels.F32 || w.Type == kernels.F16
	for i := range m {
		for r := range w.Rows {
			sum, bound, step := 0.0, 1e-6, 0.0
			for c := range w.Cols {
				if c%32 == 0 {
					step = 0
					for _, v := range x[i*w.Cols+c:][:32] {
						step = max(step, math.Abs(float64(v))/127)
					}
				}
				p, q := float64(x[i*w.Cols+c]), float64(weight[r*w.Cols+c])
				sum += p * q
				bound += 1e-5 * math.Abs(p*q)
				if !exact {
					bound += 0.6 * step * math.Abs(q)
				}
			}
			if d := math.Abs(float64(y[i*w.Rows+r]) - sum); !(d <= bound) {
				t.Fatalf("type %d: result %d of row %d is %v, want %v within %.1e", w.Type, r, i, y[i*w.Rows+r], sum, bound)
			}
		}
	}
}

func TestLinearOfNoRows(t *testing.T) {
	load(t)
	w := packed(t, kernels.Q4_0, 16, 32)
	x, _ := floats(t, nil, 1, 0, 32)
	y, _ := floats(t, nil, 1, 0, 16)
	if err := run(t, newSession(t, linear("Linear", w, onnx.Float), ort.Options{}), values{"x": x, "w": bytesOf(t, w.Data)}, values{"y": y}); err != nil {
		t.Error(err)
	}
}

func TestRow(t *testing.T) {
	load(t)
	const rows, cols = 50, 256
	for typ := range types {
		w := packed(t, typ, rows, cols)
		want := dequantized(t, w)
		s := newSession(t, linear("Row", w, onnx.Int64), ort.Options{})
		ids := []int64{0, 49, 17, 17, 48, 1}
		mem := alloc(t, 8*len(ids))
		copy(ort.Int64s(mem), ids)
		y, got := floats(t, nil, 2, 3, cols)
		if err := run(t, s, values{"x": value(t, mem, ort.Int64, 2, 3), "w": bytesOf(t, w.Data)}, values{"y": y}); err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			if !sameBits(got[i*cols:][:cols], want[int(id)*cols:][:cols]) {
				t.Errorf("type %d: row %d is not what the file means", typ, id)
			}
		}
	}
}

// TestLinearRefuses: what does not fit is an error of the run or of the session, and a session that refused a run works on.
func TestLinearRefuses(t *testing.T) {
	load(t)
	w := packed(t, kernels.Q4_0, 16, 64)
	whole := bytesOf(t, w.Data)
	short := bytesOf(t, w.Data[:len(w.Data)-1])
	good, _ := floats(t, nil, 1, 1, 64)
	y, _ := floats(t, nil, 1, 1, 16)
	s := newSession(t, linear("Linear", w, onnx.Float), ort.Options{})
	for _, c := range []struct {
		name, want string
		w          *ort.Value
		width      int
	}{{"narrow input", "another width", whole, 32}, {"wide input", "another width", whole, 65}, {"short weight", "shorter", short, 64}} {
		x, _ := floats(t, nil, 1, 1, c.width)
		if err := run(t, s, values{"x": x, "w": c.w}, values{"y": y}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Linear, %s: %v, want an error with %q", c.name, err, c.want)
		}
		if err := run(t, s, values{"x": good, "w": whole}, values{"y": y}); err != nil {
			t.Errorf("Linear, after %s: %v", c.name, err)
		}
	}
	embed, _ := floats(t, nil, 1, 1, 64)
	r := newSession(t, linear("Row", w, onnx.Int64), ort.Options{})
	for _, c := range []struct {
		name, want string
		w          *ort.Value
		id         int64
	}{
		{"negative id", "outside", whole, -1},
		{"id behind the last", "outside", whole, 16},
		{"large id", "outside", whole, math.MaxInt64},
		{"short weight", "shorter", short, 0},
	} {
		mem := alloc(t, 8)
		ort.Int64s(mem)[0] = c.id
		if err := run(t, r, values{"x": value(t, mem, ort.Int64, 1, 1), "w": c.w}, values{"y": embed}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Row, %s: %v, want an error with %q", c.name, err, c.want)
		}
	}
	for name, bad := range map[string]kernels.Weight{
		"unknown type":      {Type: 29, Rows: 16, Cols: 64},
		"no whole blocks":   {Type: kernels.Q4_0, Rows: 16, Cols: 48},
		"no rows":           {Type: kernels.Q4_0, Rows: 0, Cols: 64},
		"more than 32 bits": {Type: kernels.Q4_0, Rows: 1<<32 + 16, Cols: 64},
	} {
		if _, err := ort.NewSession(linear("Linear", bad, onnx.Float).Marshal(), ort.Options{}); err == nil || !strings.Contains(err.Error(), "no kernel") {
			t.Errorf("%s: %v, want an error of the session", name, err)
		}
	}
}
