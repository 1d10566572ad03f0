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
	model    *runtime.Model
	number   int // of the session
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

// NewPlayer returns a player on an opened model.
func NewPlayer(m *runtime.Model) *Player { return &Player{model: m} }

// Close gives the sessions back.
func (p *Player) Close() {
	p.session.Close()
	p.guard.Close()
}

// Play answers the prompt of a run again.
func (p *Player) Play(ctx context.Context, run *Run) (*answer.Answer, error) {
	if err := p.prepare(run); err != nil {
		return nil, fmt.Errorf("replay: answer %d: %w", run.Number, err)
	}
	settings := run.Sampling.settings()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	n := 0
	a, err := answer.Follow(ctx, p.session, run.PromptIDs, &settings, func(*runtime.Token) {
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
func (p *Player) prepare(run *Run) error {
	if p.session == nil || p.number != run.Session {
		if err := p.open(run); err != nil {
			return err
		}
	}
	if err := p.attach(run); err != nil {
		return err
	}
	for i, s := range p.steering(run) {
		p.attached[i].hook.Strength().Set(float32(s.Strength))
	}
	return nil
}

// open begins a new session.
func (p *Player) open(run *Run) (err error) {
	p.Close()
	p.guard, p.attached, p.around, p.reading, p.number = nil, nil, nil, nil, run.Session
	if p.session, err = p.model.NewSession(); err != nil {
		return err
	}
	if run.Guard != nil {
		p.guard, err = dose.NewGuard(p.model, *run.Guard)
	}
	return err
}

// steering are the parts of a run that may change something.
func (p *Player) steering(run *Run) []Steered {
	return slices.DeleteFunc(slices.Clone(run.Steering), func(s Steered) bool { return s.Probe })
}

// attach takes off what the run no longer had and puts on what is new, in the order of the receipt: what is kept in the session's cache depends on it.
func (p *Player) attach(run *Run) error {
	if err := p.detach(p.reading); err != nil {
		return err
	}
	p.reading = nil
	want := p.steering(run)
	same := slices.EqualFunc(want, p.attached, func(s Steered, one played) bool { return s.Attachment == one.number })
	if !same || (p.guard != nil && p.around == nil) {
		if err := p.change(want); err != nil {
			return err
		}
	}
	return p.probes(run)
}

// change replaces the steering that is attached.
func (p *Player) change(want []Steered) error {
	if err := p.detach(p.around); err != nil {
		return err
	}
	p.around = nil
	var kept []played
	for _, one := range p.attached {
		if slices.ContainsFunc(want, func(s Steered) bool { return s.Attachment == one.number }) {
			kept = append(kept, one)
		} else if err := p.session.Detach(one.at); err != nil {
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
	p.attached = kept
	return p.put()
}

// put attaches what is not yet on the session; a guard stands around everything.
func (p *Player) put() error {
	if p.guard == nil {
		for i := range p.attached {
			if one := &p.attached[i]; one.at == nil {
				var err error
				if one.at, err = p.session.Attach(one.hook); err != nil {
					return err
				}
			}
		}
		return nil
	}
	var list []hooks.Hook
	for i := range p.attached {
		list = append(list, p.attached[i].hook)
		if at := p.attached[i].at; at != nil {
			if err := p.session.Detach(at); err != nil {
				return err
			}
		}
	}
	all, err := p.guard.Attach(p.session, list...)
	if err != nil {
		return err
	}
	for i := range p.attached {
		p.attached[i].at = all[i+1]
	}
	p.around = []*runtime.Attachment{all[0], all[len(all)-1]}
	return nil
}

// probes attaches what only reads, for what it reports.
func (p *Player) probes(run *Run) error {
	for i := range run.Steering {
		if !run.Steering[i].Probe {
			continue
		}
		h, err := load(&run.Steering[i])
		if err != nil {
			return err
		}
		at, err := p.session.Attach(h)
		if err != nil {
			return err
		}
		p.reading = append(p.reading, at)
	}
	return nil
}

func (p *Player) detach(list []*runtime.Attachment) error {
	for _, at := range list {
		if err := p.session.Detach(at); err != nil {
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
