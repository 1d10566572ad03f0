// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package kernels

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/gguf"
	"github.com/trimtab/trimtab/models/quant"
)

var allTypes = []Type{F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q6_0, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K}

// isas are the instruction sets of this processor, plain first.
func isas() []string {
	var has []string
	for _, name := range []string{"plain", "avx2", "avxvnni", "avx512vnni", "neon"} {
		if Select(name) == nil {
			has = append(has, name)
		}
	}
	_ = Select("")
	return has
}

func selectISA(tb testing.TB, name string) {
	tb.Helper()
	if err := Select(name); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = Select("") })
}

func isFloat(t Type) bool { return t == F32 || t == F16 || t == BF16 }

// scaleAt says where a stored block keeps its half-precision numbers.
var scaleAt = map[Type][]int{
	Q4_0: {0}, Q4_1: {0, 2}, Q5_0: {0}, Q5_1: {0, 2}, Q6_0: {0}, Q8_0: {0}, Q2_K: {80, 82}, Q3_K: {108}, Q4_K: {0, 2}, Q5_K: {0, 2}, Q6_K: {208},
}

// stored makes random rows as a file would hold them. Scales are halves of 2^lowExp to 2^(highExp+1), of either sign.
func stored(r *rand.Rand, t Type, rows, cols, lowExp, highExp int) []byte {
	n, err := quant.Bytes(quant.Type(t), rows*cols)
	if err != nil {
		panic(err)
	}
	b := make([]byte, n)
	half := func() uint16 {
		return uint16(r.IntN(2)<<15 | (lowExp+15+r.IntN(highExp-lowExp+1))<<10 | r.IntN(1024))
	}
	if isFloat(t) {
		for i := range rows * cols {
			v := quant.F16ToF32(half())
			switch t {
			case F32:
				binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v*1.0001))
			case F16:
				binary.LittleEndian.PutUint16(b[2*i:], quant.F32ToF16(v))
			default:
				binary.LittleEndian.PutUint16(b[2*i:], quant.F32ToBF16(v))
			}
		}
		return b
	}
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	_, size := quant.Type(t).Block()
	for i := 0; i < n; i += size {
		for _, at := range scaleAt[t] {
			binary.LittleEndian.PutUint16(b[i+at:], half())
		}
	}
	return b
}

func packed(tb testing.TB, t Type, rows, cols int, pieces ...Piece) Weight {
	tb.Helper()
	w := Weight{Type: t, Rows: rows, Cols: cols, Data: make([]byte, PackedBytes(t, rows, cols))}
	if err := Pack(w, pieces...); err != nil {
		tb.Fatal(err)
	}
	return w
}

func dequantized(tb testing.TB, t Type, src []byte, n int) []float32 {
	tb.Helper()
	dst := make([]float32, n)
	if err := quant.Dequantize(dst, quant.Type(t), src); err != nil {
		tb.Fatal(err)
	}
	return dst
}

func inputs(r *rand.Rand, n int, scale float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * scale)
	}
	return x
}

func product(tb testing.TB, x []float32, w Weight, m, threads int) []float32 {
	tb.Helper()
	y := make([]float32, m*w.Rows)
	if err := Linear(y, x, w, m, make([]byte, ScratchBytes(w.Type, m, w.Cols)), threads); err != nil {
		tb.Fatal(err)
	}
	return y
}

// rounded is what the kernels make of inputs: 16 bits per 32 columns in two bytes, the second for what the first leaves over. Written anew here, from
// the definition.
func rounded(x []float32, _ int) []float64 {
	out := make([]float64, len(x))
	for i := 0; i < len(x); i += 32 {
		top := float32(0)
		for _, v := range x[i : i+32] {
			top = max(top, float32(math.Abs(float64(v))))
		}
		if top == 0 {
			continue
		}
		dx := top / (127 * 254)
		for c, v := range x[i : i+32] {
			high := math.RoundToEven(float64(v * (127 / top)))
			low := math.RoundToEven(float64((v - 254*dx*float32(high)) * (254 * (127 / top))))
			out[i+c] = (254*high + low) * float64(dx)
		}
	}
	return out
}

// reference is x W^T in float64 and the sum of magnitudes that a rounding error of each result is measured by.
func reference(x []float64, w []float32, m, rows, cols int) (y, size []float64) {
	y, size = make([]float64, m*rows), make([]float64, m*rows)
	for i := range m {
		for r := range rows {
			for c := range cols {
				p := x[i*cols+c] * float64(w[r*cols+c])
				y[i*rows+r] += p
				size[i*rows+r] += math.Abs(p)
			}
		}
	}
	return y, size
}

func wide(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

func fits8(t Type, cols int) bool {
	elements, _ := quant.Type(t).Block()
	return cols%elements == 0
}

func TestPlainAgainstFloat64(t *testing.T) {
	selectISA(t, "plain")
	r := rand.New(rand.NewPCG(1, 2))
	for _, typ := range allTypes {
		for _, shape := range [][3]int{{17, 256, 3}, {1, 512, 1}, {48, 96, 2}, {5, 576, 1}, {16, 33, 2}, {3, 1536, 1}, {2, 8960, 1}} {
			rows, cols, m := shape[0], shape[1], shape[2]
			if !fits8(typ, cols) {
				continue
			}
			src := stored(r, typ, rows, cols, -8, -3)
			w := packed(t, typ, rows, cols, Piece{Data: src, Rows: rows})
			x := inputs(r, m*cols, 1)
			in := wide(x)
			if !isFloat(typ) {
				in = rounded(x, cols)
			}
			want, size := reference(in, dequantized(t, typ, src, rows*cols), m, rows, cols)
			for i, got := range product(t, x, w, m, 1) {
				// A sum of cols/32 terms in f32, each rounded a few times (floats: cols terms): well below 2^-24 * sqrt(terms) * size.
				// K-quants' minimums may cancel codes, so the size that counts is up to 60 times the values'.
				if math.Abs(float64(got)-want[i]) > 1e-5*size[i] {
					t.Fatalf("type %d [%d, %d] result %d: %v, want %v", typ, rows, cols, i, got, want[i])
				}
			}
		}
	}
}

func TestISAsAgainstPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, typ := range allTypes {
		for _, shape := range [][3]int{{17, 256, 1}, {40, 768, 7}, {129, 512, 37}, {16, 64, 2}, {33, 576, 1}, {200, 96, 19}, {3, 1, 1}, {18, 45, 5}, {2, 8960, 1}} {
			rows, cols, m := shape[0], shape[1], shape[2]
			if !fits8(typ, cols) {
				continue
			}
			src := stored(r, typ, rows, cols, -8, -3)
			w := packed(t, typ, rows, cols, Piece{Data: src, Rows: rows})
			x := inputs(r, m*cols, 1)
			_, size := reference(wide(x), dequantized(t, typ, src, rows*cols), m, rows, cols)
			var plain, fast []float32
			for _, isa := range isas() {
				selectISA(t, isa)
				y := product(t, x, w, m, 1)
				if isa == "plain" {
					plain = y
					continue
				}
				for i := range y {
					// The same operations in the same order, but for one rounding less in each fused multiply-add.
					if d := math.Abs(float64(y[i] - plain[i])); !(d <= 1e-6*size[i]) {
						t.Fatalf("%s: type %d [%d, %d] m %d result %d: %v, plain %v, size %v", isa, typ, rows, cols, m, i, y[i], plain[i], size[i])
					}
				}
				if fast != nil {
					equalBits(t, fmt.Sprintf("%s: type %d [%d, %d] m %d", isa, typ, rows, cols, m), y, fast)
				}
				fast = y
			}
		}
	}
}

func equalBits(tb testing.TB, what string, got, want []float32) {
	tb.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			tb.Fatalf("%s: value %d: %v, want %v", what, i, got[i], want[i])
		}
	}
}

// TestResultsDoNotDependOnBatchOrSplit holds that a row's bits are the same alone, among others, and in any split of tiles.
func TestResultsDoNotDependOnBatchOrSplit(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const rows, cols, most = 187, 512, 67
	for _, isa := range isas() {
		for _, typ := range allTypes {
			selectISA(t, isa)
			w := packed(t, typ, rows, cols, Piece{Data: stored(r, typ, rows, cols, -8, -3), Rows: rows})
			x := inputs(r, most*cols, 1)
			want := product(t, x, w, most, 1)
			for _, m := range []int{1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33} {
				equalBits(t, fmt.Sprintf("%s: type %d: %d rows", isa, typ, m), product(t, x, w, m, 3), want[:m*rows])
			}
			for i := range most {
				equalBits(t, fmt.Sprintf("%s: type %d: row %d alone", isa, typ, i), product(t, x[i*cols:], w, 1, 1), want[i*rows:][:rows])
			}
			tiles, split := Tiles(rows), make([]float32, rows)
			scratch := make([]byte, ScratchBytes(typ, 1, cols))
			if err := Linear(split, x, w, 1, scratch, 1); err != nil {
				t.Fatal(err)
			}
			for k := range tiles {
				clear(split)
				for _, part := range [][2]int{{0, k}, {k, k + 1}, {k + 1, tiles}} {
					if err := linear(split, w, 1, scratch, part[0], part[1]); err != nil {
						t.Fatal(err)
					}
				}
				equalBits(t, fmt.Sprintf("%s: type %d: split at tile %d", isa, typ, k), split, want[:rows])
			}
		}
	}
}

func TestRowIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, typ := range allTypes {
		for _, shape := range [][2]int{{17, 256}, {1, 2304}, {50, 96}, {31, 7}} {
			rows, cols := shape[0], shape[1]
			if !fits8(typ, cols) {
				continue
			}
			src := stored(r, typ, rows, cols, -14, 15) // every normal half there is
			checkRows(t, packed(t, typ, rows, cols, Piece{Data: src, Rows: rows}), dequantized(t, typ, src, rows*cols))
		}
	}
}

func checkRows(t *testing.T, w Weight, want []float32) {
	t.Helper()
	dst := make([]float32, w.Cols)
	for row := range w.Rows {
		if err := Row(dst, w, row); err != nil {
			t.Fatal(err)
		}
		equalBits(t, fmt.Sprintf("type %d row %d", w.Type, row), dst, want[row*w.Cols:][:w.Cols])
	}
}

// TestFixtureBlocks packs blocks that ggml's own quantisers made and reads their values back.
func TestFixtureBlocks(t *testing.T) {
	for _, typ := range allTypes[1:] {
		if typ == Q6_0 { // no tool at hand writes it
			continue
		}
		name := fmt.Sprintf("fixtures/quants/%s.gguf", lower(quant.Type(typ).String()))
		f, err := gguf.Open(fixture.Path(t, name))
		if err != nil {
			t.Fatal(err)
		}
		tensor, ok := f.Tensor("t")
		if !ok || tensor.Type != quant.Type(typ) {
			t.Fatalf("%s: tensor t is %v", name, tensor.Type)
		}
		cols := tensor.Shape[len(tensor.Shape)-1]
		rows := tensor.Len() / cols
		checkRows(t, packed(t, typ, rows, cols, Piece{Data: tensor.Data, Rows: rows}), dequantized(t, typ, tensor.Data, rows*cols))
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 32
		}
	}
	return string(b)
}

// TestInputsAreRoundedAlike compares what instruction sets leave in scratch: the inputs that products see.
func TestInputsAreRoundedAlike(t *testing.T) {
	const cols, m = 256, 19
	r := rand.New(rand.NewPCG(31, 32))
	x := inputs(r, m*cols, 1)
	copy(x[64:], []float32{math.MaxFloat32, -1, 2, 0, -math.MaxFloat32}) // 254 * 127 steps of it would be infinite
	copy(x[96:], []float32{1e-38, -3e-39, 1e-45})                        // counts as zeros
	for _, typ := range allTypes {
		if isFloat(typ) {
			continue
		}
		w := packed(t, typ, 16, cols, Piece{Data: stored(r, typ, 16, cols, -8, -3), Rows: 16})
		var plain []byte
		for _, isa := range isas() {
			selectISA(t, isa)
			scratch, y := make([]byte, ScratchBytes(typ, m, cols)), make([]float32, m*16)
			if err := Linear(y, x, w, m, scratch, 1); err != nil {
				t.Fatal(err)
			}
			if isa == "plain" {
				plain = scratch
			}
			if !bytes.Equal(scratch, plain) {
				t.Errorf("%s: type %d: inputs are rounded otherwise than by plain", isa, typ)
			}
		}
	}
}

// TestHardValues feeds what breaks careless kernels: the largest codes and scales, zeros, tiny numbers, infinities.
func TestHardValues(t *testing.T) {
	const rows, cols = 17, 256
	r := rand.New(rand.NewPCG(9, 10))
	cases := []struct {
		name string
		x    func(i int) float32
		bad  bool // the result must show it: NaN or infinite
	}{
		{name: "zeros", x: func(int) float32 { return 0 }},
		{name: "negative zeros", x: func(int) float32 { return float32(math.Copysign(0, -1)) }},
		{name: "one large", x: func(i int) float32 { return []float32{1e30, 1e-3}[min(i%32, 1)] }},
		{name: "alternating extremes", x: func(i int) float32 { return float32(1 - i%2*2) }},
		{name: "all largest", x: func(int) float32 { return -1 }},
		{name: "denormals", x: func(i int) float32 { return math.SmallestNonzeroFloat32 * float32(i) }},
		{name: "smallest normal", x: func(i int) float32 { return float32(math.Ldexp(float64(i%5), -126)) }},
		{name: "just above tiny", x: func(i int) float32 { return float32(math.Ldexp(float64(i%7), -99)) }},
		{name: "blocks of zeros", x: func(i int) float32 { return float32(i / 32 % 2 * (i%9 - 4)) }},
		{name: "nan", x: func(i int) float32 { return []float32{float32(math.NaN()), 1}[min(i, 1)] }, bad: true},
		{name: "infinity", x: func(i int) float32 { return []float32{float32(math.Inf(-1)), 1}[min(i, 1)] }, bad: true},
	}
	for _, typ := range allTypes {
		sources := map[string][]byte{"random": stored(r, typ, rows, cols, -14, 10)}
		for name, fill := range map[string]byte{"all ones": 0xff, "all zeros": 0, "signs": 0x80} {
			b := make([]byte, len(sources["random"]))
			for i := range b {
				b[i] = fill
			}
			_, size := quant.Type(typ).Block()
			for i := 0; i < len(b) && !isFloat(typ); i += size {
				for _, at := range scaleAt[typ] {
					binary.LittleEndian.PutUint16(b[i+at:], 0x3800) // a half: 0.5
				}
			}
			if !isFloat(typ) || fill != 0xff { // all ones is a NaN there
				sources[name] = b
			}
		}
		for name, src := range sources {
			w := packed(t, typ, rows, cols, Piece{Data: src, Rows: rows})
			values := dequantized(t, typ, src, rows*cols)
			for _, c := range cases {
				x := make([]float32, 9*cols)
				for i := range x {
					x[i] = c.x(i % cols)
				}
				_, size := reference(wide(x[:cols]), values, 1, rows, cols)
				var plain []float32
				for _, isa := range isas() {
					selectISA(t, isa)
					y := product(t, x, w, 9, 1)
					if plain == nil {
						plain = y
					}
					for i := range y {
						sum, finite := math.Abs(float64(y[i]-plain[i])), !math.IsNaN(float64(y[i])) && !math.IsInf(float64(y[i]), 0)
						// 1e-5: where minimums cancel codes a sum's parts are larger than its products.
						if c.bad == finite && name == "random" || !c.bad && !(sum <= 1e-5*size[i%rows]+1e-37) {
							t.Fatalf("%s: type %d, weights %s, inputs %s: result %d: %v, plain %v", isa, typ, name, c.name, i, y[i], plain[i])
						}
					}
				}
			}
		}
	}
}

func TestPiecesAndOrder(t *testing.T) {
	const cols = 64
	r := rand.New(rand.NewPCG(11, 12))
	q, k, v := stored(r, Q4_1, 13, cols, -8, -3), stored(r, Q4_1, 24, cols, -8, -3), stored(r, Q4_1, 5, cols, -8, -3)
	order := []int32{4, 3, 2, 1, 0}
	w := packed(t, Q4_1, 13+24+5, cols, Piece{Data: q, Rows: 13}, Piece{}, Piece{Data: k, Rows: 24}, Piece{Data: v, Rows: 5, Order: order})
	want := append(dequantized(t, Q4_1, q, 13*cols), dequantized(t, Q4_1, k, 24*cols)...)
	last := dequantized(t, Q4_1, v, 5*cols)
	for _, row := range order {
		want = append(want, last[row*cols:][:cols]...)
	}
	checkRows(t, w, want)
	parts := Weight{Type: Q4_1, Rows: w.Rows, Cols: cols, Data: make([]byte, len(w.Data))}
	for tile := range Tiles(w.Rows) {
		if err := PackTiles(parts, tile, tile+1, Piece{Data: q, Rows: 13}, Piece{Data: k, Rows: 24}, Piece{Data: v, Rows: 5, Order: order}); err != nil {
			t.Fatal(err)
		}
	}
	checkRows(t, parts, want)
}

// TestMisaligned puts everything at odd addresses; the results are those of aligned ones.
func TestMisaligned(t *testing.T) {
	const rows, cols, m = 35, 256, 11
	r := rand.New(rand.NewPCG(13, 14))
	for _, isa := range isas() {
		for _, typ := range allTypes {
			selectISA(t, isa)
			src := stored(r, typ, rows, cols, -8, -3)
			x := inputs(r, m*cols+1, 1)[1:]
			want := product(t, x, packed(t, typ, rows, cols, Piece{Data: src, Rows: rows}), m, 1)
			odd := append([]byte{0}, src...)[1:]
			w := Weight{Type: typ, Rows: rows, Cols: cols, Data: make([]byte, PackedBytes(typ, rows, cols)+1)[1:]}
			if err := Pack(w, Piece{Data: odd, Rows: rows}); err != nil {
				t.Fatal(err)
			}
			y := make([]float32, m*rows+1)
			if err := Linear(y[1:], x, w, m, make([]byte, ScratchBytes(typ, m, cols)+3)[3:], 1); err != nil {
				t.Fatal(err)
			}
			equalBits(t, fmt.Sprintf("%s: type %d", isa, typ), y[1:], want)
		}
	}
}

func TestRefusals(t *testing.T) {
	good := packed(t, Q4_0, 16, 64, Piece{Data: make([]byte, 16*36), Rows: 16})
	x, y, scratch := make([]float32, 64), make([]float32, 16), make([]byte, ScratchBytes(Q4_0, 1, 64))
	short := good
	short.Data = good.Data[:len(good.Data)-1]
	cases := []struct {
		name string
		err  error
	}{
		{"unknown type", Pack(Weight{Type: 29, Rows: 16, Cols: 256, Data: make([]byte, 1<<20)})},
		{"columns that are no whole blocks", Pack(Weight{Type: Q4_0, Rows: 16, Cols: 48, Data: make([]byte, 1<<20)})},
		{"no rows", Pack(Weight{Type: Q4_0, Rows: 0, Cols: 64, Data: make([]byte, 1<<20)})},
		{"huge shape", Pack(Weight{Type: Q4_0, Rows: math.MaxInt32, Cols: 1 << 23, Data: make([]byte, 1<<20)})},
		{"short memory", Pack(short, Piece{Data: make([]byte, 16*36), Rows: 16})},
		{"short piece", Pack(good, Piece{Data: make([]byte, 16*36-1), Rows: 16})},
		{"too few rows", Pack(good, Piece{Data: make([]byte, 15*36), Rows: 15})},
		{"no pieces", Pack(good)},
		{"order past the end", Pack(good, Piece{Data: make([]byte, 15*36), Rows: 16, Order: make([]int32, 15)})},
		{"order names a missing row", Pack(good, Piece{Data: make([]byte, 36), Rows: 1, Order: []int32{1}}, Piece{Data: make([]byte, 15*36), Rows: 15})},
		{"tiles past the end", PackTiles(good, 0, 2, Piece{Data: make([]byte, 16*36), Rows: 16})},
		{"row past the end", Row(x, good, 16)},
		{"short row", Row(x[:63], good, 0)},
		{"short input", Linear(y, x[:63], good, 1, scratch, 1)},
		{"short output", Linear(y[:15], x, good, 1, scratch, 1)},
		{"short scratch", Linear(y, x, good, 1, scratch[:len(scratch)-1], 1)},
		{"no input rows", Linear(y, x, good, 0, scratch, 1)},
		{"unknown instruction set", Select("avx1024")},
	}
	for _, c := range cases {
		if c.err == nil {
			t.Errorf("%s: want an error", c.name)
		}
	}
}

func TestLinearDoesNotAllocate(t *testing.T) {
	w := packed(t, Q4_1, 64, 64, Piece{Data: make([]byte, 64*40), Rows: 64})
	x, y, scratch := make([]float32, 64), make([]float32, 64), make([]byte, ScratchBytes(Q4_1, 1, 64))
	if n := testing.AllocsPerRun(100, func() { _ = Linear(y, x, w, 1, scratch, 1) }); n != 0 {
		t.Errorf("%v allocations a product, want 0", n)
	}
}

// TestConcurrentUse shares one packed weight among goroutines, the first of which also chooses the instruction set.
func TestConcurrentUse(t *testing.T) {
	const rows, cols = 300, 256
	r := rand.New(rand.NewPCG(17, 18))
	w := packed(t, Q4_K, rows, cols, Piece{Data: stored(r, Q4_K, rows, cols, -8, -3), Rows: rows})
	x := inputs(r, cols, 1)
	want := product(t, x, w, 1, 1)
	if err := Select(""); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			y, scratch := make([]float32, rows), make([]byte, ScratchBytes(Q4_K, 1, cols))
			for range 50 {
				if err := Linear(y, x, w, 1, scratch, 2); err != nil {
					t.Error(err)
				}
				for i := range y {
					if y[i] != want[i] {
						t.Errorf("value %d: %v, want %v", i, y[i], want[i])
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestAlloc(t *testing.T) {
	for _, n := range []int{1, 5000, 2<<20 - 1, 2 << 20, 5 << 20, 7<<20 + 12345, 33<<20 + 1} {
		b, err := Alloc(n)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != n || cap(b) != n {
			t.Errorf("Alloc(%d) has %d bytes of %d", n, len(b), cap(b))
		}
		for i := 0; i < n; i += 4096 {
			if b[i] != 0 {
				t.Fatalf("Alloc(%d): byte %d is not zero", n, i)
			}
			b[i] = 1
		}
		b[n-1] = 1
		if err := Free(b); err != nil {
			t.Error(err)
		}
	}
	for _, n := range []int{0, -1, math.MaxInt - 4096} {
		if _, err := Alloc(n); err == nil {
			t.Errorf("Alloc(%d): want an error", n)
		}
	}
	if err := Free(nil); err != nil {
		t.Error(err)
	}
}

func TestTable(t *testing.T) {
	if Table() == nil || *(*uint32)(Table()) == 0 {
		t.Error("the table has no version")
	}
}

// TestRealWeights runs every tensor kind of a real model: random weights once hid that a compiler had dropped a call.
func TestRealWeights(t *testing.T) {
	f, err := gguf.Open(fixture.SmolLM2(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(15, 16))
	for _, name := range []string{"blk.0.attn_q", "blk.3.attn_k", "blk.7.attn_v", "blk.15.ffn_gate", "blk.29.ffn_down", "token_embd"} {
		tensor, ok := f.Tensor(name + ".weight")
		if !ok {
			t.Fatalf("%s is not in the model", name)
		}
		rows, cols := min(tensor.Shape[0], 700), tensor.Shape[1]
		size, _ := quant.Bytes(tensor.Type, rows*cols)
		values := dequantized(t, Type(tensor.Type), tensor.Data[:size], rows*cols)
		w := packed(t, Type(tensor.Type), rows, cols, Piece{Data: tensor.Data, Rows: rows})
		checkRows(t, w, values)
		x := inputs(r, 3*cols, 0.7)
		want, sizes := reference(rounded(x, cols), values, 3, rows, cols)
		for _, isa := range isas() {
			selectISA(t, isa)
			for i, got := range product(t, x, w, 3, 2) {
				if d := math.Abs(float64(got) - want[i]); !(d <= 2e-6*sizes[i]) { // measured 3e-7
					t.Fatalf("%s: %s: result %d: %v, want %v (size %v)", isa, name, i, got, want[i], sizes[i])
				}
			}
		}
	}
}
