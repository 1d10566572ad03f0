// SPDX-License-Identifier: Apache-2.0

package receipt

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/dose"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/rules"
)

// Config is how the model of a receipt was opened. An export brings forms of its own.
func (h *Header) Config() runtime.Config {
	m := &h.Model
	return runtime.Config{
		Quant: runtime.Quant(m.Quant), Kernels: runtime.Kernels(m.Kernels), KV: runtime.KV(m.KV), Threads: m.Threads, Context: m.Context, Chunk: m.Chunk,
	}
}

// Player runs the answers of a receipt again, each in the session and behind the answers that it had.
type Player struct {
	model  *runtime.Model
	stands map[int]*stand // by number of the session
	last   map[int]int    // the last answer of each session
}

// stand is a session with what is on it.
type stand struct {
	session  *runtime.Session
	guard    *dose.Guard
	attached []played
	around   []*runtime.Attachment // of the guard
	reading  []*runtime.Attachment // of probes
}

// played is a steering on the session.
type played struct {
	number int // of its attachment in the receipt
	hook   steering.Hook
	at     *runtime.Attachment
}

// NewPlayer returns a player of runs on an opened model.
func NewPlayer(m *runtime.Model, runs []Run) *Player {
	p := &Player{model: m, stands: map[int]*stand{}, last: map[int]int{}}
	for i := range runs {
		p.last[runs[i].Session] = runs[i].Number
	}
	return p
}

// Close gives the sessions back.
func (p *Player) Close() {
	for _, s := range p.stands {
		s.close()
	}
}

func (s *stand) close() {
	s.session.Close()
	s.guard.Close()
}

// Play answers the prompt of a run again.
func (p *Player) Play(ctx context.Context, run *Run) (*answer.Answer, error) {
	st, err := p.prepare(run)
	if err != nil {
		return nil, fmt.Errorf("replay: answer %d: %w", run.Number, err)
	}
	defer func() {
		if p.last[run.Session] == run.Number {
			st.close()
			delete(p.stands, run.Session)
		}
	}()
	settings := run.Sampling.settings()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	n := 0
	a, err := answer.Follow(ctx, st.session, run.PromptIDs, &settings, func(*runtime.Token) {
		if n++; run.Finish == "" && n == len(run.IDs) {
			stop()
		}
	})
	if run.Finish == "" && errors.Is(err, context.Canceled) && n == len(run.IDs) {
		err = nil
	}
	if err != nil {
		return a, fmt.Errorf("replay: answer %d: %w", run.Number, err)
	}
	return a, nil
}

// prepare brings session, steering and strengths to where they were.
func (p *Player) prepare(run *Run) (*stand, error) {
	s := p.stands[run.Session]
	if s == nil {
		var err error
		if s, err = p.open(run); err != nil {
			return nil, err
		}
		p.stands[run.Session] = s
	}
	if err := s.attach(run); err != nil {
		return nil, err
	}
	for i, one := range steers(run) {
		s.attached[i].hook.Strength().Set(float32(one.Strength))
	}
	return s, nil
}

// open begins a new session.
func (p *Player) open(run *Run) (s *stand, err error) {
	s = &stand{}
	if s.session, err = p.model.NewSession(); err != nil {
		return nil, err
	}
	if run.Guard != nil {
		if s.guard, err = dose.NewGuard(p.model, *run.Guard); err != nil {
			s.session.Close()
			return nil, err
		}
	}
	return s, nil
}

// steers are the parts of a run that may change something.
func steers(run *Run) []Steered {
	return slices.DeleteFunc(slices.Clone(run.Steering), func(x Steered) bool { return x.Probe })
}

// attach takes off what the run no longer had and puts on what is new, in the order of the receipt: what is kept in the session's cache depends on it.
func (s *stand) attach(run *Run) error {
	if err := s.detach(s.reading); err != nil {
		return err
	}
	s.reading = nil
	want := steers(run)
	same := slices.EqualFunc(want, s.attached, func(x Steered, one played) bool { return x.Attachment == one.number })
	if !same || (s.guard != nil && s.around == nil) {
		if err := s.change(want); err != nil {
			return err
		}
	}
	return s.probes(run)
}

// change replaces the steering that is attached.
func (s *stand) change(want []Steered) error {
	if err := s.detach(s.around); err != nil {
		return err
	}
	s.around = nil
	var kept []played
	for _, one := range s.attached {
		if slices.ContainsFunc(want, func(x Steered) bool { return x.Attachment == one.number }) {
			kept = append(kept, one)
		} else if err := s.session.Detach(one.at); err != nil {
			return err
		}
	}
	for i := range want {
		if i < len(kept) && kept[i].number == want[i].Attachment {
			continue
		}
		if i < len(kept) {
			return fmt.Errorf("want steering in the order in which it was attached, found %s before %s", want[i].Name, kept[i].hook.Name())
		}
		h, err := load(&want[i])
		if err != nil {
			return err
		}
		kept = append(kept, played{number: want[i].Attachment, hook: h})
	}
	s.attached = kept
	return s.put()
}

// put attaches what is not yet on the session; a guard stands around everything.
func (s *stand) put() error {
	if s.guard == nil {
		for i := range s.attached {
			if one := &s.attached[i]; one.at == nil {
				var err error
				if one.at, err = s.session.Attach(one.hook); err != nil {
					return err
				}
			}
		}
		return nil
	}
	var list []hooks.Hook
	for i := range s.attached {
		list = append(list, s.attached[i].hook)
		if at := s.attached[i].at; at != nil {
			if err := s.session.Detach(at); err != nil {
				return err
			}
		}
	}
	all, err := s.guard.Attach(s.session, list...)
	if err != nil {
		return err
	}
	for i := range s.attached {
		s.attached[i].at = all[i+1]
	}
	s.around = []*runtime.Attachment{all[0], all[len(all)-1]}
	return nil
}

// probes attaches what only reads, for what it reports.
func (s *stand) probes(run *Run) error {
	for i := range run.Steering {
		if !run.Steering[i].Probe {
			continue
		}
		h, err := load(&run.Steering[i])
		if err != nil {
			return err
		}
		at, err := s.session.Attach(h)
		if err != nil {
			return err
		}
		s.reading = append(s.reading, at)
	}
	return nil
}

func (s *stand) detach(list []*runtime.Attachment) error {
	for _, at := range list {
		if err := s.session.Detach(at); err != nil {
			return err
		}
	}
	return nil
}

// load makes a steering again, with the rules that were added to its file.
func load(s *Steered) (steering.Hook, error) {
	h, err := steering.Load(s.Spec)
	r, reasons := h.(*steering.Reasoning)
	if err != nil || !reasons || s.Rules == "" {
		return h, err
	}
	program, err := rules.Parse(s.Rules)
	if err != nil {
		return nil, fmt.Errorf("%s: rules of the receipt: %w", s.Name, err)
	}
	if n := len(r.Program().Rules); len(program.Rules) > n {
		return r.With(program.Rules[n:])
	}
	return h, nil
}
