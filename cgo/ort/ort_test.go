// SPDX-License-Identifier: Apache-2.0

//go:build cgo && (linux || darwin)

package ort_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/trimtab/trimtab/cgo/kernels"
	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/onnx"
	"github.com/trimtab/trimtab/runtime"
)

// load opens the library with the kernels; where it is absent the test is skipped, unless native parts are required.
func load(tb testing.TB) (path string) {
	tb.Helper()
	path, err := runtime.FindLibrary()
	if err != nil {
		if os.Getenv("TRIMTAB_REQUIRE_NATIVE") == "1" {
			tb.Fatal(err)
		}
		tb.Skip(err)
	}
	if _, err := ort.Load(path); err != nil {
		tb.Fatal(err)
	}
	if err := ort.UseKernels(unsafe.Pointer(kernels.Table())); err != nil {
		tb.Fatal(err)
	}
	return path
}

// alloc is memory for a tensor, freed with the test.
func alloc(tb testing.TB, n int) []byte {
	tb.Helper()
	mem, err := ort.Alloc(n)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ort.Free(mem) })
	return mem
}

func value(tb testing.TB, mem []byte, t ort.DType, shape ...int) *ort.Value {
	tb.Helper()
	v, err := ort.NewValue(mem, t, shape...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(v.Close)
	return v
}

// floats is a float tensor with the given data, and its memory. Data shorter than the shape leaves zeros.
func floats(tb testing.TB, data []float32, shape ...int) (*ort.Value, []float32) {
	tb.Helper()
	n := 1
	for _, d := range shape {
		n *= d
	}
	mem := alloc(tb, 4*n)
	copy(ort.Floats(mem), data)
	return value(tb, mem, ort.Float32, shape...), ort.Floats(mem)
}

func int64s(tb testing.TB, data ...int64) (*ort.Value, []int64) {
	tb.Helper()
	mem := alloc(tb, 8*len(data))
	copy(ort.Int64s(mem), data)
	return value(tb, mem, ort.Int64, len(data)), ort.Int64s(mem)
}

func scalar(tb testing.TB, x int32) *ort.Value {
	tb.Helper()
	mem := alloc(tb, 4)
	ort.Int32s(mem)[0] = x
	return value(tb, mem, ort.Int32)
}

func bytesOf(tb testing.TB, data []byte) *ort.Value {
	tb.Helper()
	mem := alloc(tb, len(data))
	copy(mem, data)
	return value(tb, mem, ort.Uint8, len(data))
}

func newSession(tb testing.TB, g *onnx.Graph, o ort.Options) *ort.Session {
	tb.Helper()
	s, err := ort.NewSession(g.Marshal(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// values are tensors by the names of a graph's inputs or outputs.
type values map[string]*ort.Value

func bind(tb testing.TB, s *ort.Session, in, out values) *ort.Binding {
	tb.Helper()
	b, err := s.NewBinding()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(b.Close)
	for name, v := range in {
		err = errors.Join(err, b.Input(name, v))
	}
	for name, v := range out {
		err = errors.Join(err, b.Output(name, v))
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func stopper(tb testing.TB) *ort.Stopper {
	tb.Helper()
	r, err := ort.NewStopper()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	return r
}

// run runs a session once.
func run(tb testing.TB, s *ort.Session, in, out values) error {
	tb.Helper()
	return bind(tb, s, in, out).Run(stopper(tb))
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

func TestLoad(t *testing.T) {
	path := load(t)
	first, err := ort.Load(path)
	if again, err2 := ort.Load(path); err != nil || err2 != nil || again != first || !strings.HasPrefix(first, "1.") {
		t.Errorf("Load twice = %q, %v and %q, %v", first, err, again, err2)
	}
	other := filepath.Join(t.TempDir(), "other.so")
	if _, err := ort.Load(other); err == nil || !strings.Contains(err.Error(), other) || !strings.Contains(err.Error(), path) {
		t.Errorf("Load of another path = %v, want an error that names both", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	path := load(t)
	restore := ort.Unload()
	defer restore()
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	stranger := map[string]string{"linux": "libm.so.6", "darwin": "/usr/lib/libSystem.B.dylib"}[goruntime.GOOS]
	for name, c := range map[string]struct{ path, want string }{
		"missing":            {filepath.Join(t.TempDir(), "none.so"), "none.so"},
		"no library":         {text, "text.so"},
		"some other library": {stranger, "not an ONNX Runtime library"},
	} {
		if _, err := ort.Load(c.path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
	for name, f := range map[string]func() error{
		"NewSession": func() error { _, err := ort.NewSession([]byte{1}, ort.Options{}); return err },
		"NewValue":   func() error { _, err := ort.NewValue(make([]byte, 4), ort.Float32, 1); return err },
		"NewStopper": func() error { _, err := ort.NewStopper(); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), "no library is loaded") {
			t.Errorf("%s before Load = %v", name, err)
		}
	}
	if version, err := ort.Load(path); err != nil || version == "" {
		t.Errorf("Load after refusals = %q, %v", version, err)
	}
}

// sum is y = x · w + b, with w and b supplied or inside the file.
func sum(inside bool) *onnx.Graph {
	g := &onnx.Graph{}
	x := g.Input("x", onnx.Float, onnx.Sym("rows"), onnx.N(3))
	if inside {
		g.Constant("w", onnx.Float, bytesOfFloats(1, 2, 3, 4, 5, 6), onnx.N(3), onnx.N(2))
		g.Constant("b", onnx.Float, bytesOfFloats(0.5, -0.5), onnx.N(2))
	} else {
		g.Supply("w", onnx.Float, onnx.N(3), onnx.N(2))
		g.Supply("b", onnx.Float, onnx.N(2))
	}
	y := g.Add("Add", "", []string{g.Add("MatMul", "", []string{x, "w"}), "b"})
	g.Output(y, "y", onnx.Float, onnx.Sym("rows"), onnx.N(2))
	return g
}

func bytesOfFloats(x ...float32) []byte {
	var out []byte
	for _, v := range x {
		u := math.Float32bits(v)
		out = append(out, byte(u), byte(u>>8), byte(u>>16), byte(u>>24))
	}
	return out
}

func TestGraphRuns(t *testing.T) {
	load(t)
	s := newSession(t, sum(true), ort.Options{})
	for _, rows := range []int{1, 2} { // one session, several shapes
		x, _ := floats(t, []float32{1, 0, 0, 1, 1, 1}, rows, 3)
		y, got := floats(t, nil, rows, 2)
		if err := run(t, s, values{"x": x}, values{"y": y}); err != nil {
			t.Fatal(err)
		}
		if want := []float32{1.5, 1.5, 9.5, 11.5}[:2*rows]; !slices.Equal(got, want) {
			t.Errorf("%d rows: %v, want %v", rows, got, want)
		}
	}
}

// TestInitializersAreShared changes the one memory of a weight and sees both sessions change.
func TestInitializersAreShared(t *testing.T) {
	load(t)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, onnx.SuppliedFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w, weights := floats(t, []float32{1, 2, 3, 4, 5, 6}, 3, 2)
	b, _ := floats(t, []float32{0, 0}, 2)
	o := ort.Options{Initializers: values{"w": w, "b": b}, Folder: folder}
	one, two := newSession(t, sum(false), o), newSession(t, sum(false), o)
	if err := os.Remove(filepath.Join(folder, onnx.SuppliedFile)); err != nil { // only creating a session wants it
		t.Fatal(err)
	}
	x, _ := floats(t, []float32{1, 10, 100}, 1, 3)
	for _, want := range [][]float32{{531, 642}, {532, 642}} {
		for i, s := range []*ort.Session{one, two} {
			y, got := floats(t, nil, 1, 2)
			if err := run(t, s, values{"x": x}, values{"y": y}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("session %d: %v, want %v", i, got, want)
			}
		}
		weights[0]++
	}
	one.Close() // what it used lives on for the other
	y, got := floats(t, nil, 1, 2)
	if err := run(t, two, values{"x": x}, values{"y": y}); err != nil || got[0] != 533 {
		t.Errorf("after closing the other session: %v, %v", got, err)
	}
}

func TestErrorsSayWhatORTSaid(t *testing.T) {
	load(t)
	s := newSession(t, sum(true), ort.Options{})
	x, _ := floats(t, nil, 1, 3)
	y, _ := floats(t, nil, 1, 2)
	wide, _ := floats(t, nil, 1, 4)
	ids, _ := int64s(t, 1, 2, 3)
	unknown := &onnx.Graph{}
	unknown.Output(unknown.Add("Nonsense", "trimtab", []string{unknown.Input("x", onnx.Float, onnx.N(1))}), "y", onnx.Float, onnx.N(1))
	b, err := s.NewBinding()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	create := func(model []byte, o ort.Options) error {
		_, err := ort.NewSession(model, o)
		return err
	}
	tensor := func(t ort.DType, shape ...int) error {
		_, err := ort.NewValue(make([]byte, 64), t, shape...)
		return err
	}
	for _, c := range []struct {
		name, want string
		err        error
		ours       bool // found before ONNX Runtime was asked
	}{
		{name: "no model", err: create(nil, ort.Options{}), want: "empty", ours: true},
		{name: "no ONNX file", err: create([]byte("nonsense"), ort.Options{}), want: "create session"},
		{name: "half a file", err: create(sum(true).Marshal()[:100], ort.Options{}), want: "create session"},
		{name: "no such operator", err: create(unknown.Marshal(), ort.Options{}), want: "Nonsense"},
		{name: "a weight that nobody supplies", err: create(sum(false).Marshal(), ort.Options{Folder: t.TempDir()}), want: "supplied"},
		{name: "no such input", err: b.Input("nobody", x), want: "nobody"},
		{name: "an input is missing", err: run(t, s, nil, values{"y": y}), want: "run"},
		{name: "another width", err: run(t, s, values{"x": wide}, values{"y": y}), want: "x"},
		{name: "another type", err: run(t, s, values{"x": ids}, values{"y": y}), want: "x"},
		{name: "an output of another shape", err: run(t, s, values{"x": x}, values{"y": wide}), want: "run"},
		{name: "memory too short", err: tensor(ort.Float32, 17), want: "want 68 bytes, found 64", ours: true},
		{name: "nine dimensions", err: tensor(ort.Float32, 1, 1, 1, 1, 1, 1, 1, 1, 1), want: "8 dimensions", ours: true},
		{name: "negative dimension", err: tensor(ort.Float32, -1), want: "tensor"},
		{name: "two negative dimensions", err: tensor(ort.Float32, -1, -2), want: "tensor"},
		{name: "more than there is", err: tensor(ort.Float32, 1<<40, 1<<40), want: "tensor"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, c.err, c.want)
			continue
		}
		var typed *ort.Error
		if errors.As(c.err, &typed) == c.ours || !c.ours && (typed.Code == 0 || typed.Message == "") {
			t.Errorf("%s: error %#v, want an *ort.Error: %t", c.name, c.err, !c.ours)
		}
	}
}

func TestAlloc(t *testing.T) {
	for _, n := range []int{0, 1, 63, 4096, 5 << 20} {
		mem, err := ort.Alloc(n)
		if err != nil || len(mem) != n {
			t.Fatalf("Alloc(%d) has %d bytes, %v", n, len(mem), err)
		}
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(mem))); at%64 != 0 {
			t.Errorf("Alloc(%d) lies at %x, want a multiple of 64", n, at)
		}
		if i := slices.IndexFunc(mem, func(b byte) bool { return b != 0 }); i >= 0 {
			t.Errorf("Alloc(%d): byte %d is not zero", n, i)
		}
		if n > 1 {
			mem = mem[:n/2]
		}
		ort.Free(mem)
	}
	ort.Free(nil)
}

func TestCloseTwice(t *testing.T) {
	load(t)
	s, err := ort.NewSession(sum(true).Marshal(), ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.NewBinding()
	if err != nil {
		t.Fatal(err)
	}
	r, err := ort.NewStopper()
	if err != nil {
		t.Fatal(err)
	}
	v, err := ort.NewValue(alloc(t, 4), ort.Float32, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []interface{ Close() }{b, v, r, s, (*ort.Binding)(nil), (*ort.Value)(nil), (*ort.Stopper)(nil), (*ort.Session)(nil)} {
		x.Close()
		x.Close()
	}
}

func TestStopperStopsAndResets(t *testing.T) {
	load(t)
	s := newSession(t, sum(true), ort.Options{})
	x, _ := floats(t, []float32{1, 1, 1}, 1, 3)
	y, got := floats(t, nil, 1, 2)
	b, r := bind(t, s, values{"x": x}, values{"y": y}), stopper(t)
	for range 3 {
		r.Stop()
		r.Stop()
		var typed *ort.Error
		if err := b.Run(r); !errors.As(err, &typed) {
			t.Errorf("a stopped run: %v, want an *ort.Error", err)
		}
		r.Reset()
		clear(got)
		if err := b.Run(r); err != nil || got[0] != 9.5 {
			t.Errorf("after Reset: %v, %v", got, err)
		}
	}
}

// TestStopEndsARunInTheMiddle stops a run from inside: what stands behind the tap must not be carried out.
func TestStopEndsARunInTheMiddle(t *testing.T) {
	load(t)
	g := &onnx.Graph{}
	h := g.Input("x", onnx.Float, onnx.N(1), onnx.N(4))
	g.Input("run", onnx.Int64, onnx.Sym("taps"))
	for i := range 3 {
		h = tap(g, g.Add("Relu", "", []string{h}), i)
	}
	g.Output(h, "y", onnx.Float, onnx.N(1), onnx.N(4))
	s := newSession(t, g, ort.Options{})
	r := stopper(t)
	var called []int
	id := ort.Register(tapFunc(func(tap int, _ []float32, _, _ int) bool {
		called = append(called, tap)
		if tap == 1 && len(called) == 2 {
			r.Stop()
		}
		return true
	}))
	defer ort.Unregister(id)
	x, _ := floats(t, nil, 1, 4)
	y, _ := floats(t, nil, 1, 4)
	gate, _ := int64s(t, id, 1, 1, 1)
	b := bind(t, s, values{"x": x, "run": gate}, values{"y": y})
	if err := b.Run(r); err == nil {
		t.Error("a run that was stopped in the middle has no error")
	}
	r.Reset()
	if err := b.Run(r); err != nil || !slices.Equal(called, []int{0, 1, 0, 1, 2}) {
		t.Errorf("taps %v were called, %v; want 0 and 1, then all", called, err)
	}
}

func TestSessionsAreMadeSideBySide(t *testing.T) {
	path := load(t)
	model := sum(true).Marshal()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := ort.Load(path); err != nil {
				t.Error(err)
			}
			s, err := ort.NewSession(model, ort.Options{Threads: 2})
			if err != nil {
				t.Error(err)
			}
			s.Close()
		})
	}
	wg.Wait()
}
