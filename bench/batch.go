// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
	"slices"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// batched is the configuration of a model whose sessions run at the same time.
func batched(c runtime.Config, sessions int) runtime.Config {
	_ = sessions // how many passes may be shared by, once the runtime shares passes
	return c
}

// batch compares sessions that decode at the same time, untouched and steered, with one alone; times are those of one token of all sessions together.
func (s *suite) batch() (err error) {
	most := slices.Max(s.c.Sessions)
	m, err := s.open(batched(s.c.Model, most))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	var open engines
	defer func() { open.close() }()
	context := s.c.Contexts[0]
	prompt := s.prompt(context + most)
	row := func(name string, sessions int, hook func(i int) []hooks.Hook) (Contestant, error) {
		var list []*engine
		for i := range sessions {
			e, err := open.add(m, hook(i)...)
			if err != nil {
				return Contestant{}, err
			}
			e.prompt, e.limit = prompt[i:][:context], grown
			list = append(list, e)
		}
		return crowd(name, list, decodeStep), nil
	}
	list, err := s.crowds(row, most)
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
	return s.compare(Section{Suite: SuiteBatch, Title: title, Clock: clock, Tokens: decodeStep}, s.c.Rounds, append(list, peers...))
}

// crowds are the rows of this project.
func (s *suite) crowds(row func(name string, sessions int, hook func(i int) []hooks.Hook) (Contestant, error), most int) ([]Contestant, error) {
	none := func(int) []hooks.Hook { return nil }
	vectors := hooks.HookFunc(edits(hooks.Add, every))
	var list []Contestant
	var all error
	add := func(name string, sessions int, hook func(i int) []hooks.Hook) {
		c, err := row(name, sessions, hook)
		list, all = append(list, c), errors.Join(all, err)
	}
	add("1 session", 1, none)
	for _, n := range s.c.Sessions {
		if n > 1 {
			add(fmt.Sprintf("%d sessions", n), n, none)
		}
	}
	add(fmt.Sprintf("%d sessions with vectors at all layers", most), most, func(int) []hooks.Hook { return []hooks.Hook{vectors} })
	if most > 1 {
		add(fmt.Sprintf("%d sessions, every second with vectors at all layers", most), most, func(i int) []hooks.Hook {
			if i%2 == 0 {
				return nil
			}
			return []hooks.Hook{vectors}
		})
	}
	return list, all
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
				c.Name = fmt.Sprintf("%s, %d sequences", r.name, n)
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
