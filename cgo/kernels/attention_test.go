// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/trimtab/trimtab/models/quant"
)

// attention64 is the definition in float64, over all tokens at once.
func attention64(a Attention, q, k, v []float32) []float64 {
	d, share := a.Cache.Head, a.Heads/a.Cache.Heads
	y := make([]float64, a.Queries*a.Heads*d)
	for i := range a.Queries {
		at, from := a.First+i, 0
		if a.Window > 0 {
			from = max(0, at-a.Window+1)
		}
		for h := range a.Heads {
			weights, sum, top := make([]float64, at+1), 0.0, math.Inf(-1)
			for t := from; t <= at; t++ {
				for c := range d {
					weights[t] += float64(q[(i*a.Heads+h)*d+c]) * float64(k[(t*a.Cache.Heads+h/share)*d+c])
				}
				weights[t] *= float64(a.Scale)
				if a.Softcap > 0 {
					weights[t] = float64(a.Softcap) * math.Tanh(weights[t]/float64(a.Softcap))
				}
				top = max(top, weights[t])
			}
			if a.Sinks != nil {
				top = max(top, float64(a.Sinks[h]))
				sum = math.Exp(float64(a.Sinks[h]) - top)
			}
			for t := from; t <= at; t++ {
				weights[t] = math.Exp(weights[t] - top)
				sum += weights[t]
			}
			for t := from; t <= at; t++ {
				for c := range d {
					y[(i*a.Heads+h)*d+c] += weights[t] / sum * float64(v[(t*a.Cache.Heads+h/share)*d+c])
				}
			}
		}
	}
	return y
}

// kept is what a cache of type t makes of keys or values with heads of so many columns.
func kept(t Type, head int, x []float32) []float32 {
	out := slices.Clone(x)
	switch t {
	case F16:
		for i, v := range x {
			out[i] = quant.F16ToF32(quant.F32ToF16(v))
		}
	case I8:
		for h := 0; h < len(x); h += head {
			for g := h; g < h+head; g += 32 {
				roundBytes(out[g:min(g+32, h+head)])
			}
		}
	}
	return out
}

// roundBytes is the rounding of plain.c: bytes and one scale, 254 times that of inputs.
func roundBytes(x []float32) {
	var top float32
	for _, v := range x {
		top = max(top, float32(math.Abs(float64(v))))
	}
	if top < 0x1p-120 {
		clear(x)
		return
	}
	inverse := 127 / top
	for i, v := range x {
		x[i] = 254 * (top / (127 * 254)) * float32(int8(math.RoundToEven(float64(v*inverse))))
	}
}

var cacheTypes = []Type{F32, F16, I8}

func filledCache(tb testing.TB, t Type, heads, head int, k, v []float32) Cache {
	tb.Helper()
	tokens := len(k) / (heads * head)
	c := Cache{Type: t, Heads: heads, Head: head, Data: make([]byte, CacheBytes(t, heads, head, tokens))}
	for i := range c.Data {
		c.Data[i] = 0x3a // what an earlier, longer sequence left behind
	}
	if err := c.Append(0, k, v); err != nil {
		tb.Fatal(err)
	}
	return c
}

func attended(tb testing.TB, a Attention, q []float32, threads int) []float32 {
	tb.Helper()
	y := make([]float32, a.Queries*a.Heads*a.Cache.Head)
	if err := Attend(y, q, a, make([]byte, AttentionScratch(a)), threads); err != nil {
		tb.Fatal(err)
	}
	return y
}

func TestAttention(t *testing.T) {
	cases := []struct {
		name                 string
		heads, kvHeads, head int
		first, queries       int
		window               int
		softcap              float32
		sink                 float32 // of the first head, twice that of the second and so on; 0 is none
		spread               float64 // of queries: large ones make softmax pick one token
	}{
		{name: "first token", heads: 9, kvHeads: 3, head: 64, queries: 1},
		{name: "decode", heads: 9, kvHeads: 3, head: 64, first: 36, queries: 1},
		{name: "decode at a block's edge", heads: 9, kvHeads: 3, head: 64, first: 31, queries: 1},
		{name: "decode over segments", heads: 4, kvHeads: 2, head: 64, first: 1023, queries: 1},
		{name: "decode at a segment's edge", heads: 2, kvHeads: 1, head: 32, first: 256, queries: 1},
		{name: "prefill", heads: 9, kvHeads: 3, head: 64, queries: 130},
		{name: "prefill over segments", heads: 3, kvHeads: 1, head: 32, queries: 300},
		{name: "second chunk", heads: 8, kvHeads: 2, head: 16, first: 500, queries: 50},
		{name: "two queries", heads: 5, kvHeads: 1, head: 48, first: 300, queries: 2},
		{name: "no sharing", heads: 3, kvHeads: 3, head: 128, first: 5, queries: 19},
		{name: "head not a multiple of 16", heads: 4, kvHeads: 2, head: 24, first: 10, queries: 21},
		{name: "head of one", heads: 2, kvHeads: 1, head: 1, first: 3, queries: 7},
		{name: "largest head", heads: 2, kvHeads: 2, head: 512, first: 17, queries: 3},
		{name: "window", heads: 4, kvHeads: 1, head: 24, first: 0, queries: 40, window: 8},
		{name: "window of one", heads: 4, kvHeads: 2, head: 32, first: 20, queries: 33, window: 1},
		{name: "window far along", heads: 4, kvHeads: 2, head: 32, first: 900, queries: 1, window: 100},
		{name: "window over segments", heads: 4, kvHeads: 2, head: 32, first: 500, queries: 70, window: 260},
		{name: "softcap", heads: 4, kvHeads: 2, head: 64, first: 40, queries: 9, softcap: 5},
		{name: "sharp", heads: 9, kvHeads: 3, head: 64, first: 270, queries: 20, spread: 60},
		{name: "sinks", heads: 8, kvHeads: 2, head: 64, first: 40, queries: 9, sink: -0.7},
		{name: "sinks, decode over segments", heads: 4, kvHeads: 2, head: 64, first: 600, queries: 1, sink: 1.5},
		{name: "sinks above all scores", heads: 4, kvHeads: 1, head: 64, first: 300, queries: 30, sink: 30, window: 128},
		{name: "sharp with softcap", heads: 9, kvHeads: 3, head: 64, first: 270, queries: 2, spread: 60, softcap: 30},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(c.first), uint64(c.queries)))
			tokens := c.first + c.queries
			if c.spread == 0 {
				c.spread = 2
			}
			q := inputs(r, c.queries*c.heads*c.head, c.spread)
			k, v := inputs(r, tokens*c.kvHeads*c.head, 1), inputs(r, tokens*c.kvHeads*c.head, 1)
			var sinks []float32
			for h := 1; h <= c.heads && c.sink != 0; h++ {
				sinks = append(sinks, c.sink*float32(h))
			}
			for _, typ := range cacheTypes {
				cache := filledCache(t, typ, c.kvHeads, c.head, k, v)
				a := Attention{
					Cache: cache, Heads: c.heads, First: c.first, Queries: c.queries, Window: c.window,
					Scale: float32(1 / math.Sqrt(float64(c.head))), Softcap: c.softcap, Sinks: sinks,
				}
				want := attention64(a, q, kept(typ, c.head, k), kept(typ, c.head, v))
				for _, isa := range isas() {
					selectISA(t, isa)
					for i, got := range attended(t, a, q, 1) {
						// A score of spread s is rounded by about s*sqrt(head)*2^-24, and its exponential by as much, relatively. Values are of size 1.
						if d := math.Abs(float64(got) - want[i]); !(d <= 2e-6*(1+c.spread)) {
							t.Fatalf("%s: type %d: value %d: %v, want %v", isa, typ, i, got, want[i])
						}
					}
				}
			}
		})
	}
}

// TestAttentionDoesNotDependOnBatchOrSplit: token by token, in chunks, on threads, part by part: the same bits.
func TestAttentionDoesNotDependOnBatchOrSplit(t *testing.T) {
	const heads, kvHeads, head, tokens = 6, 2, 40, 530
	r := rand.New(rand.NewPCG(21, 22))
	q := inputs(r, tokens*heads*head, 2)
	k, v := inputs(r, tokens*kvHeads*head, 1), inputs(r, tokens*kvHeads*head, 1)
	for _, isa := range isas() {
		selectISA(t, isa)
		for _, typ := range cacheTypes {
			for _, window := range []int{0, 300} {
				a := Attention{Cache: filledCache(t, typ, kvHeads, head, k, v), Heads: heads, Queries: tokens, Window: window, Scale: 0.15}
				want := attended(t, a, q, 1)
				what := fmt.Sprintf("%s: type %d: window %d", isa, typ, window)
				equalBits(t, what+": threads", attended(t, a, q, 3), want)
				for _, chunk := range [][2]int{{0, 1}, {15, 1}, {255, 3}, {256, 1}, {254, 5}, {529, 1}, {100, 200}, {513, 17}} {
					b := a
					b.First, b.Queries = chunk[0], chunk[1]
					at := b.First * heads * head
					for _, threads := range []int{1, 4} {
						got := attended(t, b, q[at:][:b.Queries*heads*head], threads)
						equalBits(t, fmt.Sprintf("%s: tokens %d to %d", what, b.First, b.First+b.Queries-1), got, want[at:][:len(got)])
					}
				}
			}
		}
	}
}

// TestAttentionLeavesUnseenTokensOut puts a value that is not a number into each token in turn: results of queries that do not see it keep their bits, those of
// queries that do are not numbers.
func TestAttentionLeavesUnseenTokensOut(t *testing.T) {
	const heads, head, tokens, window = 3, 24, 40, 21
	r := rand.New(rand.NewPCG(25, 26))
	q := inputs(r, tokens*heads*head, 2)
	k, v := inputs(r, tokens*head, 1), inputs(r, tokens*head, 1)
	nan := float32(math.NaN())
	for _, isa := range isas() {
		selectISA(t, isa)
		for _, typ := range cacheTypes {
			for _, window := range []int{0, window} {
				a := Attention{Cache: filledCache(t, typ, 1, head, k, v), Heads: heads, Queries: tokens, Window: window, Scale: 0.2}
				want := attended(t, a, q, 1)
				for bad := range tokens {
					for name, side := range map[string][]float32{"key": k, "value": v} {
						was := side[bad*head]
						side[bad*head] = nan
						b := a
						b.Cache = filledCache(t, typ, 1, head, k, v)
						side[bad*head] = was
						got := attended(t, b, q, 1)
						for i := range tokens {
							row := got[i*heads*head:][:heads*head]
							seen := bad <= i && (window == 0 || bad > i-window)
							if !seen {
								equalBits(t, fmt.Sprintf("%s: type %d: window %d: query %d, %s %d", isa, typ, window, i, name, bad), row, want[i*heads*head:][:len(row)])
							} else if row[0] == row[0] {
								t.Fatalf("%s: type %d: window %d: query %d sees %s %d, which is not a number, and is %v", isa, typ, window, i, name, bad, row[0])
							}
						}
					}
				}
			}
		}
	}
}

// TestBytesShowWhatIsNotFinite: no column of its group is a number then, the others are, and extreme sizes do not overflow.
func TestBytesShowWhatIsNotFinite(t *testing.T) {
	const head, tokens = 40, 17
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, isa := range isas() {
		selectISA(t, isa)
		for _, x := range []float32{nan, inf, -inf} {
			k := make([]float32, tokens*head)
			k[16*head+3], k[16*head+35] = x, 3e38
			c := filledCache(t, I8, 1, head, k, k)
			gotK, gotV := make([]float32, len(k)), make([]float32, len(k))
			if err := c.Read(0, gotK, gotV); err != nil {
				t.Fatal(err)
			}
			for _, got := range [][]float32{gotK, gotV} {
				for i, y := range got {
					bad := i >= 16*head && i < 16*head+32
					if bad != (y-y != 0) || i == 16*head+35 && !(y > 2.9e38) {
						t.Fatalf("%s: %v at column 3 of token 16: column %d of token %d is %v", isa, x, i%head, i/head, y)
					}
				}
			}
		}
	}
}

func TestCache(t *testing.T) {
	const heads, head, tokens = 3, 20, 45
	r := rand.New(rand.NewPCG(23, 24))
	k, v := inputs(r, tokens*heads*head, 1), inputs(r, tokens*heads*head, 1)
	copy(k, []float32{0, float32(math.Copysign(0, -1)), 65504, 65519, 65520, 1e30, 5.96e-8, 2.98e-8, 2.99e-8, 6.1e-5, -6.09e-5, 1 + 1.0/2048, 1 + 3.0/2048})
	for _, isa := range isas() {
		selectISA(t, isa)
		for _, typ := range cacheTypes {
			whole := filledCache(t, typ, heads, head, k, v)
			pieces := Cache{Type: typ, Heads: heads, Head: head, Data: make([]byte, len(whole.Data))}
			for i := 0; i < tokens; i += 7 {
				end := min(i+7, tokens)
				if err := pieces.Append(i, k[i*heads*head:end*heads*head], v[i*heads*head:end*heads*head]); err != nil {
					t.Fatal(err)
				}
			}
			fork := Cache{Type: typ, Heads: heads, Head: head, Data: append([]byte(nil), pieces.Data...)}
			for _, c := range []Cache{whole, pieces, fork} {
				gotK, gotV := make([]float32, 30*heads*head), make([]float32, 30*heads*head)
				if err := c.Read(0, gotK, gotV); err != nil {
					t.Fatal(err)
				}
				equalBits(t, isa+" keys", gotK, kept(typ, head, k)[:len(gotK)])
				equalBits(t, isa+" values", gotV, kept(typ, head, v)[:len(gotV)])
			}
		}
	}
}

func TestAttentionRefusals(t *testing.T) {
	cache := Cache{Type: F16, Heads: 2, Head: 16, Data: make([]byte, CacheBytes(F16, 2, 16, 16))}
	good := Attention{Cache: cache, Heads: 4, First: 7, Queries: 1, Scale: 1}
	x := make([]float32, 64)
	with := func(change func(*Attention)) error {
		a := good
		change(&a)
		return Attend(x, x, a, make([]byte, 1<<20), 1)
	}
	if err := with(func(*Attention) {}); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		err  error
	}{
		{"heads that do not share", with(func(a *Attention) { a.Heads = 3 })},
		{"no heads", with(func(a *Attention) { a.Heads = 0 })},
		{"no queries", with(func(a *Attention) { a.Queries = 0 })},
		{"more tokens than the cache", with(func(a *Attention) { a.First = 16 })},
		{"negative token", with(func(a *Attention) { a.First = -1 })},
		{"negative window", with(func(a *Attention) { a.Window = -1 })},
		{"a sink too few", with(func(a *Attention) { a.Sinks = make([]float32, 3) })},
		{"type", with(func(a *Attention) { a.Cache.Type = Q8_0 })},
		{"head too wide", with(func(a *Attention) { a.Cache.Head = 513 })},
		{"short queries", Attend(x, x[:63], good, make([]byte, 1<<20), 1)},
		{"short results", Attend(x[:63], x, good, make([]byte, 1<<20), 1)},
		{"append past the end", cache.Append(16, x[:32], x[:32])},
		{"append half a token", cache.Append(0, x[:31], x[:31])},
		{"append more keys than values", cache.Append(0, x[:64], x[:32])},
		{"read past the end", cache.Read(15, x, x)},
	}
	for _, c := range cases {
		if c.err == nil {
			t.Errorf("%s: want an error", c.name)
		}
	}
}
