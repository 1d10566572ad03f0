// SPDX-License-Identifier: Apache-2.0

package rules

import "slices"

// stratum is a list of rules that run to their end before those of the next one.
type stratum struct {
	rules []int // producers before consumers where that is possible
	loops bool  // one pass may not do
}

// edge says that rule concludes concept to and reads concept from, which it negates or not.
type edge struct {
	from, to, rule int
	negated        bool
}

// stratify orders the rules. Only negation of what can be concluded counts, and in the open world none does: there denials grow like everything else.
func (m *Machine) stratify() ([]stratum, error) {
	edges := m.edges()
	level := make([]int, len(m.names))
	for changed, rounds := true, 0; changed; rounds++ {
		changed = false
		for _, e := range edges {
			need := level[e.from]
			if e.negated {
				need++
			}
			if level[e.to] < need {
				level[e.to], changed = need, true
			}
		}
		if rounds > len(m.names) {
			return nil, m.cycle(edges)
		}
	}
	var out []stratum
	concluded := m.concluded()
	for i := range m.rules {
		at := m.level(i, level, concluded)
		for len(out) <= at {
			out = append(out, stratum{})
		}
		out[at].rules = append(out[at].rules, i)
	}
	for i := range out {
		m.order(&out[i])
	}
	return out, nil
}

// reads calls visit for each concept in a rule's condition; negated is meant as in edges.
func (m *Machine) reads(rule int, concluded Set, visit func(concept int, negated bool)) {
	m.program.Rules[rule].Body.atoms(true, false, func(name string, positive, negative bool) {
		c := m.index[name]
		negated := negative && m.world == Closed && concluded.Has(c)
		if positive || !negated {
			visit(c, false)
		}
		if negated {
			visit(c, true)
		}
	})
}

func (m *Machine) concluded() Set {
	out := m.NewSet()
	for i := range m.rules {
		for _, h := range m.rules[i].affirms {
			out.Add(int(h))
		}
	}
	return out
}

func (m *Machine) edges() []edge {
	var out []edge
	concluded := m.concluded()
	for i := range m.rules {
		m.reads(i, concluded, func(c int, negated bool) {
			for _, h := range m.rules[i].affirms {
				out = append(out, edge{c, int(h), i, negated})
			}
		})
	}
	return out
}

// level is the stratum in which all that rule i reads is decided.
func (m *Machine) level(i int, level []int, concluded Set) int {
	at := 0
	m.reads(i, concluded, func(c int, negated bool) {
		need := level[c]
		if negated {
			need++
		}
		at = max(at, need)
	})
	return at
}

// order puts a rule behind those of its stratum that conclude what it reads.
func (m *Machine) order(s *stratum) {
	waiting := make([]int, len(m.names)) // rules not yet placed that conclude a concept
	touch := func(rule, by int) {
		for _, h := range slices.Concat(m.rules[rule].affirms, m.rules[rule].denies) {
			waiting[h] += by
		}
	}
	for _, r := range s.rules {
		touch(r, 1)
	}
	ready := func(rule int) bool {
		free := true
		m.reads(rule, nil, func(c int, _ bool) { free = free && waiting[c] == 0 })
		return free
	}
	left, placed := s.rules, make([]int, 0, len(s.rules))
	for len(left) > 0 {
		var blocked []int
		for _, r := range left {
			if !ready(r) {
				blocked = append(blocked, r)
				continue
			}
			touch(r, -1)
			placed = append(placed, r)
		}
		if len(blocked) == len(left) {
			s.loops = true
			placed, blocked = append(placed, blocked...), nil
		}
		left = blocked
	}
	s.rules = placed
}

// cycle finds a negated edge that lies on a cycle, and the shortest way back.
func (m *Machine) cycle(edges []edge) error {
	for _, e := range edges {
		if !e.negated {
			continue
		}
		if way, found := m.way(edges, e.to, e.from); found {
			err := &CycleError{Negated: m.names[e.from]}
			for _, r := range append([]int{e.rule}, way...) {
				if title := m.program.Title(r); !slices.Contains(err.Rules, title) {
					err.Rules = append(err.Rules, title)
				}
			}
			return err
		}
	}
	return &CycleError{} // unreachable: levels only grow without end on such a cycle
}

// way returns the rules that lead from one concept to another, by breadth first.
func (m *Machine) way(edges []edge, from, to int) ([]int, bool) {
	came := map[int]edge{}
	seen := m.NewSet()
	seen.Add(from)
	for queue := []int{from}; len(queue) > 0 && !seen.Has(to); queue = queue[1:] {
		for _, e := range edges {
			if e.from == queue[0] && !seen.Has(e.to) {
				seen.Add(e.to)
				came[e.to] = e
				queue = append(queue, e.to)
			}
		}
	}
	if !seen.Has(to) {
		return nil, false
	}
	var out []int
	for c := to; c != from; c = came[c].from {
		out = append(out, came[c].rule)
	}
	slices.Reverse(out)
	return out, true
}
