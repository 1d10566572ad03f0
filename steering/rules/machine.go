// SPDX-License-Identifier: Apache-2.0

package rules

import "slices"

// Machine is a program compiled for one world. It does not change: any number of goroutines may use it, each with its own Run.
type Machine struct {
	program *Program
	world   World
	names   []string // concepts in order of appearance
	index   map[string]int
	rules   []compiled
	strata  []stratum
}

// compiled is a rule as the evaluation reads it.
type compiled struct {
	code             []instruction
	affirms, denies  []int32
	plane            plane
	phase            Phase
	span             Span
	positive, denied Set // concepts of a plain conjunction; nil where the condition is none
}

// plane numbers the sets of detected concepts that rules look at.
type plane uint8

const (
	planeToken plane = iota // this token
	planeBoth               // any token so far; then the same for one phase only
	planePrompt
	planeAnswer
	planes
)

// instruction is one step of a condition in postfix order; names push a pair of truths.
type instruction struct {
	op      Op
	concept int32
}

// Compile prepares a program for a world, which need not be its own. In the closed world it refuses negation in a cycle with a *CycleError.
func (p *Program) Compile(world World) (*Machine, error) {
	m := &Machine{program: p, world: world, index: map[string]int{}}
	for i := range p.Rules {
		m.collect(&p.Rules[i])
	}
	for i := range p.Rules {
		m.rules = append(m.rules, m.compile(&p.Rules[i]))
	}
	var err error
	m.strata, err = m.stratify()
	return m, err
}

func (m *Machine) collect(r *Rule) {
	add := func(name string, _, _ bool) {
		if _, known := m.index[name]; !known {
			m.index[name] = len(m.names)
			m.names = append(m.names, name)
		}
	}
	r.Body.atoms(true, false, add)
	for _, h := range r.Heads {
		add(h.Name, true, false)
	}
	for _, a := range r.Actions {
		if a.Kind == Promote || a.Kind == Suppress {
			add(a.Concept, true, false)
		}
	}
}

func (m *Machine) compile(r *Rule) compiled {
	c := compiled{phase: r.Phase, span: r.Span, plane: planeToken}
	if r.Span == Any {
		c.plane = [...]plane{Both: planeBoth, Prompt: planePrompt, Answer: planeAnswer}[r.Phase]
	}
	for _, h := range r.Heads {
		to := &c.affirms
		if h.Not {
			to = &c.denies
		}
		*to = append(*to, int32(m.index[h.Name]))
	}
	positive, denied := m.NewSet(), m.NewSet()
	if m.conjunction(r.Body, positive, denied) {
		c.positive, c.denied = positive, denied
		return c
	}
	c.code = m.emit(nil, r.Body)
	return c
}

// conjunction puts the concepts of literals joined by and into two sets, and tells whether e is nothing else.
func (m *Machine) conjunction(e *Expr, positive, denied Set) bool {
	switch {
	case e.Op == OpTrue:
	case e.Op == OpAtom:
		positive.Add(m.index[e.Name])
	case e.Op == OpNot && e.X.Op == OpAtom:
		denied.Add(m.index[e.X.Name])
	case e.Op == OpAnd:
		return m.conjunction(e.X, positive, denied) && m.conjunction(e.Y, positive, denied)
	default:
		return false
	}
	return true
}

// emit appends e's code. Of two operands the one that needs more stack comes first, so that the 64 places always suffice: n places need 2^(n-1) names.
func (m *Machine) emit(code []instruction, e *Expr) []instruction {
	switch e.Op {
	case OpAtom:
		return append(code, instruction{OpAtom, int32(m.index[e.Name])})
	case OpTrue, OpFalse:
		return append(code, instruction{op: e.Op})
	case OpNot:
		return append(m.emit(code, e.X), instruction{op: OpNot})
	}
	x, y := m.emit(nil, e.X), m.emit(nil, e.Y)
	op := e.Op
	if op == OpImplies {
		x, op = append(x, instruction{op: OpNot}), OpOr
	}
	if places(y) > places(x) {
		x, y = y, x
	}
	return append(slices.Concat(code, x, y), instruction{op: op})
}

// places is how many truths are on the stack at once.
func places(code []instruction) int {
	depth, most := 0, 0
	for _, in := range code {
		switch in.op {
		case OpAtom, OpTrue, OpFalse:
			depth++
		case OpAnd, OpOr, OpXor:
			depth--
		}
		most = max(most, depth)
	}
	return most
}

// Concepts returns every concept of the program; a concept's place in it is its number.
func (m *Machine) Concepts() []string { return slices.Clone(m.names) }

// Concept returns the number of a concept, and false where no rule names it.
func (m *Machine) Concept(name string) (int, bool) {
	i, ok := m.index[name]
	return i, ok
}

// NewSet returns an empty set for the machine's concepts.
func (m *Machine) NewSet() Set { return NewSet(len(m.names)) }

// Program returns the program that was compiled, which stays the caller's.
func (m *Machine) Program() *Program { return m.program }
