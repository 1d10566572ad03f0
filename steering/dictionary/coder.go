// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"math"
	"slices"

	"github.com/trimtab/trimtab/internal/dot"
)

// Encoder is what makes codes: a [Coder], or a graph that carries the same arithmetic out beside the model.
type Encoder interface {
	// Encode appends the code of an activation to dst, in the order of the features' indices; zeros are left out.
	Encode(dst []Feature, x []float32) []Feature
}

// Coder encodes in plain Go. It has memory of its own and allocates nothing once dst is long enough; one goroutine at a
// time may use it.
type Coder struct {
	d     *Dictionary
	x     []float32 // norm(x) - PreSub
	u     []float32
	heap  []Feature
	chase *pursuer
}

// NewCoder returns a coder of its own for a goroutine.
func (d *Dictionary) NewCoder() *Coder {
	f := d.Form
	c := &Coder{d: d, x: make([]float32, f.In), u: make([]float32, f.N)}
	switch f.Act.Kind {
	case TopK, RawTopK, AbsTopK:
		c.heap = make([]Feature, 0, min(f.Act.K, f.N))
	case TopAFA:
		c.heap = make([]Feature, 0, f.N)
	case Pursuit:
		c.chase = newPursuer(d.gram, f.Act.Pursuit)
	}
	return c
}

// Encode appends the code of x, which has Form.In numbers.
func (c *Coder) Encode(dst []Feature, x []float32) []Feature {
	return c.Select(dst, x, c.Products(x))
}

// Products returns the pre-activations of x, Form.N numbers: (norm(x) - PreSub) · Enc + EncBias, for a pursuit the products
// with the rows of Dec. They are BORROWED until the coder's next call.
func (c *Coder) Products(x []float32) []float32 {
	f := c.d.Form
	c.center(x)
	m := f.Enc
	if f.Act.Kind == Pursuit {
		m = f.Dec
	}
	multiply(c.u, m, c.x)
	if f.Act.Kind != Gated {
		for i, b := range f.EncBias {
			c.u[i] += b
		}
	}
	return c.u
}

// Select appends the code of x whose pre-activations, as Products returns them, were computed elsewhere. u is written to.
func (c *Coder) Select(dst []Feature, x, u []float32) []Feature {
	f := c.d.Form
	if len(x) != f.In || len(u) != f.N {
		panic("dictionary: Select: x or u has another length than the form")
	}
	a := &f.Act
	switch a.Kind {
	case ReLU:
		return positive(dst, u)
	case TanhReLU:
		from := len(dst)
		dst = positive(dst, u)
		for i := from; i < len(dst); i++ {
			dst[i].Value = float32(math.Tanh(float64(dst[i].Value)))
		}
		return dst
	case JumpReLU:
		return above(dst, u, a.Threshold)
	case TopK, RawTopK, AbsTopK:
		return c.largest(dst, u)
	case GroupMax:
		return groupMax(dst, u, a.K)
	case Gated:
		return gated(dst, u, a)
	case TopAFA:
		c.center(x)
		return c.matchNorm(dst, u)
	}
	c.center(x)
	return c.chase.run(dst, c.x, u, nil)
}

// center sets c.x to norm(x) - PreSub.
func (c *Coder) center(x []float32) {
	f := c.d.Form
	if len(x) != f.In {
		panic("dictionary: Encode: x has another length than Form.In")
	}
	scale, shift := f.stats(x)
	for i, v := range x {
		c.x[i] = float32((float64(v) - shift) * scale)
	}
	for i, b := range f.PreSub {
		c.x[i] -= b
	}
}

// stats returns what the norm does to x: (x - shift) * scale.
func (f *Form) stats(x []float32) (scale, shift float64) {
	switch f.Norm {
	case ConstantNorm:
		return float64(f.Scale), 0
	case RescaleNorm:
		if n := dot.Length(x); n > 0 {
			return math.Sqrt(float64(f.In)) / n, 0
		}
		return 0, 0
	case LayerNorm:
		mean, std := moments(x)
		return 1 / (std + 1e-5), mean
	}
	return 1, 0
}

// moments returns mean and sample standard deviation.
func moments(x []float32) (mean, std float64) {
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	sum := 0.0
	for _, v := range x {
		sum += (float64(v) - mean) * (float64(v) - mean)
	}
	return mean, math.Sqrt(sum / float64(max(len(x)-1, 1)))
}

// multiply is y = M x for a row-major matrix, in single precision.
func multiply(y, m, x []float32) {
	dot.Products(y, x, m, len(x))
}

func positive(dst []Feature, u []float32) []Feature {
	for i, v := range u {
		if v > 0 {
			dst = append(dst, Feature{int32(i), v})
		}
	}
	return dst
}

func above(dst []Feature, u, threshold []float32) []Feature {
	for i, v := range u {
		if v > threshold[i] && v > 0 {
			dst = append(dst, Feature{int32(i), v})
		}
	}
	return dst
}

func groupMax(dst []Feature, u []float32, groups int) []Feature {
	size := len(u) / groups
	for first := 0; first < len(u); first += size {
		best := first
		for i := first + 1; i < first+size; i++ {
			if u[i] > u[best] {
				best = i
			}
		}
		if u[best] > 0 {
			dst = append(dst, Feature{int32(best), u[best]})
		}
	}
	return dst
}

func gated(dst []Feature, u []float32, a *Activation) []Feature {
	for i, v := range u {
		if !(v+a.GateBias[i] > 0) {
			continue
		}
		if z := v*a.MagScale[i] + a.MagBias[i]; z > 0 {
			dst = append(dst, Feature{int32(i), z})
		}
	}
	return dst
}

func byIndex(a, b Feature) int { return int(a.Index) - int(b.Index) }

func sortByIndex(code []Feature) { slices.SortFunc(code, byIndex) }
