// SPDX-License-Identifier: Apache-2.0

package tokenizer

import "math"

// symbol is a stretch of a word on its way to becoming a token; id is -1 where no token stands for it.
type symbol struct {
	id         int32
	from, to   int32 // bytes of the word
	prev, next int32 // neighbours in the list that mergeHeap keeps
}

// joiner knows which neighbours may be joined.
type joiner interface {
	join(word string, a, b *symbol) (merge, bool)
}

// scanLimit is where the quadratic scan stops being faster than the heap.
const scanLimit = 48

const (
	never = math.MaxInt32 // the rank of what does not join
	taken = -2            // the id of a symbol that its left neighbour has swallowed
)

// mergeAll joins neighbours, lowest rank first and leftmost among equals, until nothing joins.
func (w *worker) mergeAll(word string, j joiner) {
	if len(w.syms) <= scanLimit {
		w.mergeScan(word, j)
		return
	}
	w.mergeHeap(word, j)
}

// mergeScan looks for the lowest rank anew after each join: the plain way, and the fast one for short words.
func (w *worker) mergeScan(word string, j joiner) {
	syms := w.syms
	w.ranks = w.ranks[:0]
	for i := range syms {
		w.ranks = append(w.ranks, rankAt(word, syms, i, j))
	}
	ranks := w.ranks
	for {
		best := lowest(ranks)
		if best < 0 {
			break
		}
		syms[best].id, syms[best].to = ranks[best].id, syms[best+1].to
		syms = append(syms[:best+1], syms[best+2:]...)
		ranks = append(ranks[:best+1], ranks[best+2:]...)
		ranks[best] = rankAt(word, syms, best, j)
		if best > 0 {
			ranks[best-1] = rankAt(word, syms, best-1, j)
		}
	}
	w.syms = syms
}

func rankAt(word string, syms []symbol, i int, j joiner) merge {
	if i+1 >= len(syms) {
		return merge{rank: never}
	}
	if m, ok := j.join(word, &syms[i], &syms[i+1]); ok {
		return m
	}
	return merge{rank: never}
}

func lowest(ranks []merge) int {
	best, rank := -1, int32(never)
	for i := range ranks {
		if ranks[i].rank < rank {
			best, rank = i, ranks[i].rank
		}
	}
	return best
}

// candidate is a possible join in the heap; it is stale when either symbol has changed since.
type candidate struct {
	merge
	left, right      int32 // indices in syms
	leftID, rightEnd int32 // what the two symbols were when the candidate was made
}

func (c *candidate) before(d *candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.left < d.left
}

// mergeHeap does what mergeScan does in O(n log n), for words that may be whole texts.
func (w *worker) mergeHeap(word string, j joiner) {
	w.heap = w.heap[:0]
	n := int32(len(w.syms))
	for i := range n {
		w.syms[i].prev, w.syms[i].next = i-1, i+1
	}
	w.syms[n-1].next = -1
	for i := range n - 1 {
		w.offer(word, i, i+1, j)
	}
	for len(w.heap) > 0 {
		c := w.pop()
		l, r := &w.syms[c.left], &w.syms[c.right]
		if l.id != c.leftID || l.next != c.right || r.to != c.rightEnd {
			continue
		}
		l.id, l.to, l.next = c.id, r.to, r.next
		r.id, r.from = taken, r.to
		if l.next >= 0 {
			w.syms[l.next].prev = c.left
			w.offer(word, c.left, l.next, j)
		}
		if l.prev >= 0 {
			w.offer(word, l.prev, c.left, j)
		}
	}
	w.keepLive()
}

func (w *worker) keepLive() {
	live := w.syms[:0]
	for _, s := range w.syms {
		if s.id != taken {
			live = append(live, s)
		}
	}
	w.syms = live
}

func (w *worker) offer(word string, left, right int32, j joiner) {
	l, r := &w.syms[left], &w.syms[right]
	m, ok := j.join(word, l, r)
	if !ok {
		return
	}
	w.heap = append(w.heap, candidate{m, left, right, l.id, r.to})
	h := w.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (w *worker) pop() candidate {
	h := w.heap
	top, last := h[0], len(h)-1
	h[0] = h[last]
	w.heap = h[:last]
	h = w.heap
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if h[child].before(&h[least]) {
				least = child
			}
		}
		if least == i {
			return top
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
