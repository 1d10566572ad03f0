// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
)

// symbolsOf sets a worker up for one merge, by bytes or by characters.
func symbolsOf(m model, word string) *worker {
	w := newWorker()
	switch m := m.(type) {
	case *bpe:
		m.byteSymbols(w, word)
	case *spm:
		for i := 0; i < len(word); {
			n := runeLen(word[i:])
			id, ok := m.vocab[word[i:i+n]]
			if !ok {
				id = -1
			}
			w.push(id, i, i+n)
			i += n
		}
	}
	return w
}

func idsOf(w *worker) (ids []int32) {
	for _, s := range w.syms {
		ids = append(ids, s.id, s.from, s.to)
	}
	return ids
}

// TestHeapIsScan holds the two ways of merging equal, on words of all lengths.
func TestHeapIsScan(t *testing.T) {
	for _, c := range []*Coder{
		mustGGUF(t, fixture.Path(t, "data/ggerganov+llama.cpp/models/ggml-vocab-gpt-2.gguf")),
		mustGGUF(t, fixture.Path(t, "data/ggerganov+llama.cpp/models/ggml-vocab-llama-spm.gguf")),
	} {
		r := rand.New(rand.NewPCG(3, 5))
		for range 2000 {
			var b strings.Builder
			for range 1 + r.IntN(60) {
				b.WriteString([]string{"a", "b", "the", "in", "▁", "e", "r", "s", " ", "é", "中", "ing"}[r.IntN(12)])
			}
			word := b.String()
			scan, heap := symbolsOf(c.model, word), symbolsOf(c.model, word)
			scan.mergeScan(word, c.model.(joiner))
			heap.mergeHeap(word, c.model.(joiner))
			if got, want := idsOf(heap), idsOf(scan); !slices.Equal(got, want) {
				t.Fatalf("mergeHeap(%q) = %v, want %v", word, got, want)
			}
		}
	}
}

func TestPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	p, m := newPairs(5000), map[[2]int32]merge{}
	for i := range 5000 {
		k := [2]int32{r.Int32N(300), r.Int32N(300)}
		v := merge{int32(i), int32(2 * i)}
		p.put(k[0], k[1], v)
		if _, twice := m[k]; !twice {
			m[k] = v
		}
	}
	for a := range int32(300) {
		for b := range int32(300) {
			want, ok := m[[2]int32{a, b}]
			if got, found := p.get(a, b); found != ok || got != want {
				t.Fatalf("get(%d, %d) = %v, %v, want %v, %v", a, b, got, found, want, ok)
			}
		}
	}
}

func TestPrefixes(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 9))
	word := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte("ab\xff"[r.IntN(3)])
		}
		return b.String()
	}
	m := map[string]int32{}
	var keys []string
	var vals []int32
	for i := range int32(200) {
		k := word(1 + r.IntN(6))
		if _, twice := m[k]; !twice {
			m[k] = i
		}
		keys, vals = append(keys, k), append(vals, i)
	}
	p := newPrefixes(keys, vals)
	for range 2000 {
		s := word(r.IntN(9))
		var want []match
		for n := 1; n <= len(s); n++ {
			if v, ok := m[s[:n]]; ok {
				want = append(want, match{int32(n), v})
			}
		}
		if got := p.all(nil, s); !slices.Equal(got, want) {
			t.Fatalf("all(%q) = %v, want %v", s, got, want)
		}
	}
}
