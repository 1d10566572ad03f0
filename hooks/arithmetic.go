// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"math"
	"slices"
)

// Operands returns the directions as the formulas of Op use them: as given for Add and AddKeepNorm, unit length for the projections and Clamp,
// an orthonormal basis of the plane for Rotate; for Raise 1 at the raised experts and 1 at the lowered ones; for Route what is added to the logits, to the choice,
// and to the factors, which are 1 without. The edit must have passed Check.
func (e *Edit) Operands() [][]float32 {
	switch e.Op {
	case Add, AddKeepNorm:
		return e.Directions
	case Rotate:
		return plane(e.Directions)
	case Raise:
		return [][]float32{signs(e.Directions[0], 1), signs(e.Directions[0], -1)}
	case Route:
		return routeOperands(e.Directions)
	}
	return [][]float32{unit(widen(e.Directions[0]))}
}

// Tap returns the same edit as Go code: the plain form that the graph's form is compared with. That of a Route, which changes no activation, is Router.Choose.
func (e *Edit) Tap() Tap {
	ops := e.Operands()
	return Tap{Name: e.Name, Site: e.Site, Where: e.Where, Func: func(a *Activation) error {
		c := float64(e.Strength.Value())
		for i, on := range a.Rows {
			if on {
				e.apply(a.Row(i), ops, c)
			}
		}
		return nil
	}}
}

// signs is 1 where v has the given sign.
func signs(v []float32, sign float32) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		if x*sign > 0 {
			out[i] = 1
		}
	}
	return out
}

func routeOperands(d [][]float32) [][]float32 {
	n := len(d[0])
	low, before, after := make([]float32, n), make([]float32, n), make([]float32, n)
	for i := range n {
		low[i], before[i], after[i] = min(d[0][i], 0), d[1][i]-1, d[2][i]-1
	}
	return [][]float32{low, d[0], before, after}
}

// apply carries the edit out on one row in double precision.
func (e *Edit) apply(h []float32, ops [][]float32, c float64) {
	if c == 0 && e.Op != Rotate {
		return
	}
	u := ops[0]
	switch e.Op {
	case Add:
		addScaled(h, c, u)
	case AddKeepNorm:
		before := norm(h)
		addScaled(h, c, u)
		if after := norm(h); after > 0 {
			scale(h, before/after)
		}
	case Project:
		addScaled(h, -c*dot(h, u), u)
	case ProjectPositive:
		addScaled(h, -c*max(dot(h, u), 0), u)
	case Clamp:
		p := dot(h, u)
		addScaled(h, c*(min(max(p, float64(e.Low)), float64(e.High))-p), u)
	case Rotate:
		p, q := dot(h, u), dot(h, ops[1])
		r, sin, cos := math.Hypot(p, q), math.Sin(c*math.Pi/180), math.Cos(c*math.Pi/180)
		addScaled(h, r*cos-p, u)
		addScaled(h, r*sin-q, ops[1])
	case Raise:
		high, low := float64(slices.Max(h))+margin, float64(slices.Min(h))-margin
		for i, x := range h {
			h[i] = float32(float64(x) + c*(float64(u[i])*(high-float64(x))+float64(ops[1][i])*(low-float64(x))))
		}
	}
}

// margin is how far a raised logit stands above the others: steer_moe's 0.01.
const margin = 0.01

// plane returns an orthonormal basis of two directions by Gram-Schmidt, or nil where they are parallel.
func plane(d [][]float32) [][]float32 {
	b1 := unit(widen(d[0]))
	b2 := widen(d[1])
	length := math.Sqrt(dot64(b2, b2))
	p := 0.0
	for i, x := range b1 {
		p += b2[i] * float64(x)
	}
	for i, x := range b1 {
		b2[i] -= p * float64(x)
	}
	if math.Sqrt(dot64(b2, b2)) < 1e-6*length {
		return nil
	}
	return [][]float32{b1, unit(b2)}
}

func unit(v []float64) []float32 {
	n := math.Sqrt(dot64(v, v))
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x / n)
	}
	return out
}

func widen(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

func dot64(a, b []float64) float64 {
	sum := 0.0
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}

func dot(h, u []float32) float64 {
	sum := 0.0
	for i, x := range h {
		sum += float64(x) * float64(u[i])
	}
	return sum
}

func norm(h []float32) float64 { return math.Sqrt(dot(h, h)) }

func scale(h []float32, f float64) {
	for i, x := range h {
		h[i] = float32(float64(x) * f)
	}
}

// addScaled is h += c * v.
func addScaled(h []float32, c float64, v []float32) {
	for i, x := range v {
		h[i] = float32(float64(h[i]) + c*float64(x))
	}
}
