// SPDX-License-Identifier: Apache-2.0

package rules

import "slices"

// Result is what follows from some facts.
type Result struct {
	Steps []Step // every rule that fired, in order
	m     *Machine
	s     *state
	extra []Literal // facts that no rule names
}

// Infer draws every conclusion from facts that are detected at once, whatever phases and spans the rules have. Facts need not occur in the program.
func (m *Machine) Infer(facts ...Literal) *Result {
	res := &Result{m: m, s: m.newState()}
	for _, f := range facts {
		c, known := m.index[f.Name]
		if !known {
			res.extra = append(res.extra, f)
			continue
		}
		for p := range res.s.seen {
			res.s.seen[p].of(f.Not).Add(c)
		}
	}
	res.Steps = m.trace(res.s)
	return res
}

// holds tells whether a literal is given or concluded, without the closed world's default.
func (r *Result) holds(l Literal) bool {
	c, known := r.m.index[l.Name]
	if !known {
		return slices.Contains(r.extra, l)
	}
	return r.s.seen[planeToken].of(l.Not).Has(c) || r.s.derived.of(l.Not).Has(c)
}

// Value is what is known of a concept. A conflict counts as True in the closed world and as Unknown in the open one.
func (r *Result) Value(name string) Value {
	switch held, denied := r.holds(Is(name)), r.holds(Not(name)); {
	case r.m.world == Closed && !held:
		return False
	case r.m.world == Closed:
		return True
	case held && !denied:
		return True
	case denied && !held:
		return False
	}
	return Unknown
}

// Derived returns the conclusions that were no facts, in the order in which they were drawn.
func (r *Result) Derived() []Literal {
	var out []Literal
	for _, step := range r.Steps {
		out = append(out, step.Adds...)
	}
	return out
}

// Conflicts returns the concepts that are both affirmed and denied, in the program's order.
func (r *Result) Conflicts() []string {
	var out []string
	for _, name := range r.m.names {
		if r.holds(Is(name)) && r.holds(Not(name)) {
			out = append(out, name)
		}
	}
	for _, l := range r.extra {
		if !l.Not && r.holds(Not(l.Name)) && !slices.Contains(out, l.Name) {
			out = append(out, l.Name)
		}
	}
	return out
}
