// SPDX-License-Identifier: Apache-2.0

package rules

import "slices"

// stratum is a list of rules that run to their end before those of the next one.
type stratum struct {
	rules []int // producers before consumers where that is possible
	loops bool  // one pass may not do
}

// read is a concept in a rule's condition. It is negated where its absence helps the rule and a rule concludes it; in the open world nothing is, for
// there denials grow like everything else.
type read struct {
	concept int
	negated bool
}

// levels numbers rules and concepts so that a rule is above what it negates and not below what it reads, and a concept not below the rules that conclude
// it. The pointers say which neighbour raised each last.
type levels struct {
	m                 *Machine
	reads             [][]read
	rule, concept     []int
	ruleBy, conceptBy []int // a place in reads, and a rule
}

// stratify orders the rules, or refuses with a *CycleError.
func (m *Machine) stratify() ([]stratum, error) {
	l := &levels{
		m: m, reads: m.allReads(), rule: make([]int, len(m.rules)), ruleBy: make([]int, len(m.rules)),
		concept: make([]int, len(m.names)), conceptBy: make([]int, len(m.names)),
	}
	for rounds := 0; ; rounds++ {
		raised := l.raise()
		if raised < 0 {
			break
		}
		if rounds > len(m.rules) { // longer than any way that passes no rule twice
			return nil, l.cycle(raised)
		}
	}
	out := make([]stratum, 0, 4)
	for i, at := range l.rule {
		for len(out) <= at {
			out = append(out, stratum{})
		}
		out[at].rules = append(out[at].rules, i)
	}
	for i := range out {
		l.order(&out[i])
	}
	return out, nil
}

func (m *Machine) allReads() [][]read {
	concluded := m.NewSet()
	for i := range m.rules {
		for _, h := range m.rules[i].affirms {
			concluded.Add(int(h))
		}
	}
	out := make([][]read, len(m.rules))
	for i := range m.rules {
		once := map[read]bool{}
		m.program.Rules[i].Body.atoms(true, false, func(name string, positive, negative bool) {
			c := m.index[name]
			negative = negative && m.world == Closed && concluded.Has(c)
			for _, r := range []read{{c, negative}, {c, negative && !positive}} {
				if !once[r] {
					once[r] = true
					out[i] = append(out[i], r)
				}
			}
		})
	}
	return out
}

// raise lifts what is too low, and returns a rule that it lifted or -1.
func (l *levels) raise() int {
	raised := -1
	for i, reads := range l.reads {
		for j, r := range reads {
			need := l.concept[r.concept]
			if r.negated {
				need++
			}
			if l.rule[i] < need {
				l.rule[i], l.ruleBy[i], raised = need, j, i
			}
		}
		for _, h := range l.m.rules[i].affirms {
			if l.concept[h] < l.rule[i] {
				l.concept[h], l.conceptBy[h] = l.rule[i], i
			}
		}
	}
	return raised
}

// cycle walks back from a rule that rises without end until it is on the cycle that lifts it, and names the rules there from a negation on.
func (l *levels) cycle(rule int) error {
	before := func(rule int) int { return l.conceptBy[l.reads[rule][l.ruleBy[rule]].concept] }
	for range l.rule {
		rule = before(rule)
	}
	around := []int{rule}
	for r := before(rule); r != rule; r = before(r) {
		around = append(around, r)
	}
	slices.Reverse(around)
	first := slices.IndexFunc(around, func(r int) bool { return l.reads[r][l.ruleBy[r]].negated })
	around = slices.Concat(around[max(first, 0):], around[:max(first, 0)])
	err := &CycleError{Negated: l.m.names[l.reads[around[0]][l.ruleBy[around[0]]].concept]}
	for _, r := range around {
		err.Rules = append(err.Rules, l.m.program.Title(r))
	}
	return err
}

// order puts a rule behind those of its stratum that conclude what it reads.
func (l *levels) order(s *stratum) {
	waiting := make([]int, len(l.concept)) // rules not yet placed that conclude a concept
	touch := func(rule, by int) {
		for _, h := range slices.Concat(l.m.rules[rule].affirms, l.m.rules[rule].denies) {
			waiting[h] += by
		}
	}
	for _, r := range s.rules {
		touch(r, 1)
	}
	blocked := func(r read) bool { return waiting[r.concept] > 0 }
	left, placed := s.rules, make([]int, 0, len(s.rules))
	for len(left) > 0 {
		var later []int
		for _, r := range left {
			if slices.ContainsFunc(l.reads[r], blocked) {
				later = append(later, r)
				continue
			}
			touch(r, -1)
			placed = append(placed, r)
		}
		if len(later) == len(left) {
			s.loops = true
			placed, later = append(placed, later...), nil
		}
		left = later
	}
	s.rules = placed
}
