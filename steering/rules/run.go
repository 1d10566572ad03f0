// SPDX-License-Identifier: Apache-2.0

package rules

// Run follows one text token by token. It belongs to one goroutine; after Start no method but Why allocates.
type Run struct {
	m *Machine
	s *state
	// before is what was seen up to the last token, for Why: a step adds what token rules concluded.
	before [planes]belief
}

// Start returns a run that has seen nothing.
func (m *Machine) Start() *Run {
	r := &Run{m: m, s: m.newState()}
	for i := range r.before {
		r.before[i] = m.newBelief()
	}
	return r
}

// Reset forgets the text.
func (r *Run) Reset() {
	for i := range r.s.seen {
		r.s.seen[i].clear()
		r.before[i].clear()
	}
	r.s.derived.clear()
	r.s.fired.Clear()
	r.s.phase, r.s.answer = Both, false
}

// Step takes the concepts detected at the next token, held and denied (which may be nil), and draws all conclusions. The sets come from the machine's
// NewSet and are only read. A phase of Both makes every rule due and counts as a token of both phases.
func (r *Run) Step(phase Phase, held, denied Set) {
	s := r.s
	s.phase = phase
	s.answer = s.answer || phase != Prompt
	s.seen[planeToken].clear()
	s.seen[planeToken].merge(held, denied)
	s.seen[planeBoth].merge(held, denied)
	if phase != Answer {
		s.seen[planePrompt].merge(held, denied)
	}
	if phase != Prompt {
		s.seen[planeAnswer].merge(held, denied)
	}
	for i := range s.seen {
		copy(r.before[i].held, s.seen[i].held)
		copy(r.before[i].denied, s.seen[i].denied)
	}
	r.forget()
	r.m.settle(s)
}

func (r *Run) forget() {
	r.s.derived.clear()
	r.s.fired.Clear()
}

// Fired tells whether rule i's condition holds at the last token.
func (r *Run) Fired(i int) bool { return r.s.fired.Has(i) }

// Holds tells whether a concept is detected or concluded at the last token, by its number.
func (r *Run) Holds(concept int) bool {
	return r.s.seen[planeToken].held.Has(concept) || r.s.derived.held.Has(concept)
}

// Why returns the steps that led to the conclusions at the last token.
func (r *Run) Why() []Step {
	for i := range r.before {
		copy(r.s.seen[i].held, r.before[i].held)
		copy(r.s.seen[i].denied, r.before[i].denied)
	}
	r.forget()
	return r.m.trace(r.s)
}
