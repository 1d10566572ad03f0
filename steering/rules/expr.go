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
func (e *Expr) evidence(dst []Literal, want bool, value func(name string) Value) []Literal {
	switch e.Op {
	case OpAtom:
		return append(dst, Literal{e.Name, !want})
	case OpNot:
		return e.X.evidence(dst, !want, value)
	case OpXor:
		left := e.X.value(value) == True
		return e.Y.evidence(e.X.evidence(dst, left, value), left != want, value)
	case OpAnd, OpOr, OpImplies:
		x, all := want != (e.Op == OpImplies), want == (e.Op == OpAnd)
		if all {
			return e.Y.evidence(e.X.evidence(dst, x, value), want, value)
		}
		if e.X.value(value) == truth(x) {
			return e.X.evidence(dst, x, value)
		}
		return e.Y.evidence(dst, want, value)
	}
	return dst
}

// value is e's in strong Kleene logic; it is the plain twin of the compiled code.
func (e *Expr) value(of func(name string) Value) Value {
	switch e.Op {
	case OpAtom:
		return of(e.Name)
	case OpTrue:
		return True
	case OpFalse:
		return False
	case OpNot:
		return -e.X.value(of)
	}
	x, y := e.X.value(of), e.Y.value(of)
	switch e.Op {
	case OpAnd:
		return min(x, y)
	case OpOr:
		return max(x, y)
	case OpImplies:
		return max(-x, y)
	}
	return -(x * y)
}

// Value is a truth value; negation changes the sign, and is the minimum, or the maximum.
type Value int8

// Truth values.
const (
	False   Value = -1
	Unknown Value = 0
	True    Value = 1
)

func (v Value) String() string { return [...]string{"false", "unknown", "true"}[v+1] }

func truth(b bool) Value {
	if b {
		return True
	}
	return False
}
