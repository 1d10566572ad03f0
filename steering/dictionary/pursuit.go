// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"fmt"
	"math"
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
	dst = p.chase.run(dst, p.x, p.c)
	p.chase.rule = rule
	return dst
}

// atom is a chosen atom with its weight in double precision.
type atom struct {
	index int32
	z     float64
	step  float64 // of a gradient pursuit
}

// pursuer has the state of one pursuit.
type pursuer struct {
	g      *gram
	rule   PursuitRule
	x      []float32 // what is decomposed
	r      []float64 // the residual
	narrow []float32 // r in single precision
	c      []float32 // products of all atoms with r
	stale  bool      // c has to be computed anew
	slack  float64   // how far c may be from the exact products
	atoms  []atom
	solve  *solver // of the orthogonal methods
}

func newPursuer(g *gram, rule PursuitRule) *pursuer {
	p := &pursuer{g: g, rule: rule, r: make([]float64, g.d), narrow: make([]float32, g.d)}
	if rule.Method == Orthogonal || rule.Method == NonNegativeOrthogonal {
		p.solve = &solver{g: g, chosen: make([]bool, g.n)}
	}
	return p
}

// run appends the code of x; c has the products of all atoms with x and is written to.
func (p *pursuer) run(dst []Feature, x, c []float32) []Feature {
	return p.runFrom(dst, x, c, rounding*norm64(x))
}

// runWithin is run with products that may each be off by far.
func (p *pursuer) runWithin(dst []Feature, x, c, far []float32) []Feature {
	most := float32(0)
	for _, v := range far {
		most = max(most, v)
	}
	return p.runFrom(dst, x, c, max(float64(most), rounding*norm64(x)))
}

func (p *pursuer) runFrom(dst []Feature, x, c []float32, slack float64) []Feature {
	p.x, p.c, p.stale, p.atoms, p.slack = x, c, false, p.atoms[:0], slack
	for i, v := range x {
		p.r[i] = float64(v)
	}
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

func (p *pursuer) matching() {
	for range p.rule.K {
		j := p.best(p.rule.Method == Matching)
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

// rounding bounds the error of products in single precision, as a share of the vectors' lengths: 2^-24 for each of a dozen
// partial sums, and for the products of unit atoms with each other.
const rounding = 2e-6

// best returns the atom with the largest product. Of those that rounding cannot tell apart it asks for the exact products:
// later rounds work on a small rest of large numbers.
func (p *pursuer) best(signed bool) int {
	p.refresh()
	top := p.top(signed)
	if top < 100*p.slack && p.slack > 2*rounding*p.length() {
		p.stale = true // so little is left that most of c is rounding
		p.refresh()
		top = p.top(signed)
	}
	floor := float32(top - 2*p.slack)
	best, at := math.Inf(-1), 0
	mask := signMask(signed)
	for i, v := range p.c {
		if math.Float32frombits(math.Float32bits(v)&mask) < floor {
			continue
		}
		exact := dot64(p.g.row(i), p.r)
		if signed {
			exact = math.Abs(exact)
		}
		if exact > best {
			best, at = exact, i
		}
	}
	return at
}

func (p *pursuer) top(signed bool) float64 {
	top, mask := float32(math.Inf(-1)), signMask(signed)
	for _, v := range p.c {
		if v = math.Float32frombits(math.Float32bits(v) & mask); v > top {
			top = v
		}
	}
	return float64(top)
}

// signMask keeps all bits of a number, or all but its sign: signs are random, and a branch on them is slow.
func signMask(signed bool) uint32 {
	if signed {
		return 1<<31 - 1
	}
	return 1<<32 - 1
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
	if p.stale {
		return
	}
	products := p.g.products(j)
	if products == nil {
		p.stale = true
		return
	}
	addScaled(p.c, float32(-c), products)
	p.slack += rounding * math.Abs(c)
}

func (p *pursuer) refresh() {
	if !p.stale {
		return
	}
	for i, v := range p.r {
		p.narrow[i] = float32(v)
	}
	multiply(p.c, p.g.m, p.narrow)
	p.stale, p.slack = false, rounding*norm64(p.narrow)
}

func (p *pursuer) converged() bool {
	return p.rule.Tolerance > 0 && p.length() < float64(p.rule.Tolerance)
}

// gradient is gradient pursuit; it ends early where a round changes nothing, at which the references divide 0 by 0.
func (p *pursuer) gradient() {
	for range p.rule.K {
		p.join(p.best(false))
		if !p.descend() || p.converged() {
			return
		}
	}
}

// join adds an atom of weight 0 and, by the first variant, drops those whose weight was clipped to 0.
func (p *pursuer) join(j int) {
	kept, present := p.atoms[:0], false
	for _, a := range p.atoms {
		if int(a.index) == j {
			present = true
		} else if a.z == 0 && p.rule.Method == Gradient {
			continue
		}
		kept = append(kept, a)
	}
	p.atoms = kept
	if !present {
		p.atoms = append(p.atoms, atom{index: int32(j)})
	}
}

// descend takes the exact line search along the gradient and tells whether any weight changed.
func (p *pursuer) descend() (changed bool) {
	// ⟨direction, r⟩ is the gradient's square, since direction = Σ g·row and g = row·r.
	num := 0.0
	direction := p.g.scratch(p.narrow)
	for i := range p.atoms {
		a := &p.atoms[i]
		a.step = dot64(p.g.row(int(a.index)), p.r)
		num += a.step * a.step
		addScaled(direction, float32(a.step), p.g.row(int(a.index)))
	}
	den := norm64(direction)
	if den == 0 {
		return false
	}
	step := num / (den * den)
	for i := range p.atoms {
		a := &p.atoms[i]
		z := max(a.z+step*a.step, 0)
		if z == a.z {
			continue
		}
		p.move(int(a.index), z-a.z)
		a.z, changed = z, true
	}
	return changed
}
