// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"math"

	"github.com/trimtab/trimtab/internal/dot"
)

// few finds the features that could be part of a code without writing anything by feature: bounds are taken by groups of eight, and only groups that reach the
// floor are looked into. What it finds is computed again from the dictionary, so that the code is that of the plain way.
type few struct {
	c         *Coder
	m         []float32
	offset    []float32 // what is added to a scaled product to have a score
	mask      uint32
	high, low []float32 // by group: the largest upper and lower bounds
	best      []Feature // the k largest lower bounds of groups, then the k largest scores of the list
	list      []Feature // with what is known of a feature's score
	reach     []float32 // upper bounds of the list's scores
}

// newFew returns nil for forms whose scores are not one product and one number each, and for small ones.
func newFew(p *ProductCoder) *few {
	f := p.c.d.Form
	if f.N%dot.Chunk != 0 || p.sums != nil || f.Act.Gate != nil {
		return nil
	}
	w := &few{c: p.c, m: p.m, offset: p.offset, mask: dot.Whole, high: make([]float32, f.N/dot.Group), low: make([]float32, f.N/dot.Group)}
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
		if 2*f.Act.K > len(w.low) {
			return nil
		}
		w.best = make([]Feature, 0, f.Act.K)
	default:
		return nil
	}
	return w
}

// encode appends the code of the centred activation whose products are within long slack.
func (w *few) encode(dst []Feature, products, slack []float32, a, long float32) []Feature {
	floor := w.floor(products, slack, a, long)
	w.find(products, slack, a, long, floor)
	if w.best != nil {
		w.narrow()
	}
	sortByIndex(w.list)
	for j := range w.list {
		w.fetch(w.list, j+ahead)
		w.list[j].Value = w.exact(w.list[j].Index)
	}
	return w.choose(dst)
}

// find lists the features whose upper bound reaches the floor.
func (w *few) find(products, slack []float32, a, long, floor float32) {
	w.list, w.reach = w.list[:0], w.reach[:0]
	for g, high := range w.high {
		if !(high >= floor) {
			continue
		}
		first := g/dot.Lanes*dot.Chunk + g%dot.Lanes
		for i := first; i < first+dot.Chunk; i += dot.Lanes {
			if sum, off := dot.Bound(products[i], w.offset[i], slack[i], a, long, w.mask); sum+off >= floor {
				w.list, w.reach = append(w.list, Feature{int32(i), sum}), append(w.reach, sum+off)
			}
		}
	}
}

// narrow computes those k that seem the largest, and drops what cannot reach the least of them.
func (w *few) narrow() {
	w.best = w.best[:0]
	for _, f := range w.list {
		w.best = keep(w.best, f, w.c.d.Form.Act.K)
	}
	floor := float32(math.Inf(1))
	for j, f := range w.best {
		w.fetch(w.best, j+ahead)
		v := w.exact(f.Index)
		if w.mask == dot.Unsigned {
			v = abs(v)
		}
		floor = min(floor, v)
	}
	n := 0
	for j, f := range w.list {
		if w.reach[j] >= floor {
			w.list[n] = f
			n++
		}
	}
	w.list = w.list[:n]
}

// ahead is how many features before its turn a row of the dictionary is asked for: rows lie anywhere in more memory than the processor's caches hold.
const ahead = 2

func (w *few) fetch(list []Feature, j int) {
	if j < len(list) {
		in := w.c.d.Form.In
		dot.Fetch(w.m[int(list[j].Index)*in:][:in])
	}
}

func (w *few) exact(i int32) float32 {
	f := w.c.d.Form
	v := dot.Pair(w.m[int(i)*f.In:(int(i)+1)*f.In], w.c.x)
	if f.EncBias != nil {
		v += f.EncBias[i]
	}
	return v
}

// floor is what a score must reach: to be above 0, or the k-th largest lower bound of a group, below which at least k features are not.
func (w *few) floor(products, slack []float32, a, long float32) float32 {
	dot.Reach(w.high, w.low, products, w.offset, slack, a, long, w.mask)
	if w.best == nil {
		return math.SmallestNonzeroFloat32
	}
	w.best = w.best[:0]
	for g, low := range w.low {
		w.best = keep(w.best, Feature{int32(g), low}, w.c.d.Form.Act.K)
	}
	return w.best[0].Value
}

// choose is Coder.Select of what was found.
func (w *few) choose(dst []Feature) []Feature {
	a := &w.c.d.Form.Act
	if w.best != nil {
		return w.largest(dst)
	}
	for _, f := range w.list {
		v := f.Value
		if !(v > 0) || (a.Kind == JumpReLU && !(v > a.Threshold[f.Index])) {
			continue
		}
		if a.Kind == TanhReLU {
			v = float32(math.Tanh(float64(v)))
		}
		dst = append(dst, Feature{f.Index, v})
	}
	return dst
}

// largest is Coder.largest of what was found; the heap holds places in the list.
func (w *few) largest(dst []Feature) []Feature {
	a := &w.c.d.Form.Act
	h := w.c.heap[:0]
	for j, f := range w.list {
		score := f.Value
		if a.Kind == AbsTopK {
			score = abs(score)
		}
		h = keep(h, Feature{int32(j), score}, a.K)
	}
	from := len(dst)
	for _, place := range h {
		f := w.list[place.Index]
		if f.Value > 0 || (f.Value != 0 && a.Kind != TopK) {
			dst = append(dst, f)
		}
	}
	sortByIndex(dst[from:])
	return dst
}
