// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"
	"strings"
)

// Released writes the rules as the released code has them. For Legacy a rule is the words of its condition without and; for the others condition, is and
// conclusion follow each other, and a rule on nothing but true, false or uncertain in quotes is an answer of OpenWorld. It refuses what those rules cannot
// say: parentheses, constants, and a number of conclusions other than one (where there is none, the first concept promoted).
func (p *Program) Released(legacy bool) ([]ReleasedRule, error) {
	out := make([]ReleasedRule, len(p.Rules))
	for i := range p.Rules {
		r := &p.Rules[i]
		head, ok := r.releasedHead()
		if !ok {
			return nil, p.unreleased(i, "one conclusion, or none and a promoted concept")
		}
		words, ok := releasedWords(nil, r.Body)
		if !ok {
			return nil, p.unreleased(i, "no parentheses and neither true nor false in its condition")
		}
		answer := r.Body.Op == OpAtom && slices.Contains([]string{"true", "false", "uncertain"}, r.Body.Name)
		switch {
		case legacy:
			words = slices.DeleteFunc(words, func(w string) bool { return w == "and" })
		case !answer && head.Not:
			words = append(words, "is", "not", head.Name)
		case !answer:
			words = append(words, "is", head.Name)
		}
		out[i] = ReleasedRule{words, head.Name}
	}
	return out, nil
}

func (r *Rule) releasedHead() (Literal, bool) {
	if len(r.Heads) > 0 {
		return r.Heads[0], len(r.Heads) == 1
	}
	for _, a := range r.Actions {
		if a.Kind == Promote {
			return Is(a.Concept), true
		}
	}
	return Literal{}, false
}

func (p *Program) unreleased(i int, want string) error {
	r := &p.Rules[i]
	return &ParseError{r.Line, r.Column, "for the released code's modes " + want, strings.TrimSpace(r.String())}
}

// releasedWords writes e without parentheses, and fails where they would be needed.
func releasedWords(dst []string, e *Expr) ([]string, bool) {
	switch e.Op {
	case OpAtom:
		return append(dst, e.Name), true
	case OpNot:
		if e.X.Op < OpNot {
			return nil, false
		}
		return releasedWords(append(dst, "not"), e.X)
	case OpAnd, OpOr, OpXor:
		if e.X.Op < e.Op || e.Y.Op < e.Op {
			return nil, false
		}
		dst, ok := releasedWords(dst, e.X)
		if !ok {
			return nil, false
		}
		return releasedWords(append(dst, e.Op.String()), e.Y)
	}
	return nil, false
}
