// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package kernels

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Shapes [rows, cols] of SmolLM2-135M: q, k and v stacked, o, gate and up stacked, down; 30 layers; the head is the Q8_0 embedding.
var layerShapes = [][2]int{{960, 576}, {576, 576}, {3072, 576}, {576, 1536}}

const layers = 30

func allocated(tb testing.TB, n int) []byte {
	tb.Helper()
	b, err := Alloc(n)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = Free(b) })
	return b
}

func benchWeight(tb testing.TB, t Type, rows, cols int) Weight {
	return packedIn(tb, allocated(tb, PackedBytes(t, rows, cols)), t, rows, cols)
}

func packedIn(tb testing.TB, memory []byte, t Type, rows, cols int) Weight {
	w := Weight{Type: t, Rows: rows, Cols: cols, Data: memory}
	if err := Pack(w, Piece{Data: stored(rand.New(rand.NewPCG(1, 1)), t, rows, cols, -8, -3), Rows: rows}); err != nil {
		tb.Fatal(err)
	}
	return w
}

// BenchmarkShapes repeats one product: its weights stay in the cache.
func BenchmarkShapes(b *testing.B) {
	for _, c := range []struct {
		t          Type
		rows, cols int
	}{{Q4_1, 576, 576}, {Q4_1, 192, 576}, {Q4_1, 1536, 576}, {Q4_1, 576, 1536}, {Q4_0, 576, 576}, {Q5_0, 576, 576}, {Q8_0, 49152, 576}, {Q6_0, 16384, 576}, {Q8_0, 16384, 576}, {Q4_K, 512, 512}, {Q6_K, 512, 512}, {F16, 576, 576}} {
		for _, m := range []int{1, 8, 512} {
			if m > 8 && c.rows > 4096 {
				continue
			}
			b.Run(fmt.Sprintf("type=%d/%dx%d/m=%d", c.t, c.rows, c.cols, m), func(b *testing.B) {
				w := benchWeight(b, c.t, c.rows, c.cols)
				x, y := make([]float32, m*c.cols), make([]float32, m*c.rows)
				scratch := make([]byte, ScratchBytes(c.t, m, c.cols))
				for b.Loop() {
					_ = Linear(y, x, w, m, scratch, 1)
				}
				perProduct := b.Elapsed().Seconds() / float64(b.N)
				b.ReportMetric(float64(len(w.Data))/perProduct/1e9, "GB/s")
				b.ReportMetric(float64(m*c.rows*c.cols)/perProduct/1e9, "GMAC/s")
			})
		}
	}
}

// BenchmarkToken runs the products of all layers, each with memory of its own, as a token does. ms/token is the best of the runs as well as
// the mean, since other work on a machine only ever adds time.
func BenchmarkToken(b *testing.B) {
	for _, typ := range []Type{Q4_1, Q4_0, Q8_0} {
		var weights []Weight
		bytes := 0
		for _, s := range layerShapes {
			bytes += layers * PackedBytes(typ, s[0], s[1])
		}
		rest := allocated(b, bytes) // in one piece, as a model's weights lie
		for range layers {
			for _, s := range layerShapes {
				n := PackedBytes(typ, s[0], s[1])
				weights = append(weights, packedIn(b, rest[:n:n], typ, s[0], s[1]))
				rest = rest[n:]
			}
		}
		head := benchWeight(b, Q8_0, 49152, 576)
		for _, isa := range isas()[1:] {
			for _, m := range []int{1, 2, 4, 8, 16, 512} {
				for _, threads := range []int{1, 2} {
					b.Run(fmt.Sprintf("type=%d/%s/m=%d/threads=%d", typ, isa, m, threads), func(b *testing.B) {
						selectISA(b, isa)
						token := tokenRunner(append(weights[:len(weights):len(weights)], head), m, threads)
						best := time.Hour
						for b.Loop() {
							start := time.Now()
							token()
							best = min(best, time.Since(start))
						}
						b.ReportMetric(best.Seconds()*1e3/float64(m), "best-ms/token")
						b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N*m), "mean-ms/token")
						b.ReportMetric(float64(bytes+len(head.Data))/best.Seconds()/1e9, "GB/s")
					})
				}
			}
		}
	}
}

// tokenRunner returns a function that computes every product once. With few rows, which are sequences side by side, the last weight, the head, is computed for each; of
// a prompt for its last row only.
func tokenRunner(weights []Weight, m, threads int) func() {
	x, y := make([]float32, m*1536), make([]float32, m*49152)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	scratch := make([]byte, ScratchBytes(Q4_1, m, 1536))
	return func() {
		for i, w := range weights {
			rows := m
			if i == len(weights)-1 && m > 16 {
				rows = 1
			}
			_ = Linear(y, x, w, rows, scratch, threads)
		}
	}
}

// BenchmarkPack lays out a model's weights in fresh memory, as a cold start does.
func BenchmarkPack(b *testing.B) {
	for _, threads := range []int{1, 2} {
		for _, typ := range []Type{Q4_1, Q4_0, Q8_0, Q5_0, Q4_K, Q6_K, F16} {
			b.Run(fmt.Sprintf("type=%d/threads=%d", typ, threads), func(b *testing.B) {
				const rows, cols = 30 * 3072, 1024
				src := stored(rand.New(rand.NewPCG(1, 1)), typ, rows, cols, -8, -3)
				b.SetBytes(int64(len(src)))
				for b.Loop() {
					w := Weight{Type: typ, Rows: rows, Cols: cols}
					w.Data, _ = Alloc(PackedBytes(typ, rows, cols))
					var wg sync.WaitGroup
					for i := range threads {
						tiles := Tiles(rows)
						wg.Go(func() { _ = PackTiles(w, tiles*i/threads, tiles*(i+1)/threads, Piece{Data: src, Rows: rows}) })
					}
					wg.Wait()
					_ = Free(w.Data)
				}
			})
		}
	}
}

// BenchmarkAttention is attention of all layers, each with a cache of its own: one token at the end of a context, or a whole prompt.
func BenchmarkAttention(b *testing.B) {
	const heads, kvHeads, head = 9, 3, 64
	for _, typ := range []Type{F16, F32, I8} {
		for _, c := range [][2]int{{32, 1}, {1024, 1}, {4096, 1}, {512, 512}} {
			tokens, queries := c[0], c[1]
			q := inputs(rand.New(rand.NewPCG(1, 1)), tokens*heads*head, 1)
			var caches []Cache
			for range layers {
				cache := Cache{Type: typ, Heads: kvHeads, Head: head, Data: allocated(b, CacheBytes(typ, kvHeads, head, tokens))}
				if err := cache.Append(0, q[:tokens*kvHeads*head], q[:tokens*kvHeads*head]); err != nil {
					b.Fatal(err)
				}
				caches = append(caches, cache)
			}
			for _, isa := range isas()[1:] {
				for _, threads := range []int{1, 2} {
					b.Run(fmt.Sprintf("type=%d/%s/tokens=%d/queries=%d/threads=%d", typ, isa, tokens, queries, threads), func(b *testing.B) {
						selectISA(b, isa)
						y, scratch, best := make([]float32, queries*heads*head), make([]byte, 1<<22), time.Hour
						for b.Loop() {
							start := time.Now()
							for _, cache := range caches {
								a := Attention{Cache: cache, Heads: heads, First: tokens - queries, Queries: queries, Scale: 0.125}
								if err := Attend(y, q, a, scratch, threads); err != nil {
									b.Fatal(err)
								}
							}
							best = min(best, time.Since(start))
						}
						b.ReportMetric(best.Seconds()*1e3/float64(queries), "best-ms/token")
					})
				}
			}
		}
	}
}
