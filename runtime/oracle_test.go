// SPDX-License-Identifier: Apache-2.0

//go:build cgo && (linux || darwin)

package runtime

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	onnxruntime "github.com/yalue/onnxruntime_go"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/onnx"
	"github.com/trimtab/trimtab/models/quant"
)

// oracle runs the untouched graph through onnxruntime_go: another binding, weights inside the file, keys and values as ordinary inputs and outputs.
// It shares the graph with the runtime, and nothing of how the runtime executes it.
type oracle struct {
	t       *testing.T
	d       *decoder.Description
	session *onnxruntime.DynamicAdvancedSession
	inputs  []string
	outputs []string
	past    map[string]onnxruntime.Value // by output name
	tokens  int
}

const oracleCapacity = 32 // tokens

func newOracle(t *testing.T, m *Model, configure func(*onnxruntime.SessionOptions) error) *oracle {
	t.Helper()
	if !onnxruntime.IsInitialized() {
		onnxruntime.SetSharedLibraryPath(m.config.Library)
		if err := onnxruntime.InitializeEnvironment(); err != nil {
			t.Fatal(err)
		}
		// The environment stays: other tests of the process run the same library.
	}
	g, err := decoder.Build(&m.file.Description, m.file, decoder.Options{Cache: decoder.CacheORT})
	if err != nil {
		t.Fatal(err)
	}
	for i := range g.Weights {
		inline(t, g.Graph, &g.Weights[i], g.External[i])
	}
	g.External = nil
	o := &oracle{t: t, d: &m.file.Description, past: map[string]onnxruntime.Value{}}
	for _, in := range g.Inputs {
		o.inputs = append(o.inputs, in.Name)
	}
	for _, out := range g.Outputs {
		o.outputs = append(o.outputs, out.Name)
	}
	options, err := onnxruntime.NewSessionOptions()
	if err != nil {
		t.Fatal(err)
	}
	defer options.Destroy()
	if err := configure(options); err != nil {
		t.Fatal(err)
	}
	if o.session, err = onnxruntime.NewDynamicAdvancedSessionWithONNXData(g.Marshal(), o.inputs, o.outputs, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.session.Destroy() })
	return o
}

// inline puts a weight into the file: rows in their order, one below the other, and turned over where the graph multiplies by them.
func inline(t *testing.T, g *onnx.Graph, w *decoder.Weight, info onnx.Info) {
	t.Helper()
	if info.Name != w.Name || w.Form != decoder.Matrix && w.Form != decoder.Plain {
		t.Fatalf("weight %s of form %d stands for %s", w.Name, w.Form, info.Name)
	}
	var rows [][]float32
	for i := range w.Pieces {
		p := &w.Pieces[i]
		data, err := p.Blocks()
		if err != nil {
			t.Fatal(err)
		}
		all := make([]float32, p.Rows()*p.Cols())
		if err := quant.Dequantize(all, p.Type, data); err != nil {
			t.Fatal(err)
		}
		for r := range p.Rows() {
			if p.Order != nil {
				r = int(p.Order[r])
			}
			rows = append(rows, all[r*p.Cols():][:p.Cols()])
		}
	}
	data := make([]byte, 0, 4*w.Rows*w.Cols)
	put := func(r, c int) { data = binary.LittleEndian.AppendUint32(data, math.Float32bits(rows[r][c])) }
	if w.Form == decoder.Matrix {
		for c := range w.Cols {
			for r := range w.Rows {
				put(r, c)
			}
		}
	} else {
		for r := range w.Rows {
			for c := range w.Cols {
				put(r, c)
			}
		}
	}
	g.Constant(info.Name, info.Type, data, info.Shape...)
}

// tensor is destroyed with the test.
func tensor[T onnxruntime.TensorData](o *oracle, data []T, shape ...int64) *onnxruntime.Tensor[T] {
	o.t.Helper()
	v, err := onnxruntime.NewTensor(onnxruntime.NewShape(shape...), data)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { v.Destroy() })
	return v
}

// run runs tokens behind those before and returns the logits of every one of them.
func (o *oracle) run(ids ...int32) []float32 {
	o.t.Helper()
	n, d := int64(len(ids)), o.d
	o.tokens += len(ids)
	wide, rows := make([]int64, n), make([]int64, n)
	for i, id := range ids {
		wide[i], rows[i] = int64(id), int64(i)
	}
	total, err := onnxruntime.NewScalar(int32(o.tokens))
	if err != nil {
		o.t.Fatal(err)
	}
	defer total.Destroy()
	half := d.Rope.Dims / 2
	cos, sin := make([]float32, oracleCapacity*half), make([]float32, oracleCapacity*half)
	d.Rope.Table(cos, sin, 0, oracleCapacity)
	given := map[string]onnxruntime.Value{
		decoder.InputIDs:   tensor(o, wide, 1, n),
		decoder.InputRows:  tensor(o, rows, n),
		decoder.InputLast:  tensor(o, []int32{int32(o.tokens - 1)}, 1),
		decoder.InputTotal: total,
		decoder.InputCos:   tensor(o, cos, oracleCapacity, int64(half)),
		decoder.InputSin:   tensor(o, sin, oracleCapacity, int64(half)),
	}
	cache := func() onnxruntime.Value {
		return tensor(o, make([]float32, d.KVHeads*oracleCapacity*d.CacheDim()), 1, int64(d.KVHeads), oracleCapacity, int64(d.CacheDim()))
	}
	logits := make([]float32, len(ids)*d.Vocab)
	taken := map[string]onnxruntime.Value{decoder.OutLogits: tensor(o, logits, 1, n, int64(d.Vocab))}
	for i := range d.Layers {
		pastKey, pastValue, key, value := decoder.CacheNames(i)
		for _, x := range [][2]string{{pastKey, key}, {pastValue, value}} {
			if given[x[0]] = o.past[x[1]]; given[x[0]] == nil {
				given[x[0]] = cache()
			}
			taken[x[1]] = cache()
		}
	}
	if err := o.session.Run(ordered(o.inputs, given), ordered(o.outputs, taken)); err != nil {
		o.t.Fatal(err)
	}
	o.past = taken
	return logits
}

func ordered(names []string, v map[string]onnxruntime.Value) (out []onnxruntime.Value) {
	for _, n := range names {
		out = append(out, v[n])
	}
	return out
}

// TestOnnxruntimeGoGivesTheSameLogits holds the runtime's way of running the untouched graph against onnxruntime_go's: with the same settings bit for
// bit. By default ONNX Runtime repacks matrices, and then sums products of one row in another order: 3e-6 standard deviations of the logits were
// measured, 1e-5 is the limit.
func TestOnnxruntimeGoGivesTheSameLogits(t *testing.T) {
	for _, file := range []string{"f32", "q5_1"} {
		m := open(t, fixture.Path(t, "fixtures/gguf/llama/"+file+".gguf"), Config{Quant: Float32, Threads: 1})
		s := newSession(t, m)
		whole, err := m.Trace(t.Context(), prompt, TraceOptions{Sites: []hooks.Site{hooks.Once(hooks.Logits)}})
		if err != nil {
			t.Fatal(err)
		}
		want := [][]float32{whole[0].Data}
		logits, err := s.prefill(t.Context(), prompt)
		if err != nil {
			t.Fatal(err)
		}
		var buf [1]int32
		var generated []int32
		for range 4 {
			generated = append(generated, argmax(logits))
			if logits, err = s.decodeOne(t.Context(), &buf, generated[len(generated)-1]); err != nil {
				t.Fatal(err)
			}
			want = append(want, append([]float32(nil), logits...))
		}
		for name, configure := range map[string]func(*onnxruntime.SessionOptions) error{
			"same settings": func(o *onnxruntime.SessionOptions) error {
				if err := o.SetGraphOptimizationLevel(onnxruntime.GraphOptimizationLevelEnableBasic); err != nil {
					return err
				}
				if err := o.SetIntraOpNumThreads(1); err != nil {
					return err
				}
				return o.AddSessionConfigEntry("session.disable_prepacking", "1")
			},
			"defaults": func(o *onnxruntime.SessionOptions) error { return o.SetIntraOpNumThreads(2) },
		} {
			o := newOracle(t, m, configure)
			got := [][]float32{o.run(prompt...)}
			for _, id := range generated {
				got = append(got, o.run(id))
			}
			for i := range want {
				what := fmt.Sprintf("%s, %s, pass %d", file, name, i)
				d := deviation(got[i], want[i])
				if name == "same settings" && !sameBits(got[i], want[i]) {
					t.Errorf("%s: logits are %.1e standard deviations off, want the same bits", what, d)
				}
				if !(d <= 1e-5) {
					t.Errorf("%s: logits are %.1e standard deviations off, want at most 1e-5", what, d)
				}
			}
		}
	}
}

// TestCacheIsAsWideAsTheGraphSays: heads of no multiple of 8 columns are filled up in the graph, and so they are in the cache.
func TestCacheIsAsWideAsTheGraphSays(t *testing.T) {
	tiny(t, Config{}) // loads the library
	for _, head := range []int{1, 16, 20, 63} {
		d := &decoder.Description{Layers: 1, KVHeads: 2, HeadDim: head}
		for _, kind := range []decoder.Cache{decoder.CacheORT, decoder.CacheF16, decoder.CacheF32, decoder.CacheI8} {
			c, err := newCache(d, kind, nil, 40, 64)
			if err != nil {
				t.Fatal(err)
			}
			elements := 2 * 64 * d.CacheDim() // of the keys
			want := map[decoder.Cache]int{decoder.CacheORT: 4 * elements, decoder.CacheF16: 2 * 2 * elements, decoder.CacheF32: 2 * 4 * elements, decoder.CacheI8: 2 * elements}[kind]
			if got := len(c.memory[0]); got < want || kind == decoder.CacheORT && got != want {
				t.Errorf("head of %d, cache %d: %d bytes a buffer, want %d", head, kind, got, want)
			}
			c.close()
		}
	}
}
