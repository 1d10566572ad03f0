// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	goruntime "runtime"

	"github.com/trimtab/trimtab/hooks"
)

// pass is what is under way while a session runs its graph: the rows that taps see, and the first thing that went wrong in one.
type pass struct {
	session *Session
	feed    *feed
	rows    []hooks.Row // all that run; the last ones are those of tokens
	tokens  []int32
	rest    int // tokens of the prompt behind those
	err     error
	wishes  wishes
}

// tapState is a bound tap with the activation that it is handed, made once.
type tapState struct {
	tap        *hooks.Tap
	activation hooks.Activation
	rows       []bool
	open       bool // a row is selected
	encoder    *heldEncoder
}

func newTapStates(p *program, sh *hooks.Shape, encoders []*heldEncoder, run hooks.Run) []tapState {
	out := make([]tapState, len(p.taps))
	for i, t := range p.taps {
		out[i] = tapState{tap: t, encoder: encoders[i], activation: hooks.Activation{Site: t.Site, Width: sh.Widths[t.Site], Run: run}}
		if encoders[i] != nil {
			out[i].activation.Slack = encoders[i].slack
		}
	}
	return out
}

// TapError is the end of a run by one of its taps; the session works on.
type TapError struct {
	Tap   string
	Site  hooks.Site
	Err   error  // what the tap returned, or what it panicked with
	Stack string // of a panic; "" otherwise
}

func (e *TapError) Error() string {
	if e.Stack != "" {
		return fmt.Sprintf("runtime: tap %s at %s panicked: %v", e.Tap, e.Site, e.Err)
	}
	return fmt.Sprintf("runtime: tap %s at %s: %v", e.Tap, e.Site, e.Err)
}

// Unwrap returns the tap's own error.
func (e *TapError) Unwrap() error { return e.Err }

// run carries out one pass over tokens, which follow those in the cache. On an error the cache holds what it held before.
func (s *Session) run(f *feed, tokens []int32, phase hooks.Phase) error {
	p := &s.pass
	p.feed, p.tokens, p.err = f, tokens, nil
	p.rows = p.rows[:0]
	if !p.wishes.generating {
		p.wishes.forget()
	}
	p.runAgain()
	for i, id := range tokens {
		f.ids[f.before+i] = int64(id)
		p.rows = append(p.rows, hooks.Row{Position: len(s.past) + i, Phase: phase, Special: s.model.special(id)})
	}
	if err := s.model.network.prepare(s, f); err != nil {
		return err
	}
	for i, e := range s.program.edits {
		if err := f.setEdit(i, e, p.rows); err != nil {
			return err
		}
	}
	for i := range s.taps {
		f.gates[i] = p.gate(&s.taps[i])
	}
	if err := f.send(); err != nil {
		return err
	}
	if err := f.binding.Run(s.stopper); err != nil {
		if p.err != nil {
			return p.err
		}
		return fmt.Errorf("runtime: pass over tokens %d to %d: %w", len(s.past), len(s.past)+len(tokens)-1, err)
	}
	s.model.network.finish(s, f)
	state := s.state(phase)
	for i, id := range tokens {
		s.past = append(s.past, pastToken{id: id, generated: phase == hooks.Decode, began: i == 0, state: state})
	}
	return nil
}

// gate marks the rows that a tap's Where selects and returns 1 where there is one.
func (p *pass) gate(t *tapState) int64 {
	n := min(p.feed.rowsOf(t.tap.Site), p.feed.tokens)
	rows := p.rows[len(p.rows)-n:]
	t.rows = t.rows[:0]
	t.open = false
	for _, r := range rows {
		on := t.tap.Where.Selects(r)
		t.rows = append(t.rows, on)
		t.open = t.open || on
	}
	a := &t.activation
	a.Phase, a.First, a.Rest, a.Tokens, a.Rows = rows[0].Phase, rows[0].Position, p.rest, p.tokens[len(p.tokens)-n:], t.rows
	if t.open || p.actsAgain(t) {
		return 1
	}
	return 0
}

// Tap is called by the graph's node of that number. What a tap returns or panics with becomes the error of the run.
func (p *pass) Tap(tap int, data []float32, _, _ int, products []float32) (ok bool) {
	t := &p.session.taps[tap]
	defer func() {
		if r := recover(); r != nil {
			p.err, ok = panicked(t.tap, r), false
		}
	}()
	if err := p.show(t, data, products); err != nil {
		p.err = &TapError{Tap: t.tap.Name, Site: t.tap.Site, Err: err}
		return false
	}
	return true
}

func panicked(t *hooks.Tap, r any) error {
	err, isError := r.(error)
	if !isError {
		err = fmt.Errorf("%v", r)
	}
	stack := make([]byte, 16<<10)
	return &TapError{Tap: t.Name, Site: t.Site, Err: err, Stack: string(stack[:goruntime.Stack(stack, false)])}
}

// reserve makes room in the cache for n tokens in all, and refuses more than the context holds.
func (s *Session) reserve(n int) error {
	if most := s.model.config.Context; n > most {
		return fmt.Errorf("%w: want room for %d tokens, found %d", ErrContextFull, n, most)
	}
	return s.model.network.reserve(s, n)
}
