// SPDX-License-Identifier: Apache-2.0

package tokenizer

import "strings"

// worker is the scratch memory of one Encode call. The pool of a Coder hands it from call to call, so its cache stays warm without locks.
type worker struct {
	matches     []match
	spans       []span
	other       []span
	syms        []symbol
	ranks       []merge
	heap        []candidate
	best        []step // unigram's lattice
	guards      []int
	cache       map[string]cached
	cachedIDs   []int32
	matchBuffer [16]match
}

// cached is a stretch of cachedIDs.
type cached struct{ from, to int32 }

// Bounds of the word cache: about a megabyte a worker at most.
const (
	cacheWords   = 8192
	cacheWordLen = 32
)

func newWorker() *worker {
	w := &worker{cache: make(map[string]cached)}
	w.matches = w.matchBuffer[:0]
	return w
}

// recall appends the ids of a word seen before.
func (w *worker) recall(dst []int32, word string) ([]int32, bool) {
	c, ok := w.cache[word]
	if !ok {
		return dst, false
	}
	return append(dst, w.cachedIDs[c.from:c.to]...), true
}

// remember keeps the ids of a word; a full cache is emptied, because the common words are back soon.
func (w *worker) remember(word string, ids []int32) {
	if len(word) > cacheWordLen {
		return
	}
	if len(w.cache) >= cacheWords {
		clear(w.cache)
		w.cachedIDs = w.cachedIDs[:0]
	}
	from := int32(len(w.cachedIDs))
	w.cachedIDs = append(w.cachedIDs, ids...)
	w.cache[strings.Clone(word)] = cached{from, int32(len(w.cachedIDs))}
}

// rebase gives the guards of a stretch of n bytes from base. Where normalising has moved the text, their places are lost,
// and no special token is recognised in a stretch that has any.
func (w *worker) rebase(g guard, base, n int, same bool) guard {
	w.guards = w.guards[:0]
	for k := g.after(base); k < len(g.offsets) && g.offsets[k] < base+n; k++ {
		w.guards = append(w.guards, g.offsets[k]-base)
	}
	return guard{special: g.special && (same || len(w.guards) == 0), offsets: w.guards}
}
