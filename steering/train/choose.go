// SPDX-License-Identifier: Apache-2.0

package train

import (
	"math"
	"slices"
)

// entry is a feature of a row: its value, and what the loss gains by a change of it.
type entry struct {
	row, feature int32
	z            float32
	grad         float32 // of the loss by z, 0 where the pre-activation has no say
	edge         float32 // of the loss by the threshold
}

// choose appends the entries of a row whose pre-activations are u, in the order of features, without gradients.
func (t *Trainer) choose(dst []entry, row int, u []float32, heap *[]entry) []entry {
	switch t.c.Arch {
	case TopK, AbsTopK:
		return t.largest(dst, row, u, t.c.K, nil, heap)
	case JumpReLU:
		return t.near(dst, row, u)
	}
	ties := t.ties[row]
	for i, v := range u {
		switch {
		case !(v > 0) || v < t.least:
			continue
		case v == t.least:
			if ties == 0 {
				continue
			}
			ties--
		}
		dst = append(dst, entry{row: int32(row), feature: int32(i), z: v})
	}
	return dst
}

// largest keeps the k largest, among the features that only holds where it is not nil.
func (t *Trainer) largest(dst []entry, row int, u []float32, k int, only []int32, heap *[]entry) []entry {
	h, signed := (*heap)[:0], t.c.Arch == AbsTopK
	n := len(u)
	if only != nil {
		n = len(only)
	}
	k = min(k, n)
	for j := range n {
		i := int32(j)
		if only != nil {
			i = only[j]
		}
		v := u[i]
		if signed {
			v = float32(math.Abs(float64(v)))
		}
		switch {
		case !(v > 0):
		case len(h) < k:
			h = append(h, entry{feature: i, z: v})
			rise(h)
		case v > h[0].z:
			h[0] = entry{feature: i, z: v}
			sink(h)
		}
	}
	*heap = h
	from := len(dst)
	for _, e := range h {
		dst = append(dst, entry{row: int32(row), feature: e.feature, z: u[e.feature]})
	}
	slices.SortFunc(dst[from:], func(a, b entry) int { return int(a.feature) - int(b.feature) })
	return dst
}

// first orders a heap whose root is the first to go: the smallest, of equal ones the last.
func first(a, b *entry) bool { return a.z < b.z || (a.z == b.z && a.feature > b.feature) }

func rise(h []entry) {
	for i := len(h) - 1; i > 0 && first(&h[i], &h[(i-1)/2]); i = (i - 1) / 2 {
		h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
	}
}

func sink(h []entry) {
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && first(&h[child+1], &h[child]) {
			child++
		}
		if !first(&h[child], &h[i]) {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}

// near keeps what is above its threshold and, with a value of 0, what is below it but so near that the threshold learns from it.
func (t *Trainer) near(dst []entry, row int, u []float32) []entry {
	half := float32(t.c.Bandwidth / 2)
	for i, v := range u {
		edge := t.w.threshold[i]
		if v <= edge-half || !(v > 0) {
			continue
		}
		e := entry{row: int32(row), feature: int32(i)}
		if v > edge {
			e.z = v
		}
		if v < edge+half {
			e.edge = 1
		}
		dst = append(dst, e)
	}
	return dst
}

// cutBatch finds the value from which on the batch's pre-activations are kept, so that there are want of them. Of those that equal it, the first rows' first
// are kept.
func (t *Trainer) cutBatch(rows, want int) {
	// A float above 0 orders as its bits do. First its upper bits, then those that share them.
	const low, bins = 19, 1 << 12
	counts := make([][bins]int, t.c.Threads)
	u := t.u[:rows*t.c.Width]
	share := (len(u) + t.c.Threads - 1) / t.c.Threads
	part := func(i int) []float32 { return u[min(i*share, len(u)):min((i+1)*share, len(u))] }
	each(t.c.Threads, t.c.Threads, 1, func(i, _ int) {
		for _, v := range part(i) {
			if v > 0 {
				counts[i][math.Float32bits(v)>>low]++
			}
		}
	})
	bin, above := bins-1, 0
	for ; bin >= 0; bin-- {
		n := 0
		for i := range counts {
			n += counts[i][bin]
		}
		if above+n >= want {
			break
		}
		above += n
	}
	t.least = 0
	if bin < 0 { // fewer are above 0 than are wanted: all of them
		return
	}
	same := make([][]float32, t.c.Threads)
	each(t.c.Threads, t.c.Threads, 1, func(i, _ int) {
		for _, v := range part(i) {
			if v > 0 && int(math.Float32bits(v)>>low) == bin {
				same[i] = append(same[i], v)
			}
		}
	})
	t.settleCut(slices.Concat(same...), rows, want-above)
}

// settleCut sets the cut to the nth largest of the values that share its bin, and how many of those that equal it each row may keep.
func (t *Trainer) settleCut(same []float32, rows, n int) {
	slices.Sort(same)
	t.least = same[len(same)-n]
	from, found := slices.BinarySearch(same, t.least)
	to := from
	for found && to < len(same) && same[to] == t.least {
		to++
	}
	left := n - (len(same) - to)
	for r := range rows {
		t.ties[r] = left
		if left == to-from { // all of them, which is the rule
			continue
		}
		here := 0
		for _, v := range t.u[r*t.c.Width : (r+1)*t.c.Width] {
			if v == t.least {
				here++
			}
		}
		t.ties[r] = min(here, left)
		left -= t.ties[r]
		to = math.MaxInt // from here on the rest is counted row by row
	}
}
