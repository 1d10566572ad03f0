// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"math"

	"github.com/trimtab/trimtab/internal/dot"
)

// few finds the features that could be part of a code by bounds on their scores. What it finds is computed again from the dictionary, so that the code is that of
// the plain way.
type few struct {
	c      *Coder
	m      []float32
	offset []float32 // what is added to a scaled product to have a score
	mask   uint32
	upper  []float32 // how large scores may be
	tops   []float32 // the largest of each group
	best   []Feature // the k groups with the largest tops
	list   []int32   // features that could be part of the code
	values []float32 // theirs, computed again
}

// newFew returns nil for forms whose scores are not one product and one number each, and for small ones.
func newFew(p *ProductCoder) *few {
	f := p.c.d.Form
	if f.N%dot.Chunk != 0 || p.sums != nil || f.Act.Gate != nil {
		return nil
	}
	w := &few{c: p.c, m: p.m, offset: p.offset, mask: dot.Whole}
	switch f.Act.Kind {
	case ReLU, TanhReLU:
	case JumpReLU:
		w.offset = make([]float32, f.N)
		for i, t := range f.Act.Threshold {
			w.offset[i] = max(p.offset[i]-max(t, 0), -1e30)
		}
	case AbsTopK, TopK, RawTopK:
		if f.Act.Kind == AbsTopK {
			w.mask = dot.Unsigned
		}
		if 2*f.Act.K > f.N/dot.Group {
			return nil
		}
		w.best = make([]Feature, 0, f.Act.K)
	default:
		return nil
	}
	w.upper, w.tops = make([]float32, f.N), make([]float32, f.N/dot.Group)
	w.list, w.values = make([]int32, f.N), make([]float32, f.N)
	return w
}

// encode appends the code of the centred activation whose products are within long slack.
func (w *few) encode(dst []Feature, products, slack []float32, a, long float32) []Feature {
	dot.Reach(w.upper, w.tops, products, w.offset, slack, a, long, w.mask)
	floor := float32(math.SmallestNonzeroFloat32) // to be above 0
	if w.best != nil {
		floor = w.floor()
	}
	w.list = dot.Collect(w.list, w.upper, floor)
	w.compute()
	return w.choose(dst)
}

// floor is what a score must reach to be among the k largest: the least of k that seem to be large.
func (w *few) floor() float32 {
	w.largestGroups()
	w.list = w.list[:0]
	for _, group := range w.best {
		first := dot.First(int(group.Index))
		for i := first; i < first+dot.Chunk; i += dot.Lanes {
			if w.upper[i] == group.Value {
				w.list = append(w.list, int32(i))
				break
			}
		}
	}
	if len(w.list) < len(w.best) { // a bound is no number
		return float32(math.Inf(-1))
	}
	w.compute()
	floor := float32(math.Inf(1))
	for _, v := range w.values {
		if w.mask == dot.Unsigned {
			v = abs(v)
		}
		floor = min(floor, v)
	}
	return floor
}

// largestGroups puts the k groups with the largest bounds into best.
func (w *few) largestGroups() {
	w.best = w.best[:0]
	k := w.c.d.Form.Act.K
	for g, top := range w.tops[:k] {
		w.best = append(w.best, Feature{int32(g), top})
	}
	heapify(w.best)
	for g, top := range w.tops[k:] {
		if top > w.best[0].Value {
			w.best[0] = Feature{int32(k + g), top}
			sink(w.best, 0)
		}
	}
}

// compute writes the scores of the features in the list to values.
func (w *few) compute() {
	w.values = w.values[:len(w.list)]
	dot.Rows(w.values, w.m, w.list, w.c.x)
	if bias := w.c.d.Form.EncBias; bias != nil {
		for j, i := range w.list {
			w.values[j] += bias[i]
		}
	}
}

// choose is Coder.Select of what was found.
func (w *few) choose(dst []Feature) []Feature {
	a := &w.c.d.Form.Act
	if w.best != nil {
		return w.largest(dst)
	}
	for j, i := range w.list {
		v := w.values[j]
		if !(v > 0) || (a.Kind == JumpReLU && !(v > a.Threshold[i])) {
			continue
		}
		if a.Kind == TanhReLU {
			v = float32(math.Tanh(float64(v)))
		}
		dst = append(dst, Feature{i, v})
	}
	return dst
}

// largest is Coder.largest of what was found; the heap holds places in the list.
func (w *few) largest(dst []Feature) []Feature {
	a := &w.c.d.Form.Act
	h := w.c.heap[:0]
	for j, score := range w.values {
		if a.Kind == AbsTopK {
			score = abs(score)
		}
		h = keep(h, Feature{int32(j), score}, a.K)
	}
	from := len(dst)
	for _, place := range h {
		if v := w.values[place.Index]; v > 0 || (v != 0 && a.Kind != TopK) {
			dst = append(dst, Feature{w.list[place.Index], v})
		}
	}
	sortByIndex(dst[from:])
	return dst
}
