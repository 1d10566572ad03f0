// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"math"

	"github.com/trimtab/trimtab/internal/dot"
)

// best returns the atom with the largest product. Of those that rounding cannot tell apart it asks for products in double precision: later rounds work on
// a small rest of large numbers.
func (p *pursuer) best() int {
	p.refresh()
	level := p.level()
	if level < 100*p.drift && p.drift > 2*p.g.rounding*p.length() {
		p.stale = true // so little is left that most of c is rounding
		p.refresh()
		level = p.level()
	}
	floor := float32(level - 2*p.drift)
	best, at := math.Inf(-1), 0
	for b, top := range p.tops {
		if top < floor {
			continue
		}
		for i := b * dot.Block; i < min((b+1)*dot.Block, p.g.n); i++ {
			if p.most(i) < floor {
				continue
			}
			if v := p.sized(dot64(p.g.row(i), p.r)); v > best {
				best, at = v, i
			}
		}
	}
	return at
}

// sized is what a product counts as.
func (p *pursuer) sized(c float64) float64 {
	if p.signed() {
		return math.Abs(c)
	}
	return c
}

// most is what the product of atom i counts as at most, drift aside.
func (p *pursuer) most(i int) float32 {
	return math.Float32frombits(math.Float32bits(p.c[i])&p.mask) + p.rough[i]
}

// level returns the largest product in single precision. Rough products that could be above it are computed anew, and stay exact from then on.
func (p *pursuer) level() float64 {
	first := 0
	for b, top := range p.tops {
		if top > p.tops[first] {
			first = b
		}
	}
	if !p.loose {
		return float64(p.tops[first])
	}
	level := p.tighten(p.highest(first), math.Inf(-1))
	for b, top := range p.tops {
		if float64(top) >= level-2*p.drift {
			level = p.tightenBlock(b, level)
		}
	}
	return level
}

// highest returns the atom of a block whose product may be the largest.
func (p *pursuer) highest(block int) int {
	at := block * dot.Block
	for i := at + 1; i < min((block+1)*dot.Block, p.g.n); i++ {
		if p.most(i) > p.most(at) {
			at = i
		}
	}
	return at
}

// tightenBlock makes every product of a block exact that may reach the level, and returns the level that results.
func (p *pursuer) tightenBlock(block int, level float64) float64 {
	from, to := block*dot.Block, min((block+1)*dot.Block, p.g.n)
	top := float32(math.Inf(-1))
	for i := from; i < to; i++ {
		if float64(p.most(i)) >= level-2*p.drift {
			level = p.tighten(i, level)
		}
		top = max(top, p.most(i))
	}
	p.tops[block] = top
	return level
}

// tighten makes the product of atom i exact, and returns the level or the product where that is larger.
func (p *pursuer) tighten(i int, level float64) float64 {
	if p.rough[i] > 0 {
		p.c[i], p.rough[i] = dot.Pair(p.g.row(i), p.residual()), 0
	}
	return max(level, float64(p.most(i)))
}
