// SPDX-License-Identifier: Apache-2.0

package rules

import "slices"

// belief is what is held true and what is held false; in the open world a concept may be neither, after a conflict both.
type belief struct{ held, denied Set }

func (m *Machine) newBelief() belief { return belief{m.NewSet(), m.NewSet()} }

func (b belief) clear() {
	b.held.Clear()
	b.denied.Clear()
}

func (b belief) merge(held, denied Set) {
	b.held.merge(held)
	b.denied.merge(denied)
}

// state is one evaluation: what was detected, what follows, which rules fired.
type state struct {
	seen    [planes]belief
	derived belief
	fired   Set
	phase   Phase // of the token; Both: every rule is due, as where there are no tokens
	answer  bool  // an answer's token has come
}

func (m *Machine) newState() *state {
	s := &state{derived: m.newBelief(), fired: NewSet(len(m.rules))}
	for i := range s.seen {
		s.seen[i] = m.newBelief()
	}
	return s
}

// due tells whether a rule has anything to look at: a token rule in its phase, an any rule from its phase's first token on.
func (s *state) due(r *compiled) bool {
	switch {
	case s.phase == Both || r.phase == Both:
		return true
	case r.span == Token:
		return r.phase == s.phase
	}
	return r.phase == Prompt || s.answer
}

// settle runs the strata to their fixpoint.
func (m *Machine) settle(s *state) {
	for i := range m.strata {
		st := &m.strata[i]
		for m.pass(s, st.rules) && st.loops {
		}
	}
}

// pass fires what can fire, each rule seeing what those before it concluded, and tells whether there was news.
func (m *Machine) pass(s *state, order []int) bool {
	news := false
	for _, i := range order {
		r := &m.rules[i]
		if !s.fired.Has(i) && s.due(r) && m.holds(s, r) {
			s.fired.Add(i)
			news = m.conclude(s, r) || news
		}
	}
	return news
}

// holds tells whether a condition is true.
func (m *Machine) holds(s *state, r *compiled) bool {
	seen := &s.seen[r.plane]
	if r.positive == nil {
		return m.truth(s, r)
	}
	for w := range r.positive {
		held := seen.held[w] | s.derived.held[w]
		denied := ^held
		if m.world == Open {
			denied = seen.denied[w] | s.derived.denied[w]
		}
		if r.positive[w]&^held|r.denied[w]&^denied != 0 {
			return false
		}
	}
	return true
}

// below is every place of a stack but the top one.
const below = ^uint64(1)

// truth runs a condition's code on two stacks of bits: whether each operand is true, and whether it is false.
func (m *Machine) truth(s *state, r *compiled) bool {
	var is, not uint64
	for _, in := range r.code {
		switch in.op {
		case OpAtom:
			held, denied := m.belief(s, r.plane, int(in.concept))
			is, not = is<<1|held, not<<1|denied
		case OpTrue:
			is, not = is<<1|1, not<<1
		case OpFalse:
			is, not = is<<1, not<<1|1
		case OpNot:
			is, not = is&^1|not&1, not&^1|is&1
		case OpAnd:
			is, not = is>>1&(is|below), not>>1|not&1
		case OpOr:
			is, not = is>>1|is&1, not>>1&(not|below)
		case OpXor:
			one := is>>1&not&1 | not>>1&is&1
			same := is>>1&is&1 | not>>1&not&1
			is, not = is>>1&^1|one, not>>1&^1|same
		}
	}
	return is&1 != 0
}

// belief returns 1 or 0 for held and for denied.
func (m *Machine) belief(s *state, p plane, concept int) (held, denied uint64) {
	w, bit := concept>>6, concept&63
	held = (s.seen[p].held[w] | s.derived.held[w]) >> bit & 1
	if m.world == Closed {
		return held, held ^ 1
	}
	return held, (s.seen[p].denied[w] | s.derived.denied[w]) >> bit & 1
}

// conclude adds a fired rule's conclusions and tells whether there was news. A token rule's count as seen at this token.
func (m *Machine) conclude(s *state, r *compiled) bool {
	news := false
	for _, c := range r.affirms {
		news = s.note(r, int(c), false) || news
	}
	for _, c := range r.denies {
		news = s.note(r, int(c), true) || news
	}
	return news
}

func (s *state) note(r *compiled, concept int, denied bool) bool {
	news := !s.derived.of(denied).Has(concept)
	s.derived.of(denied).Add(concept)
	if r.span == Any {
		return news
	}
	s.seen[planeBoth].of(denied).Add(concept)
	if s.phase != Answer {
		s.seen[planePrompt].of(denied).Add(concept)
	}
	if s.phase != Prompt {
		s.seen[planeAnswer].of(denied).Add(concept)
	}
	return news
}

func (b *belief) of(denied bool) Set {
	if denied {
		return b.denied
	}
	return b.held
}

// Step is one rule that fired.
type Step struct {
	Round int       // from 1; the rules of a round see the same facts
	Rule  int       // place in the program
	From  []Literal // facts that made the condition true
	Adds  []Literal // conclusions that were news; none where all were known or the rule only acts
}

// trace runs the strata in rounds and records them. It reaches the fixpoint of settle by a slower way that can be told.
func (m *Machine) trace(s *state) []Step {
	var out []Step
	round := 1
	for i := range m.strata {
		order := slices.Sorted(slices.Values(m.strata[i].rules))
		for {
			first := len(out)
			for _, r := range order {
				if c := &m.rules[r]; !s.fired.Has(r) && s.due(c) && m.holds(s, c) {
					out = append(out, Step{Round: round, Rule: r, From: m.evidence(s, r)})
				}
			}
			if len(out) == first {
				break
			}
			for j := range out[first:] {
				m.fire(s, &out[first+j])
			}
			round++
		}
	}
	return out
}

// evidence is the facts that make rule i's condition true, each once.
func (m *Machine) evidence(s *state, i int) []Literal {
	p := m.rules[i].plane
	value := func(l Literal) bool {
		held, denied := m.belief(s, p, m.index[l.Name])
		return (l.Not && denied == 1) || (!l.Not && held == 1)
	}
	var out []Literal
	for _, l := range m.program.Rules[i].Body.evidence(nil, true, value) {
		if !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}

func (m *Machine) fire(s *state, step *Step) {
	r := &m.rules[step.Rule]
	s.fired.Add(step.Rule)
	for _, h := range m.program.Rules[step.Rule].Heads {
		c := m.index[h.Name]
		known := s.seen[r.plane].of(h.Not).Has(c) || s.derived.of(h.Not).Has(c)
		if s.note(r, c, h.Not); !known {
			step.Adds = append(step.Adds, h)
		}
	}
}
