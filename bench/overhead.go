// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"time"

	"github.com/trimtab/trimtab/hooks"
)

// overhead compares every kind of hook with none.
func (s *suite) overhead() error {
	kinds := Kinds(s.m.Shape(), &s.c)
	for _, t := range []task{s.decoding(s.c.Contexts[0]), s.prefilling(), s.beginning()} {
		t.title = "hooks: " + t.title
		if err := s.hooked(t, kinds); err != nil {
			return err
		}
	}
	if err := s.attaching(kinds); err != nil {
		return err
	}
	return s.peersHooked()
}

// hooked compares sessions with hooks with one without; a second one without shows the noise.
func (s *suite) hooked(t task, kinds []Kind) error {
	var open engines
	defer func() { open.close() }()
	base, err := open.add(s.m)
	if err != nil {
		return err
	}
	second, err := open.add(s.m)
	if err != nil {
		return err
	}
	list := []Contestant{t.ours(base, "none"), t.ours(second, "none"+again)}
	costs := make([]cost, len(kinds))
	for i, k := range kinds {
		s.c.Progress(t.title + ": " + k.Name)
		e, err := open.add(s.m)
		if err != nil {
			return err
		}
		if costs[i], err = s.attach(e, k); err != nil {
			return err
		}
		c := t.ours(e, k.Name)
		c.Beside = k.Beside
		list = append(list, c)
	}
	if err := s.compare(Section{Suite: SuiteOverhead, Title: t.title, Clock: s.clock(), Tokens: t.tokens, Unit: t.unit}, t.rounds, list); err != nil {
		return err
	}
	rows := s.report.Sections[len(s.report.Sections)-1].Results
	for i, c := range costs {
		rows[i+2].AttachMS, rows[i+2].NativeMB = c.attach, c.native
	}
	return nil
}

// cost is what attaching takes once.
type cost struct{ attach, native float64 }

// attach puts a kind's hook on a session and runs it once, and says what that took.
func (s *suite) attach(e *engine, k Kind) (c cost, err error) {
	h, err := k.Hook()
	if err != nil {
		return c, err
	}
	before := native()
	start := time.Now()
	if _, err := e.session.Attach(h); err != nil {
		return c, err
	}
	c.attach = ms(time.Since(start))
	if err := e.first(s.ctx, s.prompt(8)); err != nil {
		return c, err
	}
	c.native = native() - before
	return c, nil
}

// attaching compares new sessions, from nothing to their first token: the hook is attached, matrices are packed, the prompt runs. The graph was built before.
func (s *suite) attaching(kinds []Kind) error {
	prompt := s.prompt(firstPrompt)
	fresh := func(name string, list ...hooks.Hook) Contestant {
		return Contestant{Name: name, Step: func(ctx context.Context) (Sample, error) {
			return timed(func() error {
				e, err := newEngine(s.m, list...)
				if err != nil {
					return err
				}
				defer e.close()
				return e.first(ctx, prompt)
			})
		}}
	}
	list := []Contestant{fresh("none"), fresh("none" + again)}
	for _, k := range kinds {
		h, err := k.Hook()
		if err != nil {
			return err
		}
		c := fresh(k.Name, h)
		c.Beside = k.Beside
		list = append(list, c)
	}
	title := "hooks: a new session to its first token of a 32-token prompt"
	return s.compare(Section{Suite: SuiteOverhead, Title: title, Clock: s.clock(), Tokens: 1, Unit: "session"}, s.c.fewer(), list)
}

// peersHooked compares peers with what they have of hooks with themselves.
func (s *suite) peersHooked() error {
	for i := range s.rivals {
		if s.rivals[i].hooked == "" {
			continue
		}
		if err := s.peerHooked(&s.rivals[i]); err != nil {
			if s.ctx.Err() != nil {
				return err
			}
			s.note("%s: %s", s.rivals[i].name, oneLine(err))
		}
	}
	return nil
}

// peerHooked has the peer without and with its hooks, then this project without and with vectors at all layers.
func (s *suite) peerHooked(r *rival) (err error) {
	t := s.decoding(s.c.Contexts[0])
	var list []Contestant
	for _, vector := range []bool{false, true} {
		p, end := s.startOne(r, peerNeeds{Context: s.longest(), Vector: vector})
		defer end(&err)
		if p == nil {
			return nil
		}
		c := t.theirs(p)
		if vector {
			c.Name, c.Hooked = c.Name+" with "+r.hooked, true
		}
		list = append(list, c)
	}
	var open engines
	defer func() { open.close() }()
	const plain = "trimtab"
	for _, hook := range [][]hooks.Hook{nil, {hooks.HookFunc(edits(hooks.Add, every))}} {
		e, err := open.add(s.m, hook...)
		if err != nil {
			return err
		}
		c := t.ours(e, plain)
		if hook != nil {
			c.Name, c.Beside = plain+" with vectors at all layers", plain
		}
		list = append(list, c)
	}
	return s.compare(Section{Suite: SuiteOverhead, Title: "hooks of " + r.name + ": " + t.title, Clock: s.clock(), Tokens: t.tokens, Unit: t.unit}, t.rounds, list)
}
