// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"fmt"
	"math"

	"github.com/trimtab/trimtab/internal/dot"
)

// Method is how a pursuit picks atoms and weighs them. With c the products of all atoms with the residual r = x - Σ z·Dec:
type Method uint8

// The methods. Ties go to the lowest index; an atom may be picked again, so a code can be shorter than the rounds.
const (
	Matching              Method = iota // largest |c|, z += c (ITDA, davidkaczer/itda train.py mp_encode)
	NonNegativeMatching                 // largest c, z += max(c, 0) (MP-SAE as SAELens has it)
	PlainMatching                       // largest c, z += c though it be negative (overcomplete's MpSAE)
	Orthogonal                          // largest |c| of the atoms not yet chosen, then least squares on all chosen, of least norm
	NonNegativeOrthogonal               // largest c of the atoms not yet chosen, then ten projected gradient steps (overcomplete's OMPSAE)
	Gradient                            // largest c joins the atoms with z ≠ 0; one step along their gradient, clipped at 0 (arXiv 2410.14670)
	GradientKeep                        // the same, but an atom once chosen stays in (dictionary_learning grad_pursuit.py)
)

var methodNames = [...]string{"matching", "matching-nonnegative", "matching-plain", "orthogonal", "orthogonal-nonnegative", "gradient", "gradient-keep"}

func (m Method) String() string {
	if int(m) < len(methodNames) {
		return methodNames[m]
	}
	return fmt.Sprintf("Method(%d)", m)
}

// PursuitRule is a pursuit and when it ends. A smaller K gives the first rounds of a larger one.
type PursuitRule struct {
	Method            Method
	K                 int     // rounds at most
	Tolerance         float32 // ends when ‖r‖ is below; 0 is never
	StopOnSameSupport bool    // ends when a round added no atom
}

func (r PursuitRule) check() error {
	if r.Method > GradientKeep || r.K < 1 || !(r.Tolerance >= 0) {
		return fmt.Errorf("pursuit: want a known method, k of at least 1 and a tolerance of at least 0, found %s, %d and %g", r.Method, r.K, r.Tolerance)
	}
	return nil
}

// Pursuer decomposes vectors over the rows of a dictionary by a rule of the caller's choice, be the dictionary made for that
// or not. One goroutine at a time may use it.
type Pursuer struct {
	g     *gram
	chase *pursuer
	c, x  []float32
}

// NewPursuer returns a pursuer over the rows of d's decoder. Pursuers of one dictionary of kind Pursuit share their tables.
func (d *Dictionary) NewPursuer(rule PursuitRule) (*Pursuer, error) {
	if err := rule.check(); err != nil {
		return nil, fmt.Errorf("dictionary: %w", err)
	}
	g := d.gram
	if g == nil {
		g = newGram(d.Form.Dec, d.Form.N, d.Form.Out)
	}
	return &Pursuer{g: g, chase: newPursuer(g, rule), c: make([]float32, g.n), x: make([]float32, g.d)}, nil
}

// Pursue appends the code of x, Form.Out numbers, with at most k rounds where k is above 0 and the rule's K otherwise.
// Neither norm nor biases are applied.
func (p *Pursuer) Pursue(dst []Feature, x []float32, k int) []Feature {
	copy(p.x, x)
	multiply(p.c, p.g.m, p.x)
	rule := p.chase.rule
	if k > 0 {
		p.chase.rule.K = k
	}
	dst = p.chase.run(dst, p.x, p.c, nil)
	p.chase.rule = rule
	return dst
}

// atom is a chosen atom with its weight in double precision.
type atom struct {
	index int32
	z     float64
	step  float64 // of a gradient pursuit
}

// pursuer has the state of one pursuit. What it knows of atom i's product with the residual is that it lies within rough[i] + drift of c[i].
type pursuer struct {
	g        *gram
	rule     PursuitRule
	mask     uint32    // the bits of a product that count: all but the sign where a large negative one is as good
	x        []float32 // what is decomposed
	r        []float64 // the residual
	narrow   []float32 // r in single precision
	narrowed bool      // narrow is of this round
	c        []float32 // products of all atoms with r; like rough in whole blocks
	rough    []float32 // 0 for products in single precision
	loose    bool      // some are not
	tops     []float32 // of each block of c, the largest that a product can be, drift aside
	stale    bool      // c has to be computed anew
	drift    float64   // how far rounding may have taken c from the exact products
	atoms    []atom
	solve    *solver // of the orthogonal methods
}

func newPursuer(g *gram, rule PursuitRule) *pursuer {
	p := &pursuer{g: g, rule: rule, mask: math.MaxUint32, r: make([]float64, g.d), narrow: make([]float32, g.d)}
	if rule.Method == Matching {
		p.mask >>= 1
	}
	p.c, p.rough, p.tops = make([]float32, g.stride), make([]float32, g.stride), make([]float32, g.stride/dot.Block)
	if rule.Method == Orthogonal || rule.Method == NonNegativeOrthogonal {
		p.solve = &solver{g: g, chosen: make([]bool, g.n)}
	}
	return p
}

// run appends the code of x. u has the products of all atoms with x, each within far; without far in single precision. Neither is written to.
func (p *pursuer) run(dst []Feature, x, u, far []float32) []Feature {
	p.begin(x, u, far)
	switch p.rule.Method {
	case Gradient, GradientKeep:
		p.gradient()
	case Orthogonal, NonNegativeOrthogonal:
		p.orthogonal()
	default:
		p.matching()
	}
	from := len(dst)
	for _, a := range p.atoms {
		if z := float32(a.z); z != 0 {
			dst = append(dst, Feature{a.index, z})
		}
	}
	sortByIndex(dst[from:])
	return dst
}

func (p *pursuer) begin(x, u, far []float32) {
	n, length := p.g.n, dot.Length(x)
	size := blocks(n)
	p.c, p.rough, p.tops = p.c[:size], p.rough[:size], p.tops[:size/dot.Block]
	p.x, p.atoms, p.narrowed, p.loose, p.drift = x, p.atoms[:0], false, far != nil, p.g.rounding*length
	for i, v := range x {
		p.r[i] = float64(v)
	}
	// An orthogonal pursuit asks for every product in every round.
	if p.stale = p.solve != nil && p.loose; p.stale {
		return
	}
	copy(p.c, u)
	clear(p.c[n:])
	clear(p.rough[:n])
	copy(p.rough, far)
	p.bound()
}

// bound finds the tops.
func (p *pursuer) bound() {
	for i := p.g.n; i < len(p.rough); i++ {
		p.rough[i] = float32(math.Inf(-1)) // never chosen
	}
	dot.Descend(p.tops, p.c, p.rough, 0, p.c, p.signed())
}

func (p *pursuer) signed() bool { return p.rule.Method == Matching }

func (p *pursuer) matching() {
	for range p.rule.K {
		j := p.best()
		c := dot64(p.g.row(j), p.r)
		if p.rule.Method == NonNegativeMatching {
			c = max(c, 0)
		}
		if c == 0 { // nothing would change any more
			return
		}
		added := p.add(j, c)
		p.move(j, c)
		if p.rule.StopOnSameSupport && !added || p.converged() {
			return
		}
	}
}

// length is that of the residual.
func (p *pursuer) length() float64 {
	sum := 0.0
	for _, v := range p.r {
		sum += v * v
	}
	return math.Sqrt(sum)
}

// add gives an atom more weight and tells whether that made it non-zero.
func (p *pursuer) add(j int, c float64) (added bool) {
	for i := range p.atoms {
		if a := &p.atoms[i]; int(a.index) == j {
			added = a.z == 0
			a.z += c
			return added
		}
	}
	p.atoms = append(p.atoms, atom{index: int32(j), z: c})
	return true
}

// move takes c times an atom out of the residual, and out of the products where their table fits in memory.
func (p *pursuer) move(j int, c float64) {
	for i, v := range p.g.row(j) {
		p.r[i] -= c * float64(v)
	}
	p.narrowed = false
	if p.stale {
		return
	}
	products := p.g.products(j)
	if products == nil {
		p.stale = true
		return
	}
	dot.Descend(p.tops, p.c, p.rough, float32(-c), products[:len(p.c)], p.signed())
	p.drift += p.g.rounding * math.Abs(c)
}

// refresh computes products anew where they are not up to date.
func (p *pursuer) refresh() {
	if !p.stale {
		return
	}
	n := p.g.n
	multiply(p.c[:n], p.g.m, p.residual())
	clear(p.c[n:])
	clear(p.rough[:n])
	p.bound()
	p.stale, p.loose, p.drift = false, false, p.g.rounding*dot.Length(p.narrow)
}

// residual returns r in single precision.
func (p *pursuer) residual() []float32 {
	if !p.narrowed {
		for i, v := range p.r {
			p.narrow[i] = float32(v)
		}
		p.narrowed = true
	}
	return p.narrow
}

func (p *pursuer) converged() bool {
	return p.rule.Tolerance > 0 && p.length() < float64(p.rule.Tolerance)
}
