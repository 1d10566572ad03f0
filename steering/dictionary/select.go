// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"math"
	"slices"

	"github.com/trimtab/trimtab/internal/dot"
)

// largest appends the K features that a kind of top-k keeps.
func (c *Coder) largest(dst []Feature, u []float32) []Feature {
	a := &c.d.Form.Act
	h := c.heap[:0]
	k := min(a.K, len(u))
	for i, v := range u {
		score := v
		switch {
		case a.Kind == AbsTopK:
			score = float32(math.Abs(float64(v)))
		case a.Gate != nil:
			score = v * a.Gate[i]
		}
		h = keep(h, Feature{int32(i), score}, k)
	}
	from := len(dst)
	for _, f := range h {
		if v := u[f.Index]; v > 0 || (v != 0 && a.Kind != TopK) {
			dst = append(dst, Feature{f.Index, v})
		}
	}
	sortByIndex(dst[from:])
	return dst
}

// before orders a heap whose root is the first to go: the smallest value, of equal ones the highest index.
func before(a, b Feature) bool {
	return a.Value < b.Value || (a.Value == b.Value && a.Index > b.Index)
}

func heapify(h []Feature) {
	for i := len(h)/2 - 1; i >= 0; i-- {
		sink(h, i)
	}
}

func sink(h []Feature, i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && before(h[child+1], h[child]) {
			child++
		}
		if !before(h[child], h[i]) {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}

// matchNorm is top-AFA's choice of k (SewoongLee/top-afa-sae, training/sae.py). c.x is the centred activation.
func (c *Coder) matchNorm(dst []Feature, u []float32) []Feature {
	// The reference sets the last square of the curve to 1e8, so that long activations keep every feature.
	const lastOfCurve = 1e4
	h := c.heap[:0]
	for i, v := range u {
		if v > 0 {
			h = append(h, Feature{int32(i), v * c.d.norms[i]})
		}
	}
	slices.SortFunc(h, func(a, b Feature) int {
		switch {
		case before(b, a):
			return -1
		case before(a, b):
			return 1
		}
		return 0
	})
	length := dot.Length(c.x)
	square, k, best := 0.0, 0, math.Inf(1)
	for m, f := range h {
		square += float64(f.Value) * float64(f.Value)
		curve := math.Sqrt(square)
		if m+1 == len(u) {
			curve = lastOfCurve
		}
		if off := math.Abs(curve - length); off < best {
			k, best = m+1, off
		}
	}
	if math.Abs(lastOfCurve-length) < best {
		k = len(h)
	}
	from := len(dst)
	for _, f := range h[:k] {
		dst = append(dst, Feature{f.Index, u[f.Index]})
	}
	sortByIndex(dst[from:])
	return dst
}

// keep puts a feature into a heap of the k largest.
func keep(h []Feature, f Feature, k int) []Feature {
	switch {
	case len(h) < k:
		if h = append(h, f); len(h) == k {
			heapify(h)
		}
	case f.Value > h[0].Value:
		h[0] = f
		sink(h, 0)
	}
	return h
}
