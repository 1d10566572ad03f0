// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"math"

	"github.com/trimtab/trimtab/internal/dot"
)

// Matrix returns the matrix whose products with an activation ProductCoder takes, one row a feature: the encoder, for a pursuit the atoms. It is shared.
func (d *Dictionary) Matrix() []float32 {
	if d.Form.Act.Kind == Pursuit {
		return d.Form.Dec
	}
	return d.Form.Enc
}

// manyFeatures is from where on reading two bits more of each number of the matrix takes longer than computing the features again that two bits less leave
// undecided: of 4,608 of a real autoencoder they are 160 instead of 50, of 16,384 of a random one 140.
const manyFeatures = 8192

// Bits is to how many bits a graph may round [Dictionary.Matrix] for the products of a [ProductCoder].
func (d *Dictionary) Bits() int {
	if d.Form.N >= manyFeatures && d.Form.Act.Kind != Pursuit {
		return 6
	}
	return 8
}

// ProductCoder encodes from products that were computed elsewhere and only roughly, such as from a rounded matrix beside the model: features that could be chosen,
// given how far a product may be off, are computed again from the dictionary itself, so that the code is that of a [Coder]. One goroutine at a time may use it;
// it allocates nothing once dst is long enough.
type ProductCoder struct {
	c      *Coder
	m      []float32
	sums   []float32 // of each row of m; for a norm that shifts
	offset []float32 // what is added to a scaled product: EncBias - row · PreSub
	far    []float32 // how far pre-activations may be off, by feature; then whether it matters: see mark
	best   []Feature // the k largest lower bounds
	few    *few      // the quick way, where there is one
	fresh  int
}

// NewProductCoder returns a coder of its own for a goroutine.
func (d *Dictionary) NewProductCoder() *ProductCoder {
	f := d.Form
	p := &ProductCoder{c: d.NewCoder(), m: d.Matrix(), offset: make([]float32, f.N), far: make([]float32, f.N)}
	if f.Norm == LayerNorm {
		p.sums = make([]float32, f.N)
	}
	for i := range f.N {
		row, sum, sub := p.m[i*f.In:(i+1)*f.In], 0.0, 0.0
		for j, w := range row {
			sum += float64(w)
			if f.PreSub != nil {
				sub += float64(w) * float64(f.PreSub[j])
			}
		}
		if p.sums != nil {
			p.sums[i] = float32(sum)
		}
		p.offset[i] = float32(-sub)
		if f.EncBias != nil && f.Act.Kind != Gated {
			p.offset[i] = float32(float64(f.EncBias[i]) - sub)
		}
	}
	switch f.Act.Kind {
	case TopK, RawTopK, AbsTopK:
		p.best = make([]Feature, 0, min(f.Act.K, f.N))
	}
	p.few = newFew(p)
	return p
}

// Encode appends the code of x, Form.In numbers. products has Matrix · x, Form.N numbers, each within slack times the length of x.
func (p *ProductCoder) Encode(dst []Feature, x, products, slack []float32) []Feature {
	f := p.c.d.Form
	if len(products) != f.N || len(slack) != f.N {
		panic("dictionary: ProductCoder: products or slack have another length than Form.N")
	}
	p.c.center(x)
	if p.few != nil {
		scale, _ := f.stats(x)
		dst = p.few.encode(dst, products, slack, float32(scale), float32(scale*dot.Length(x)))
		p.fresh = len(p.few.list)
		return dst
	}
	p.approximate(x, products, slack)
	if f.Act.Kind == Pursuit {
		return p.c.chase.run(dst, p.c.x, p.c.u, p.far)
	}
	p.settle()
	return p.c.Select(dst, x, p.c.u)
}

// approximate writes pre-activations to c.u and how far they may be off to p.far.
func (p *ProductCoder) approximate(x, products, slack []float32) {
	scale, shift := p.c.d.Form.stats(x)
	a, long := float32(scale), float32(scale*dot.Length(x))
	u, far := p.c.u, p.far
	for i, v := range products {
		u[i] = a*v + p.offset[i]
		// The last term bounds the rounding of the sum itself.
		far[i] = long*slack[i] + 0x1p-22*(abs(a*v)+abs(p.offset[i]))
	}
	if p.sums != nil {
		b := float32(scale * shift)
		for i, s := range p.sums {
			u[i] -= b * s
			far[i] += 0x1p-22 * abs(b*s)
		}
	}
}

// settle computes the features again that could be part of the code, and puts the others where nothing chooses them.
func (p *ProductCoder) settle() {
	f := p.c.d.Form
	p.mark()
	out := float32(math.Inf(-1))
	if f.Act.Kind == AbsTopK {
		out = 0
	}
	p.fresh = 0
	for i, reach := range p.far {
		if !(reach > 0) {
			p.c.u[i] = out
			continue
		}
		p.fresh++
		v := dot.Pair(p.m[i*f.In:(i+1)*f.In], p.c.x)
		if f.EncBias != nil && f.Act.Kind != Gated {
			v += f.EncBias[i]
		}
		p.c.u[i] = v
	}
}

// mark turns p.far into a number above 0 for features that could be part of the code, and at most 0 for others.
func (p *ProductCoder) mark() {
	a, u, far := &p.c.d.Form.Act, p.c.u, p.far
	switch a.Kind {
	case JumpReLU:
		for i, t := range a.Threshold {
			far[i] += u[i] - max(t, 0)
		}
	case Gated:
		for i, b := range a.GateBias {
			far[i] += u[i] + b
		}
	case GroupMax:
		p.markGroups(len(u) / a.K)
	case TopK, RawTopK, AbsTopK:
		p.markLargest(a)
	default:
		for i, v := range u {
			far[i] += v
		}
	}
}

// markLargest finds the k-th largest score when all products are as small as they may be: what cannot reach it is not chosen.
func (p *ProductCoder) markLargest(a *Activation) {
	h, k := p.best[:0], min(a.K, len(p.c.u))
	for i, v := range p.c.u {
		if a.Kind == AbsTopK {
			v = abs(v)
		}
		low, high := v-p.far[i], v+p.far[i]
		if a.Gate != nil {
			low, high = low*a.Gate[i], high*a.Gate[i]
		}
		p.far[i] = high
		h = keep(h, Feature{int32(i), low}, k)
	}
	floor := h[0].Value
	for i, high := range p.far {
		p.far[i] = reaches(high, floor)
	}
}

// markGroups is the same for the largest of each group.
func (p *ProductCoder) markGroups(size int) {
	u, far := p.c.u, p.far
	for first := 0; first < len(u); first += size {
		floor := float32(math.Inf(-1))
		for i := first; i < first+size; i++ {
			floor = max(floor, u[i]-far[i])
		}
		for i := first; i < first+size; i++ {
			far[i] = reaches(u[i]+far[i], floor)
		}
	}
}

func reaches(high, floor float32) float32 {
	if high >= floor {
		return 1
	}
	return 0
}

// Fresh returns how many features the last call computed again.
func (p *ProductCoder) Fresh() int { return p.fresh }

func abs(v float32) float32 { return max(v, -v) }
