// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
)

// load compares starts: a process of this project with the model's file in the system's cache, one with the file dropped from it, and peers' likewise.
// Of a peer only what follows its imports counts, so that Python itself costs it nothing.
func (s *suite) load() error {
	if !s.probes(SuiteLoad) {
		return nil
	}
	a, err := s.ask(s.ctx, question{}) // which also brings the file and the command into the cache
	if err != nil {
		return err
	}
	warm, cold := starts{}, starts{}
	list := []Contestant{
		{Name: "trimtab, warm file", Step: s.startOnce(&warm, false)},
	}
	evicts := true
	if err := evict(s.path); err != nil {
		s.note("no start with a cold file: the file cannot be dropped from the system's cache: %v", err)
		evicts = false
	} else {
		list = append(list, Contestant{Name: "trimtab, cold file", Step: s.startOnce(&cold, true)})
	}
	peers, err := s.startingPeers(evicts)
	if err != nil {
		return err
	}
	list = append(list, peers...)
	sec := Section{Suite: SuiteLoad, Title: fmt.Sprintf("from a process's start to the first token of a %d-token prompt", firstPrompt), Clock: s.clock(), Tokens: 1, Unit: "start"}
	if err := s.compare(sec, s.c.fewer(), list); err != nil {
		return err
	}
	s.report.Load = &Load{FileBytes: a.Bytes, Warm: warm.median(), Cold: cold.median()}
	if len(cold) > 0 && s.report.Load.Cold.ReadMB < float64(a.Bytes)/2e6 {
		s.note("cold file: of %.1f MB only %.1f were read from a disk: the system kept the rest, or does not tell", float64(a.Bytes)/1e6, s.report.Load.Cold.ReadMB)
	}
	return nil
}

// starts is those of several processes.
type starts []Start

// median returns the median of each part, zeros of none.
func (l starts) median() (out Start) {
	if len(l) == 0 {
		return out
	}
	for _, part := range []func(*Start) *float64{
		func(s *Start) *float64 { return &s.OpenMS },
		func(s *Start) *float64 { return &s.FirstTokenMS },
		func(s *Start) *float64 { return &s.AttachMS },
		func(s *Start) *float64 { return &s.SteeredMS },
		func(s *Start) *float64 { return &s.ReadMB },
	} {
		x := make([]float64, len(l))
		for i := range l {
			x[i] = *part(&l[i])
		}
		*part(&out) = quantile(x, 0.5)
	}
	return out
}

// startOnce makes each step a process, which attaches a first vector once the clocks have stopped.
func (s *suite) startOnce(into *starts, cold bool) func(context.Context) (Sample, error) {
	return func(ctx context.Context) (Sample, error) {
		if cold {
			if err := evict(s.path); err != nil {
				return Sample{}, err
			}
		}
		a, err := s.ask(ctx, question{Kind: "vector at one layer"})
		if err != nil {
			return Sample{}, err
		}
		*into = append(*into, a.Start)
		return a.First.sample(), nil
	}
}

// startingPeers are the peers that start once without a fault, which also brings their files into the cache.
func (s *suite) startingPeers(evicts bool) (list []Contestant, err error) {
	for i := range s.rivals {
		r := &s.rivals[i]
		p, end := s.startOne(r, peerNeeds{Context: firstPrompt + grown})
		if end(&err); err != nil {
			return nil, err
		}
		if _, ok := p.(*script); !ok {
			continue
		}
		list = append(list, Contestant{Name: r.name + ", warm file", Peer: r.family, Step: s.startPeer(r, false)})
		if evicts {
			list = append(list, Contestant{Name: r.name + ", cold file", Peer: r.family, Beside: "trimtab, cold file", Step: s.startPeer(r, true)})
		}
	}
	return list, nil
}

// startPeer makes each step a peer's process.
func (s *suite) startPeer(r *rival, cold bool) func(context.Context) (Sample, error) {
	return func(ctx context.Context) (sum Sample, err error) {
		if cold {
			if err := evict(r.file); err != nil {
				return Sample{}, err
			}
		}
		p, err := r.start(ctx, r, peerNeeds{Context: firstPrompt + grown})
		if err != nil {
			return Sample{}, err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		if _, err := p.(*script).run(s.prompt(firstPrompt), 0, false); err != nil {
			return Sample{}, err
		}
		return p.(*script).since()
	}
}
