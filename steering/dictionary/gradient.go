// SPDX-License-Identifier: Apache-2.0

package dictionary

import "github.com/trimtab/trimtab/internal/dot"

// gradient is gradient pursuit; it ends early where a round changes nothing, at which the references divide 0 by 0.
func (p *pursuer) gradient() {
	for range p.rule.K {
		p.join(p.best())
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
	direction := p.narrow
	clear(direction)
	p.narrowed = false
	for i := range p.atoms {
		a := &p.atoms[i]
		a.step = dot64(p.g.row(int(a.index)), p.r)
		num += a.step * a.step
		addScaled(direction, float32(a.step), p.g.row(int(a.index)))
	}
	den := dot.Length(direction)
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
