// SPDX-License-Identifier: Apache-2.0

//go:build cgo && (linux || darwin)

package ort_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/trimtab/trimtab/cgo/kernels"
	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/onnx"
)

type tapFunc func(tap int, data []float32, rows, width int) bool

func (f tapFunc) Tap(tap int, data []float32, rows, width int, _ []float32) bool {
	return f(tap, data, rows, width)
}

func register(tb testing.TB, f tapFunc) int64 {
	id := ort.Register(f)
	tb.Cleanup(func() { ort.Unregister(id) })
	return id
}

func tap(g *onnx.Graph, h string, number int) string {
	return g.Add("Tap", "trimtab", []string{h, "run"}, onnx.Attr{Name: "tap", Value: number}, onnx.Attr{Name: "encoded", Value: 0}, onnx.Attr{Name: "rows", Value: 0}, onnx.Attr{Name: "type", Value: 0})
}

func TestTapSeesRowsAndWidth(t *testing.T) {
	load(t)
	for _, shape := range [][]int{{4}, {3, 4}, {2, 3, 4}, {1, 1, 1}, {0, 4}} {
		t.Run(fmt.Sprint(shape), func(t *testing.T) {
			dims := make([]onnx.Dim, len(shape))
			n := 1
			for i, d := range shape {
				dims[i] = onnx.Sym(fmt.Sprintf("d%d", i))
				n *= d
			}
			g := &onnx.Graph{}
			g.Input("run", onnx.Int64, onnx.Sym("taps"))
			g.Output(tap(g, g.Add("Neg", "", []string{g.Input("x", onnx.Float, dims...)}), 0), "y", onnx.Float, dims...)
			data := make([]float32, n)
			for i := range data {
				data[i] = float32(i + 1)
			}
			x, _ := floats(t, data, shape...)
			y, got := floats(t, nil, shape...)
			calls := 0
			gates, _ := int64s(t, register(t, func(number int, seen []float32, rows, width int) bool {
				calls++
				if last := shape[len(shape)-1]; number != 0 || width != last || rows*width != n || len(seen) != n {
					t.Errorf("tap %d was handed %d values, %d rows of %d", number, len(seen), rows, width)
				}
				for i := range seen {
					if seen[i] != -data[i] {
						t.Errorf("value %d is %v, want %v", i, seen[i], -data[i])
					}
					seen[i] *= 2
				}
				return true
			}), 1)
			if err := run(t, newSession(t, g, ort.Options{}), values{"x": x, "run": gates}, values{"y": y}); err != nil {
				t.Fatal(err)
			}
			if calls != 1 {
				t.Errorf("the tap was called %d times", calls)
			}
			for i := range got {
				if got[i] != -2*data[i] {
					t.Errorf("result %d is %v, want %v", i, got[i], -2*data[i])
				}
			}
		})
	}
}

// TestTapWritesItsOwnValueOnly: whether the memory is shared or copied, who else reads the tapped value must not see what the tap wrote.
func TestTapWritesItsOwnValueOnly(t *testing.T) {
	load(t)
	type graph struct {
		*onnx.Graph
		x string
	}
	one := func(g graph, value, name string) { g.Output(value, name, onnx.Float, onnx.N(2), onnx.N(2)) }
	neg := func(g graph, h string) string { return g.Add("Neg", "", []string{h}) }
	x := []float32{1, 2, 3, 4}
	for _, c := range []struct {
		name  string
		build func(g graph)
		want  map[string]float32 // outputs as multiples of x; the tap multiplies by 10
	}{
		{"value used once", func(g graph) { one(g, tap(g.Graph, neg(g, g.x), 0), "y") }, map[string]float32{"y": -10}},
		{"input of the graph", func(g graph) { one(g, tap(g.Graph, g.x, 0), "y"); one(g, g.x, "same") }, map[string]float32{"y": 10, "same": 1}},
		{"read by a node behind", func(g graph) {
			h := neg(g, g.x)
			y := tap(g.Graph, h, 0)
			one(g, neg(g, y), "y")
			one(g, neg(g, h), "h")
		}, map[string]float32{"y": 10, "h": 1}},
		{"output of the graph", func(g graph) {
			h := neg(g, g.x)
			one(g, h, "h")
			one(g, tap(g.Graph, h, 0), "y")
		}, map[string]float32{"h": -1, "y": -10}},
		{"output itself, without a copy", func(g graph) {
			h := neg(g, g.x)
			g.Outputs = append(g.Outputs, onnx.Info{Name: h, Type: onnx.Float, Shape: []onnx.Dim{onnx.N(2), onnx.N(2)}})
			one(g, neg(g, tap(g.Graph, h, 0)), "y")
		}, map[string]float32{"Neg_1": -1, "y": 10}},
		{"two taps of one value", func(g graph) {
			h := neg(g, g.x)
			one(g, tap(g.Graph, h, 0), "y")
			one(g, tap(g.Graph, h, 1), "z")
		}, map[string]float32{"y": -10, "z": -10}},
		{"a tap behind a tap", func(g graph) { one(g, tap(g.Graph, tap(g.Graph, neg(g, g.x), 0), 1), "y") }, map[string]float32{"y": -100}},
		{"skip connection", func(g graph) {
			h := neg(g, g.x)
			one(g, g.Add("Add", "", []string{h, tap(g.Graph, h, 0)}), "y")
		}, map[string]float32{"y": -11}},
		{"a constant", func(g graph) {
			g.Constant("c", onnx.Float, bytesOfFloats(x...), onnx.N(2), onnx.N(2))
			one(g, g.Add("Add", "", []string{tap(g.Graph, "c", 0), g.Add("Sub", "", []string{"c", g.x})}), "y")
		}, map[string]float32{"y": 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := graph{&onnx.Graph{}, ""}
			g.x = g.Input("x", onnx.Float, onnx.N(2), onnx.N(2))
			g.Input("run", onnx.Int64, onnx.Sym("taps"))
			c.build(g)
			s := newSession(t, g.Graph, ort.Options{})
			gates, _ := int64s(t, register(t, func(_ int, data []float32, _, _ int) bool {
				for i := range data {
					data[i] *= 10
				}
				return true
			}), 1, 1)
			for range 2 { // a constant that a run has written to would show in the second
				in, input := floats(t, x, 2, 2)
				out, got := values{}, map[string][]float32{}
				for name := range c.want {
					out[name], got[name] = floats(t, nil, 2, 2)
				}
				if err := run(t, s, values{"x": in, "run": gates}, out); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(input, x) {
					t.Errorf("the input has become %v", input)
				}
				for name, factor := range c.want {
					for i := range x {
						if got[name][i] != factor*x[i] {
							t.Errorf("%s is %v, want %g times %v", name, got[name], factor, x)
							break
						}
					}
				}
			}
		})
	}
}

// TestClosedGate: the tap is not called, whoever it would be, and the result has the bits of the graph without it.
func TestClosedGate(t *testing.T) {
	load(t)
	build := func(tapped bool) *onnx.Graph {
		g := &onnx.Graph{}
		h := g.Add("Sigmoid", "", []string{g.Input("x", onnx.Float, onnx.N(3), onnx.N(5))})
		if tapped {
			g.Input("run", onnx.Int64, onnx.Sym("taps"))
			h = tap(g, tap(g, h, 0), 1)
		}
		g.Output(g.Add("Softmax", "", []string{h}), "y", onnx.Float, onnx.N(3), onnx.N(5))
		return g
	}
	x, input := floats(t, nil, 3, 5)
	for i := range input {
		input[i] = float32(i)*0.37 - 2
	}
	plainValue, plain := floats(t, nil, 3, 5)
	if err := run(t, newSession(t, build(false), ort.Options{}), values{"x": x}, values{"y": plainValue}); err != nil {
		t.Fatal(err)
	}
	var called []int
	id := register(t, func(tap int, _ []float32, _, _ int) bool { called = append(called, tap); return true })
	s := newSession(t, build(true), ort.Options{})
	for _, c := range []struct {
		run  []int64
		want []int
	}{{[]int64{id, 0, 0}, nil}, {[]int64{id, 0, 1}, []int{1}}, {[]int64{id, 1, 0}, []int{0}}, {[]int64{id, 1, 1}, []int{0, 1}}, {[]int64{-7, 0, 0}, nil}} {
		called = nil
		gates, _ := int64s(t, c.run...)
		y, got := floats(t, nil, 3, 5)
		if err := run(t, s, values{"x": x, "run": gates}, values{"y": y}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(called, c.want) || !sameBits(got, plain) {
			t.Errorf("run %v: taps %v were called, want %v; bits equal: %t", c.run, called, c.want, sameBits(got, plain))
		}
	}
}

// productsFunc is a tapper that looks at products.
type productsFunc func(data, products []float32) bool

func (f productsFunc) Tap(_ int, data []float32, _, _ int, products []float32) bool {
	return f(data, products)
}

// TestTapWithMatrix: a tap with a packed encoder sees the bits of the operator Linear, of no rows none.
func TestTapWithMatrix(t *testing.T) {
	load(t)
	const n, cols = 40, 64
	for _, rows := range []int{0, 1, 5} {
		w := packed(t, kernels.Q8_0, n, cols)
		shape := []onnx.Attr{{Name: "type", Value: int(w.Type)}, {Name: "rows", Value: n}}
		g := &onnx.Graph{}
		g.Input("run", onnx.Int64, onnx.Sym("taps"))
		h := g.Add("Neg", "", []string{g.Input("x", onnx.Float, onnx.N(rows), onnx.N(cols))})
		m := g.Input("m", onnx.Uint8, onnx.Sym("bytes"))
		g.Output(g.Add("Linear", "trimtab", []string{h, m}, append(shape, onnx.Attr{Name: "cols", Value: cols})...), "products", onnx.Float, onnx.N(rows), onnx.N(n))
		attrs := append(shape, onnx.Attr{Name: "tap", Value: 0}, onnx.Attr{Name: "encoded", Value: 0})
		g.Output(g.Add("Tap", "trimtab", []string{h, "run", "", m}, attrs...), "y", onnx.Float, onnx.N(rows), onnx.N(cols))
		s := newSession(t, g, ort.Options{})

		x, _ := floats(t, random(1, rows*cols), rows, cols)
		y, got := floats(t, nil, rows, cols)
		products, want := floats(t, nil, rows, n)
		matrix, err := ort.NewValue(w.Data, ort.Uint8, len(w.Data))
		if err != nil {
			t.Fatal(err)
		}
		var seen []float32
		id := ort.Register(productsFunc(func(data, products []float32) bool {
			seen = slices.Clone(products)
			for i := range data {
				data[i] = 7
			}
			return true
		}))
		t.Cleanup(func() { ort.Unregister(id) })
		open, _ := int64s(t, id, 1)
		if err := run(t, s, values{"x": x, "run": open, "m": matrix}, values{"y": y, "products": products}); err != nil {
			t.Fatal(err)
		}
		if !sameBits(seen, want) || len(seen) != rows*n || (rows > 0 && got[0] != 7) {
			t.Errorf("%d rows: the tap saw %d products, want Linear's %d; what it wrote is %v", rows, len(seen), rows*n, got[:min(1, len(got))])
		}
	}
}

// TestTapWithBadMatrix: what is wrong with an encoder is found behind an open gate, and is nothing to a closed one.
func TestTapWithBadMatrix(t *testing.T) {
	load(t)
	const cols = 64
	w := packed(t, kernels.Q8_0, 40, cols)
	for _, c := range []struct {
		typ, rows, bytes int
		want             string
	}{
		{int(w.Type), 40, len(w.Data) - 1, "shorter"},
		{int(w.Type), 1 << 40, len(w.Data), "no kernel"},
		{1<<32 + int(w.Type), 40, len(w.Data), "no kernel"},
		{99, 40, len(w.Data), "no kernel"},
	} {
		g := &onnx.Graph{}
		g.Input("run", onnx.Int64, onnx.Sym("taps"))
		inputs := []string{g.Add("Neg", "", []string{g.Input("x", onnx.Float, onnx.N(1), onnx.N(cols))}), "run", "", g.Input("m", onnx.Uint8, onnx.Sym("bytes"))}
		attrs := []onnx.Attr{{Name: "tap", Value: 0}, {Name: "encoded", Value: 0}, {Name: "type", Value: c.typ}, {Name: "rows", Value: c.rows}}
		g.Output(g.Add("Tap", "trimtab", inputs, attrs...), "y", onnx.Float, onnx.N(1), onnx.N(cols))
		s := newSession(t, g, ort.Options{})
		x, _ := floats(t, nil, 1, cols)
		y, _ := floats(t, nil, 1, cols)
		matrix, err := ort.NewValue(w.Data[:c.bytes], ort.Uint8, c.bytes)
		if err != nil {
			t.Fatal(err)
		}
		id := register(t, func(int, []float32, int, int) bool { return true })
		for gate, want := range []string{"", c.want} {
			gates, _ := int64s(t, id, int64(gate))
			err := run(t, s, values{"x": x, "run": gates, "m": matrix}, values{"y": y})
			if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
				t.Errorf("type %d, %d rows, %d bytes, gate %d: %v, want an error with %q", c.typ, c.rows, c.bytes, gate, err, want)
			}
		}
	}
}

func TestTapFails(t *testing.T) {
	load(t)
	g := &onnx.Graph{}
	g.Input("run", onnx.Int64, onnx.Sym("taps"))
	h := g.Add("Neg", "", []string{g.Input("x", onnx.Float, onnx.N(1), onnx.N(2))})
	g.Output(tap(g, tap(g, h, 0), 1), "y", onnx.Float, onnx.N(1), onnx.N(2))
	s := newSession(t, g, ort.Options{})
	x, _ := floats(t, nil, 1, 2)
	y, _ := floats(t, nil, 1, 2)
	attempt := func(numbers ...int64) error {
		gates, _ := int64s(t, numbers...)
		return run(t, s, values{"x": x, "run": gates}, values{"y": y})
	}
	calls := 0
	fails := register(t, func(int, []float32, int, int) bool { calls++; return false })
	panics := register(t, func(int, []float32, int, int) (ok bool) {
		defer func() { ok = recover() == nil }() // as Tapper demands: a panic must not reach C
		panic("boom")
	})
	works := register(t, func(int, []float32, int, int) bool { calls++; return true })
	gone := ort.Register(tapFunc(nil))
	ort.Unregister(gone)
	for _, c := range []struct {
		name string
		run  []int64
		want string
	}{
		{"the tapper fails", []int64{fails, 1, 1}, "a tap failed"},
		{"the tapper panics", []int64{panics, 1, 0}, "a tap failed"},
		{"identity 0", []int64{0, 1, 0}, "a tap failed"},
		{"negative identity", []int64{-1, 1, 0}, "a tap failed"},
		{"identity that nobody has", []int64{1 << 40, 1, 0}, "a tap failed"},
		{"identity given back", []int64{gone, 1, 0}, "a tap failed"},
		{"no gate for the second tap", []int64{works, 0}, "no gate"},
		{"no gates", []int64{works}, "no gate"},
	} {
		calls = 0
		if err := attempt(c.run...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
		if calls > 1 {
			t.Errorf("%s: taps were called on after the failure", c.name)
		}
		calls = 0
		if err := attempt(works, 1, 1); err != nil || calls != 2 {
			t.Errorf("%s: afterwards %d taps are called, %v", c.name, calls, err)
		}
	}
	restore := ort.ForgetTappers()
	if err := attempt(1, 1, 0); err == nil {
		t.Error("a tap before the first Register: no error")
	}
	restore()
}

func TestTapRefusesWhatItCannotRead(t *testing.T) {
	load(t)
	attempt := func(number int, gates *ort.Value, shape ...int) error {
		g := &onnx.Graph{}
		dims := make([]onnx.Dim, len(shape))
		for i := range shape {
			dims[i] = onnx.N(shape[i])
		}
		g.Inputs = append(g.Inputs, onnx.Info{Name: "run", Type: onnx.Int64}, onnx.Info{Name: "x", Type: onnx.Float, Shape: dims})
		g.Outputs = append(g.Outputs, onnx.Info{Name: tap(g, "x", number), Type: onnx.Float, Shape: dims})
		x, _ := floats(t, nil, shape...)
		y, _ := floats(t, nil, shape...)
		return run(t, newSession(t, g, ort.Options{}), values{"x": x, "run": gates}, values{g.Outputs[0].Name: y})
	}
	one := value(t, alloc(t, 8), ort.Int64)
	for name, err := range map[string]error{"a number as gates": attempt(0, one, 2, 2)} {
		if err == nil || !strings.Contains(err.Error(), "Tap:") {
			t.Errorf("%s: %v, want an error of Tap", name, err)
		}
	}
	attemptNumber := func(number int, shape ...int) error {
		g := &onnx.Graph{}
		g.Input("run", onnx.Int64, onnx.Sym("taps"))
		dims := make([]onnx.Dim, len(shape))
		for i := range shape {
			dims[i] = onnx.N(shape[i])
		}
		g.Output(tap(g, g.Input("x", onnx.Float, dims...), number), "y", onnx.Float, dims...)
		x, _ := floats(t, nil, shape...)
		y, _ := floats(t, nil, shape...)
		gates, _ := int64s(t, 1, 1)
		return run(t, newSession(t, g, ort.Options{}), values{"x": x, "run": gates}, values{"y": y})
	}
	for name, err := range map[string]error{"a number as activation": attemptNumber(0), "negative tap": attemptNumber(-1, 2), "tap behind the gates": attemptNumber(1, 2)} {
		if err == nil || !strings.Contains(err.Error(), "Tap:") {
			t.Errorf("%s: %v, want an error of Tap", name, err)
		}
	}
}

func TestIdentitiesAreUsedAgain(t *testing.T) {
	a, b := ort.Register(tapFunc(nil)), ort.Register(tapFunc(nil))
	if a < 1 || a == b {
		t.Errorf("identities %d and %d", a, b)
	}
	ort.Unregister(a)
	if again := ort.Register(tapFunc(nil)); again != a {
		t.Errorf("after giving %d back, the next identity is %d", a, again)
	}
	ort.Unregister(a)
	ort.Unregister(b)
}

// TestHammer runs one session on eight goroutines, each with tensors, a binding and a tapper of its own, while others come and go.
func TestHammer(t *testing.T) {
	load(t)
	const rows, cols, m = 256, 128, 4 // large enough for a second thread
	w := packed(t, kernels.Q4_1, rows, cols)
	g := &onnx.Graph{}
	g.Input("run", onnx.Int64, onnx.Sym("taps"))
	g.Input("w", onnx.Uint8, onnx.N(len(w.Data)))
	h := tap(g, g.Input("x", onnx.Float, onnx.N(m), onnx.N(cols)), 0)
	h = g.Add("Linear", "trimtab", []string{h, "w"}, attributes(w)...)
	g.Output(tap(g, h, 1), "y", onnx.Float, onnx.N(m), onnx.N(rows))
	s := newSession(t, g, ort.Options{Threads: 2})
	shared := bytesOf(t, w.Data)
	var wg sync.WaitGroup
	for i := range 8 {
		data := random(uint64(i), m*cols)
		doubled := make([]float32, len(data))
		for j := range data {
			doubled[j] = 2 * data[j]
		}
		want := product(t, doubled, w, m)
		calls := 0
		x, _ := floats(t, data, m, cols)
		y, got := floats(t, nil, m, rows)
		gates, _ := int64s(t, register(t, func(tap int, data []float32, _, _ int) bool {
			calls++
			if tap == 0 {
				for j := range data {
					data[j] *= 2
				}
			}
			return true
		}), 1, 1)
		b, r := bind(t, s, values{"x": x, "w": shared, "run": gates}, values{"y": y}), stopper(t)
		wg.Go(func() {
			for n := range 100 {
				clear(got)
				other := ort.Register(tapFunc(nil))
				if err := b.Run(r); err != nil {
					t.Error(err)
				}
				ort.Unregister(other)
				if !sameBits(got, want) || calls != 2*(n+1) {
					t.Errorf("goroutine %d, run %d: another result, or %d calls", i, n, calls)
					return
				}
			}
		})
	}
	wg.Wait()
}
