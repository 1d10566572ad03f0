// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/trimtab/trimtab/cgo/ort"
	"github.com/trimtab/trimtab/hooks"
)

// Session is one sequence of tokens run through a model, with its own cache and its own hooks. One generation runs at a time; hooks may be attached,
// detached and turned and the session closed from any goroutine, and take effect between two passes. A tap must not call its own session.
type Session struct {
	model    *Model
	mu       sync.Mutex // held during a pass and while the session changes
	running  atomic.Bool
	closed   bool
	closing  chan struct{}
	stopper  *ort.Stopper
	identity int64

	attached []*Attachment
	program  program
	operands []*operand
	taps     []tapState
	encoders []*heldEncoder // by tap
	variant  *variant

	past   []pastToken
	long   bool         // the rotary embedding turns by its factors for long sequences
	again  int          // tokens of the cache that turned by the other factors, and run again with the next pass
	cache  *cache       // of a graph of the project's own
	export *exportCache // of an export
	rope   *ropeValues
	decode *feed
	chunk  *feed
	pass   pass
}

// pastToken is a token whose keys and values are in the cache.
type pastToken struct {
	id        int32
	generated bool
	began     bool   // a pass began with it
	state     uint64 // of the hooks that acted on it
}

// Attachment is a hook on a session.
type Attachment struct {
	hook hooks.Hook
	plan hooks.Plan
	id   uint64
}

// Plan returns what the hook asked for, sites resolved; it must not be written.
func (a *Attachment) Plan() hooks.Plan { return a.plan }

// NewSession returns an empty session without hooks: it runs the untouched graph.
func (m *Model) NewSession() (*Session, error) {
	m.open.Lock()
	defer m.open.Unlock()
	if m.open.closed {
		return nil, fmt.Errorf("runtime: new session: model: %w", ErrClosed)
	}
	stopper, err := ort.NewStopper()
	if err != nil {
		return nil, err
	}
	s := &Session{model: m, stopper: stopper, closing: make(chan struct{})}
	s.pass.session = s
	s.identity = ort.Register(&s.pass)
	m.open.sessions[s] = true
	if s.variant, err = m.variant(&s.program); err != nil {
		return nil, err
	}
	return s, nil
}

// Model returns the model that the session runs.
func (s *Session) Model() *Model { return s.model }

// Attach asks a hook for its plan and puts it behind those already attached. The first use of a combination of sites and operations builds a graph
// (well below a second; weights are shared), later ones do not. On an error the session is as it was.
func (s *Session) Attach(h hooks.Hook) (*Attachment, error) {
	list, err := s.AttachAll(h)
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// AttachAll attaches hooks in the order given, all or none: one graph is built, where attaching them one by one may build one each.
func (s *Session) AttachAll(list ...hooks.Hook) ([]*Attachment, error) {
	if err := s.enter(); err != nil {
		return nil, fmt.Errorf("runtime: attach: %w", err)
	}
	defer s.mu.Unlock()
	all := slices.Clone(s.attached)
	for _, h := range list {
		plan, err := h.Bind(&s.model.shape)
		if err != nil {
			return nil, fmt.Errorf("runtime: attach: %w", err)
		}
		if plan, err = s.model.check(plan); err != nil {
			return nil, fmt.Errorf("runtime: attach: %w", err)
		}
		all = append(all, &Attachment{hook: h, plan: plan, id: s.model.attachments.Add(1)})
	}
	added := len(s.attached)
	if err := s.rebuild(all); err != nil {
		return nil, fmt.Errorf("runtime: attach: %w", err)
	}
	return slices.Clone(all[added:]), nil
}

// Detach takes a hook off again; one that is not attached is an error.
func (s *Session) Detach(a *Attachment) error {
	if err := s.enter(); err != nil {
		return fmt.Errorf("runtime: detach: %w", err)
	}
	defer s.mu.Unlock()
	i := slices.Index(s.attached, a)
	if i < 0 {
		return fmt.Errorf("runtime: detach: the hook is not attached to this session")
	}
	return s.rebuild(slices.Delete(slices.Clone(s.attached), i, i+1))
}

// check resolves the sites of a plan and refuses what cannot work, before anything changes.
func (m *Model) check(p hooks.Plan) (hooks.Plan, error) {
	p.Edits, p.Taps = slices.Clone(p.Edits), slices.Clone(p.Taps)
	for i := range p.Edits {
		e := &p.Edits[i]
		if err := e.Check(&m.shape); err != nil {
			return p, err
		}
		e.Site, _ = m.shape.Resolve(e.Site) // Check resolved it already
	}
	for i := range p.Taps {
		t := &p.Taps[i]
		site, err := m.shape.Resolve(t.Site)
		if err != nil {
			return p, fmt.Errorf("tap %s: %w", t.Name, err)
		}
		if t.Encoder != nil {
			if err := t.Encoder.Check(t.Name, site, m.shape.Widths[site]); err != nil {
				return p, err
			}
		}
		if t.Func == nil {
			return p, fmt.Errorf("tap %s at %s: want a function, found nil", t.Name, site)
		}
		t.Site = site
	}
	return p, nil
}

// rebuild changes the session to the given attachments, or leaves it as it is.
func (s *Session) rebuild(attached []*Attachment) error {
	plans := make([]hooks.Plan, len(attached))
	for i, a := range attached {
		plans[i] = a.plan
	}
	p := compile(plans)
	if err := s.model.shape.CheckMasks(p.edits); err != nil {
		return err
	}
	held, err := p.hold(s.model)
	if err != nil {
		return err
	}
	v, err := s.model.variant(&p)
	if err != nil {
		s.model.release(held)
		return err
	}
	operands, err := newOperands(p.edits)
	if err != nil {
		s.model.release(held)
		return err
	}
	s.dropFeeds()
	closeOperands(s.operands)
	s.model.release(s.encoders)
	s.attached, s.program, s.variant, s.operands, s.encoders = attached, p, v, operands, held
	s.taps = newTapStates(&p, &s.model.shape, held, &s.pass.wishes)
	return nil
}

func newOperands(edits []*hooks.Edit) ([]*operand, error) {
	out := make([]*operand, len(edits))
	for i, e := range edits {
		var err error
		if out[i], err = newOperand(e); err != nil {
			closeOperands(out[:i+1])
			return nil, err
		}
	}
	return out, nil
}

func closeOperands(list []*operand) {
	for _, o := range list {
		o.close()
	}
}

func (s *Session) dropFeeds() {
	s.decode.close()
	s.chunk.close()
	s.decode, s.chunk = nil, nil
}

// enter locks the session between two passes, unless it is closed.
func (s *Session) enter() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return fmt.Errorf("session: %w", ErrClosed)
	}
	return nil
}

// Close stops what the session is running and gives its memory back; twice and nil are fine.
func (s *Session) Close() {
	if s == nil {
		return
	}
	s.model.open.Lock()
	select {
	case <-s.closing:
	default:
		close(s.closing)
		s.stopper.Stop()
	}
	delete(s.model.open.sessions, s)
	s.model.open.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.dropFeeds()
	closeOperands(s.operands)
	s.model.release(s.encoders)
	s.cache.close()
	s.export.close()
	s.stopper.Close()
	ort.Unregister(s.identity)
}
