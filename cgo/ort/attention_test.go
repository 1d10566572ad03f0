// SPDX-License-Identifier: Apache-2.0

//go:build cgo && (linux || darwin)

package ort_test

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/cgo/kernels"
	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/models/onnx"
	"github.com/trimtab/trimtab/models/quant"
)

// attention is one node's attributes.
type attention struct {
	heads, kvHeads, head int
	rotary, interleaved  int
	window               int
	softcap              float32
	sinks                []float32
	cache                kernels.Type
}

func (a attention) scale() float32 { return float32(1 / math.Sqrt(float64(a.head))) }

func (a attention) width() int { return (a.heads + 2*a.kvHeads) * a.head }

func (a attention) graph() *onnx.Graph {
	g := &onnx.Graph{}
	g.Input("qkv", onnx.Float, onnx.Sym("batch"), onnx.Sym("n"), onnx.Sym("width"))
	g.Input("cache", onnx.Uint8, onnx.Sym("bytes"))
	g.Input("total", onnx.Int32)
	g.Input("cos", onnx.Float, onnx.Sym("positions"), onnx.Sym("half"))
	g.Input("sin", onnx.Float, onnx.Sym("positions"), onnx.Sym("half"))
	inputs := []string{"qkv", "cache", "total", "cos", "sin"}
	if a.sinks != nil {
		var data []byte
		for _, x := range a.sinks {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
		inputs = append(inputs, g.Constant("sinks", onnx.Float, data, onnx.N(len(a.sinks))))
	}
	z := g.Add("Attention", "trimtab", inputs,
		onnx.Attr{Name: "heads", Value: a.heads}, onnx.Attr{Name: "kv_heads", Value: a.kvHeads}, onnx.Attr{Name: "head", Value: a.head},
		onnx.Attr{Name: "rotary", Value: a.rotary}, onnx.Attr{Name: "interleaved", Value: a.interleaved}, onnx.Attr{Name: "window", Value: a.window},
		onnx.Attr{Name: "cache_type", Value: int(a.cache)}, onnx.Attr{Name: "scale", Value: a.scale()}, onnx.Attr{Name: "softcap", Value: a.softcap})
	g.Output(z, "z", onnx.Float, onnx.Sym("batch"), onnx.Sym("n"), onnx.Sym("out"))
	return g
}

// tables are cosines and sines by position, of frequencies as models have them.
func (a attention) tables(positions int) (cos, sin []float32) {
	for p := range positions {
		for j := range a.rotary / 2 {
			s, c := math.Sincos(float64(p) * math.Pow(10000, -2*float64(j)/float64(a.rotary)))
			cos, sin = append(cos, float32(c)), append(sin, float32(s))
		}
	}
	return cos, sin
}

// turned is a head at a position, rotated: in float32, since the cache stores what that gives.
func (a attention) turned(x []float32, position int) []float32 {
	cos, sin := a.tables(position + 1)
	out := append([]float32(nil), x...)
	half := a.rotary / 2
	for j := range half {
		i, k := j, j+half
		if a.interleaved == 1 {
			i, k = 2*j, 2*j+1
		}
		c, s := cos[position*half+j], sin[position*half+j]
		out[i] = float32(x[i]*c) - float32(x[k]*s)
		out[k] = float32(x[k]*c) + float32(x[i]*s)
	}
	return out
}

// kept is what a cache makes of x.
func (a attention) kept(x []float32) []float32 {
	if a.cache == kernels.F32 {
		return x
	}
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = quant.F16ToF32(quant.F32ToF16(v))
	}
	if a.cache == kernels.I8 { // what the kernels' own tests hold is not repeated here
		c := kernels.Cache{Type: kernels.I8, Heads: 1, Head: len(x), Data: make([]byte, kernels.CacheBytes(kernels.I8, 1, len(x), 1))}
		if err := errors.Join(c.Append(0, x, x), c.Read(0, out, make([]float32, len(x)))); err != nil {
			panic(err)
		}
	}
	return out
}

// reference is the definition in float64, token by token and head by head.
func (a attention) reference(qkv []float32, tokens int) (z []float64) {
	part := func(token, head int) []float32 { return qkv[token*a.width()+head*a.head:][:a.head] }
	keys := make([][]float32, tokens*a.kvHeads)
	for i := range keys {
		keys[i] = a.kept(a.turned(part(i/a.kvHeads, a.heads+i%a.kvHeads), i/a.kvHeads))
	}
	for i := range tokens {
		from := 0
		if a.window > 0 {
			from = max(0, i-a.window+1)
		}
		for h := range a.heads {
			q, kv := a.turned(part(i, h), i), h/(a.heads/a.kvHeads)
			var weights []float64
			sum := 0.0
			if a.sinks != nil {
				sum = math.Exp(float64(a.sinks[h]))
			}
			for t := from; t <= i; t++ {
				s := 0.0
				for c := range q {
					s += float64(q[c]) * float64(keys[t*a.kvHeads+kv][c])
				}
				s *= float64(a.scale())
				if a.softcap > 0 {
					s = float64(a.softcap) * math.Tanh(s/float64(a.softcap))
				}
				weights = append(weights, math.Exp(s)) // scores are small: no maximum is needed
				sum += weights[t-from]
			}
			out := make([]float64, a.head)
			for t := from; t <= i; t++ {
				for c, v := range a.kept(part(t, a.heads+a.kvHeads+kv)) {
					out[c] += weights[t-from] / sum * float64(v)
				}
			}
			z = append(z, out...)
		}
	}
	return z
}

// attender runs one node over a cache of its own.
type attender struct {
	attention
	t        *testing.T
	session  *ort.Session
	cache    *ort.Value
	cos, sin *ort.Value
	tokens   int
}

func (a attention) start(t *testing.T, positions, threads int) *attender {
	t.Helper()
	r := &attender{attention: a, t: t, session: newSession(t, a.graph(), ort.Options{Threads: threads})}
	r.cache = bytesOf(t, make([]byte, kernels.CacheBytes(a.cache, a.kvHeads, a.head, positions)))
	cos, sin := a.tables(positions)
	r.cos, _ = floats(t, cos, positions, a.rotary/2)
	r.sin, _ = floats(t, sin, positions, a.rotary/2)
	return r
}

// next runs n more tokens.
func (r *attender) next(qkv []float32, n int) []float32 {
	r.t.Helper()
	x, _ := floats(r.t, qkv[r.tokens*r.width():], 1, n, r.width())
	z, got := floats(r.t, nil, 1, n, r.heads*r.head)
	r.tokens += n
	in := values{"qkv": x, "cache": r.cache, "total": scalar(r.t, int32(r.tokens)), "cos": r.cos, "sin": r.sin}
	if err := run(r.t, r.session, in, values{"z": z}); err != nil {
		r.t.Fatal(err)
	}
	return got
}

func TestAttention(t *testing.T) {
	load(t)
	for name, a := range map[string]attention{
		"grouped queries":           {heads: 6, kvHeads: 2, head: 32, rotary: 32},
		"one head of keys":          {heads: 4, kvHeads: 1, head: 16, rotary: 16},
		"as many keys as queries":   {heads: 3, kvHeads: 3, head: 64, rotary: 64},
		"interleaved":               {heads: 4, kvHeads: 2, head: 32, rotary: 32, interleaved: 1},
		"half of the head turns":    {heads: 4, kvHeads: 2, head: 32, rotary: 16},
		"a quarter, interleaved":    {heads: 4, kvHeads: 2, head: 32, rotary: 8, interleaved: 1},
		"nothing turns":             {heads: 4, kvHeads: 2, head: 32},
		"head of no whole 16":       {heads: 2, kvHeads: 1, head: 24, rotary: 12},
		"window":                    {heads: 4, kvHeads: 2, head: 32, rotary: 32, window: 9},
		"window of one":             {heads: 4, kvHeads: 2, head: 32, rotary: 32, window: 1},
		"sinks":                     {heads: 4, kvHeads: 2, head: 32, rotary: 32, window: 20, sinks: []float32{-1, 0.5, 2, 4}},
		"softcap":                   {heads: 4, kvHeads: 2, head: 32, rotary: 32, softcap: 1.5},
		"softcap and window, GPT-J": {heads: 4, kvHeads: 2, head: 32, rotary: 16, interleaved: 1, softcap: 3, window: 20},
	} {
		for _, typ := range []kernels.Type{kernels.F32, kernels.F16, kernels.I8} {
			a.cache = typ
			t.Run(name+map[kernels.Type]string{kernels.F32: ", f32", kernels.F16: ", f16", kernels.I8: ", bytes"}[typ], func(t *testing.T) {
				const tokens = 43
				qkv := random(7, tokens*a.width())
				want := a.reference(qkv, tokens)
				got := a.start(t, tokens+5, 1).next(qkv, tokens)
				for i := range want {
					// Scores round by about 1e-6, values are of size 1. Keys round to halves alike on both sides, as both turn them in float32.
					if d := math.Abs(float64(got[i]) - want[i]); !(d <= 1e-5) {
						t.Fatalf("value %d of token %d is %v, want %v", i%(a.heads*a.head), i/(a.heads*a.head), got[i], want[i])
					}
				}
				for _, chunks := range [][]int{{1, 42}, {16, 16, 11}, {20, 1, 1, 21}} {
					for _, threads := range []int{1, 2} {
						r := a.start(t, tokens, threads)
						var pieces []float32
						for _, n := range chunks {
							pieces = append(pieces, r.next(qkv, n)...)
						}
						if !sameBits(pieces, got) {
							t.Errorf("in chunks of %v on %d threads the bits differ", chunks, threads)
						}
					}
				}
				r := a.start(t, tokens, 1)
				for i := range tokens {
					if z := r.next(qkv, 1); !sameBits(z, got[i*len(z):][:len(z)]) {
						t.Fatalf("token by token, the bits differ at token %d", i)
					}
				}
			})
		}
	}
}

func TestAttentionRefuses(t *testing.T) {
	load(t)
	good := attention{heads: 4, kvHeads: 2, head: 32, rotary: 32, cache: kernels.F16}
	type inputs struct {
		batch, n, width, bytes int
		total                  int32
		positions, half        int
		sinPositions           int
	}
	fit := inputs{1, 3, good.width(), kernels.CacheBytes(kernels.F16, 2, 32, 16), 10, 10, 16, 10}
	s := newSession(t, good.graph(), ort.Options{})
	attempt := func(change func(*inputs)) error {
		in := fit
		change(&in)
		qkv, _ := floats(t, nil, in.batch, in.n, in.width)
		cos, _ := floats(t, nil, in.positions, in.half)
		sin, _ := floats(t, nil, in.sinPositions, in.half)
		z, _ := floats(t, nil, in.batch, in.n, 4*32)
		return run(t, s, values{"qkv": qkv, "cache": bytesOf(t, make([]byte, in.bytes)), "total": scalar(t, in.total), "cos": cos, "sin": sin}, values{"z": z})
	}
	for _, c := range []struct {
		name, want string
		change     func(*inputs)
	}{
		{"narrow", "another width", func(in *inputs) { in.width-- }},
		{"wide", "another width", func(in *inputs) { in.width++ }},
		{"two sequences", "another width", func(in *inputs) { in.batch = 2 }},
		{"short cache", "cache is too short", func(in *inputs) { in.bytes-- }},
		{"no cache", "cache is too short", func(in *inputs) { in.bytes = 0 }},
		{"more tokens than the cache", "cache is too short", func(in *inputs) { in.total = 17 }},
		{"far more tokens", "cache is too short", func(in *inputs) { in.total = math.MaxInt32 }},
		{"fewer tokens in all", "fewer tokens", func(in *inputs) { in.total = 2 }},
		{"negative total", "fewer tokens", func(in *inputs) { in.total = -1 }},
		{"short cosines", "rotary table", func(in *inputs) { in.positions = 9 }},
		{"short sines", "rotary table", func(in *inputs) { in.sinPositions = 9 }},
		{"narrow tables", "rotary table", func(in *inputs) { in.half = 15 }},
	} {
		if err := attempt(c.change); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
		if err := attempt(func(*inputs) {}); err != nil {
			t.Errorf("after %s: %v", c.name, err)
		}
	}
	for name, change := range map[string]func(*attention){
		"odd rotary":          func(a *attention) { a.rotary = 31 },
		"rotary past a head":  func(a *attention) { a.rotary = 34 },
		"negative rotary":     func(a *attention) { a.rotary = -2 },
		"no heads":            func(a *attention) { a.heads = 0 },
		"no keys":             func(a *attention) { a.kvHeads = 0 },
		"heads do not share":  func(a *attention) { a.heads = 3 },
		"head too wide":       func(a *attention) { a.head = 520 },
		"cache of blocks":     func(a *attention) { a.cache = kernels.Q8_0 },
		"a sink too few":      func(a *attention) { a.sinks = make([]float32, 3) },
		"negative window":     func(a *attention) { a.window = -1 },
		"more than 32 bits":   func(a *attention) { a.heads = 1<<32 + 4 },
		"cache over 32 bits":  func(a *attention) { a.cache += 1 << 30 },
		"window over 32 bits": func(a *attention) { a.window = 1<<32 + 3 },
	} {
		a := good
		change(&a)
		s, err := ort.NewSession(a.graph().Marshal(), ort.Options{})
		if err == nil {
			width, half := min(a.width(), 4096), max(a.rotary/2, 1)
			qkv, _ := floats(t, nil, 1, 1, width)
			table, _ := floats(t, nil, 1, half)
			b, err2 := s.NewBinding()
			if err2 != nil {
				t.Fatal(err2)
			}
			z, _ := floats(t, nil, 1, 1, min(a.heads*a.head, 4096))
			for n, v := range (values{"qkv": qkv, "cache": bytesOf(t, make([]byte, 1<<20)), "total": scalar(t, 1), "cos": table, "sin": table}) {
				if err := b.Input(n, v); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Output("z", z); err != nil {
				t.Fatal(err)
			}
			err = b.Run(stopper(t))
			b.Close()
		}
		s.Close()
		if err == nil || !strings.Contains(err.Error(), "Attention:") {
			t.Errorf("%s: %v, want an error of Attention", name, err)
		}
	}
}
