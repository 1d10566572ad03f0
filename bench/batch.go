// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
	"slices"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

// openShared opens the model so that its sessions share passes, where it can.
func (s *suite) openShared(sessions int) (*runtime.Model, error) {
	c := s.c.Model
	c.Batch = sessions
	m, err := s.open(c)
	if errors.Is(err, runtime.ErrNoBatch) {
		s.note("sessions run beside each other and share no passes: %v", err)
		return s.open(s.c.Model)
	}
	return m, err
}

// batch compares sessions that decode at the same time, untouched and steered, with one alone; times are those of one token of all sessions together.
func (s *suite) batch() (err error) {
	most := slices.Max(s.c.Sessions)
	m, err := s.openShared(most)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	var open engines
	defer func() { open.close() }()
	context := s.c.Contexts[0]
	prompt := s.prompt(context + most)
	list, err := s.crowds(m, &open, func(i int) []int32 { return prompt[i:][:context] })
	if err != nil {
		return err
	}
	peers, end := s.crowdsOfPeers(most, context)
	defer end(&err)
	title := fmt.Sprintf("sessions at the same time: decode, %s tokens of context", thousands(context))
	clock := s.c.Clock
	if clock == ClockAuto {
		clock = ClockWall // sessions are threads, too
	}
	return s.compare(Section{Suite: SuiteBatch, Title: title, Clock: clock, Tokens: decodeStep, Unit: "token"}, s.c.Rounds, append(list, peers...))
}

// crowds are the rows of this project: so many sessions untouched, steered, and at the most both together and with a dictionary.
func (s *suite) crowds(m *runtime.Model, open *engines, prompt func(i int) []int32) (list []Contestant, err error) {
	var failed error
	add := func(n int, with string, hook func(i int) []hooks.Hook) {
		var crew []*engine
		for i := range n {
			e, err := open.add(m, hook(i)...)
			if err != nil {
				failed = errors.Join(failed, err)
				return
			}
			e.prompt, e.limit = prompt(i), grown
			crew = append(crew, e)
		}
		c := crowd(count(n, "session")+with, crew, decodeStep)
		if with != "" {
			c.Beside = count(n, "session")
		}
		list = append(list, c)
	}
	vectors := []hooks.Hook{hooks.HookFunc(edits(hooks.Add, every))}
	none := func(int) []hooks.Hook { return nil }
	sessions := slices.Compact(slices.Sorted(slices.Values(append([]int{1}, s.c.Sessions...))))
	for _, n := range sessions {
		add(n, "", none)
	}
	for _, n := range sessions {
		add(n, " with vectors at all layers", func(int) []hooks.Hook { return vectors })
	}
	most := sessions[len(sessions)-1]
	add(most, ", every second with vectors at all layers", func(i int) []hooks.Hook { return vectors[:i%2] })
	sae, err := encoding("SAE", sparse(m.Shape(), narrowSAE), steering.KindSAE, 0).Hook()
	if err != nil {
		return nil, err
	}
	add(most, fmt.Sprintf(" watching an SAE of %s features", thousands(narrowSAE)), func(int) []hooks.Hook { return []hooks.Hook{sae} })
	return list, failed
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// crowdsOfPeers are the rows of peers that run several sequences in one pass: one sequence and the most, each in a process of its own.
func (s *suite) crowdsOfPeers(most, context int) (list []Contestant, end func(*error)) {
	var ends []func(*error)
	for i := range s.rivals {
		r := &s.rivals[i]
		if !r.batches {
			continue
		}
		for _, n := range slices.Compact([]int{1, most}) {
			p, end := s.startOne(r, peerNeeds{Context: context + grown + 8, Sequences: n})
			ends = append(ends, end)
			if p, ok := p.(*script); ok {
				c := p.crowd(s.prompt(context), n, decodeStep, grown)
				c.Name, c.Beside = r.name+", "+count(n, "sequence"), count(n, "session")
				list = append(list, c)
			}
		}
	}
	return list, func(err *error) {
		for _, end := range ends {
			end(err)
		}
	}
}
