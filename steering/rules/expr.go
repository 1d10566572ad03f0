// SPDX-License-Identifier: Apache-2.0

package rules

// Op is the kind of an expression's node.
type Op uint8

// Operators, in the order of how tightly they bind; the loosest first.
const (
	OpImplies Op = iota
	OpXor
	OpOr
	OpAnd
	OpNot
	OpAtom
	OpTrue
	OpFalse
)

func (o Op) String() string {
	return [...]string{"->", "xor", "or", "and", "not", "name", "true", "false"}[o]
}

// Expr is a condition. X is the operand of not and the left one of the others, Y the right one; an atom has only a Name.
type Expr struct {
	Op   Op
	Name string
	X, Y *Expr
}

func atom(name string) *Expr { return &Expr{Op: OpAtom, Name: name} }

func (e *Expr) String() string {
	switch e.Op {
	case OpAtom:
		return quoteName(e.Name)
	case OpTrue, OpFalse:
		return e.Op.String()
	case OpNot:
		return "not " + e.X.within(OpNot)
	case OpImplies:
		return "(" + e.X.within(OpXor) + " -> " + e.Y.within(OpXor) + ")"
	}
	return e.X.within(e.Op) + " " + e.Op.String() + " " + e.Y.within(e.Op+1) // operators group from the left
}

// within writes e where only operators that bind at least as tightly as least may stand bare; an implication brings its own parentheses.
func (e *Expr) within(least Op) string {
	if e.Op < least && e.Op != OpImplies {
		return "(" + e.String() + ")"
	}
	return e.String()
}

// atoms calls visit for every name with the ways in which the condition depends on it: positively, through a negation, or both.
func (e *Expr) atoms(positive, negative bool, visit func(name string, positive, negative bool)) {
	switch e.Op {
	case OpAtom:
		visit(e.Name, positive, negative)
	case OpNot:
		e.X.atoms(negative, positive, visit)
	case OpAnd, OpOr:
		e.X.atoms(positive, negative, visit)
		e.Y.atoms(positive, negative, visit)
	case OpImplies:
		e.X.atoms(negative, positive, visit)
		e.Y.atoms(positive, negative, visit)
	case OpXor:
		e.X.atoms(true, true, visit)
		e.Y.atoms(true, true, visit)
	}
}

// evidence appends the literals that make e true, or with want false those that make it false; of a disjunction the first side that does.
func (e *Expr) evidence(dst []Literal, want bool, holds func(Literal) bool) []Literal {
	switch e.Op {
	case OpAtom:
		return append(dst, Literal{e.Name, !want})
	case OpNot:
		return e.X.evidence(dst, !want, holds)
	case OpXor:
		left, right := e.X.truths(holds), e.Y.truths(holds)
		x := left.is && right.are(!want)
		return e.Y.evidence(e.X.evidence(dst, x, holds), x != want, holds)
	case OpAnd, OpOr, OpImplies:
		x := want != (e.Op == OpImplies) // what X has to be for its part
		switch {
		case want == (e.Op == OpAnd): // both sides are needed
			return e.Y.evidence(e.X.evidence(dst, x, holds), want, holds)
		case e.X.truths(holds).are(x):
			return e.X.evidence(dst, x, holds)
		}
		return e.Y.evidence(dst, want, holds)
	}
	return dst
}

// truths says of a condition whether it is true and whether it is false: neither where something unknown decides, both after a conflict.
type truths struct{ is, not bool }

func (t truths) are(want bool) bool {
	if want {
		return t.is
	}
	return t.not
}

// truths evaluates e in strong Kleene logic, extended to conflicts by Belnap. It is the plain twin of the compiled code.
func (e *Expr) truths(holds func(Literal) bool) truths {
	switch e.Op {
	case OpAtom:
		return truths{holds(Is(e.Name)), holds(Not(e.Name))}
	case OpTrue:
		return truths{is: true}
	case OpFalse:
		return truths{not: true}
	}
	x := e.X.truths(holds)
	if e.Op == OpNot || e.Op == OpImplies {
		x = truths{x.not, x.is}
	}
	if e.Op == OpNot {
		return x
	}
	y := e.Y.truths(holds)
	switch e.Op {
	case OpAnd:
		return truths{x.is && y.is, x.not || y.not}
	case OpXor:
		return truths{x.is && y.not || x.not && y.is, x.is && y.is || x.not && y.not}
	}
	return truths{x.is || y.is, x.not && y.not}
}

// Value is what is known of a concept.
type Value int8

// Truth values.
const (
	False   Value = -1
	Unknown Value = 0
	True    Value = 1
)

func (v Value) String() string { return [...]string{"false", "unknown", "true"}[v+1] }
