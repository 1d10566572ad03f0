// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	goruntime "runtime"
	"slices"
	"sync"
	"time"

	"github.com/trimtab/trimtab/hooks"
)

// batch lets sessions that generate at the same time share passes. Nobody runs it: of the sessions that wait with a token one leads, takes those that are
// ready into a pass, and hands the lead on. A session alone is a batch of one and never waits.
type batch struct {
	mu      sync.Mutex
	waiting []*Session // first come first
	leading bool       // somebody leads; without, nobody waits
	epoch   uint64     // of what awaited counts
	awaited int        // sessions that have been given logits and are about to be back with a token
	last    time.Duration
	graphs  []*eachGraph // by number of sites; the first has none

	each eachMemory // of the leader

	building sync.Mutex // held while graphs are added and sites are counted
	sites    siteSet
}

// sharing is a session's side of it.
type sharing struct {
	turn   chan bool // the pass is over; true: now lead the next
	token  [1]int32
	logits []float32
	err    error
	epoch  uint64  // in which it is awaited; 0 is never
	chains *chains // of its program; nil where that is empty
}

// patience is the share of a pass for which sessions are waited for that were in the last one. Choosing a token takes far less; a consumer that takes longer
// does not keep the others from going on.
const patience = 4

// pass runs the token that the session holds, together with others', and returns when its logits are there. The session is locked.
func (b *batch) pass(s *Session) error {
	b.mu.Lock()
	b.back(s)
	b.waiting = append(b.waiting, s)
	lead := !b.leading
	b.leading = true
	b.mu.Unlock()
	if lead || <-s.shared.turn {
		b.lead()
	}
	return s.shared.err
}

// back takes a session out of those that are awaited.
func (b *batch) back(s *Session) {
	if s.shared.epoch == b.epoch {
		b.awaited--
	}
	s.shared.epoch = 0
}

// leave says that a session brings no more tokens for now.
func (b *batch) leave(s *Session) {
	b.mu.Lock()
	b.back(s)
	b.mu.Unlock()
}

// lead runs one pass for the first of those that wait, the caller among them.
func (b *batch) lead() {
	b.gather()
	start := time.Now()
	b.run(b.each.members)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = time.Since(start)
	for i, s := range b.each.members {
		s.shared.epoch = b.epoch
		b.awaited++
		if i > 0 { // the first is the caller
			s.shared.turn <- false
		}
	}
	clear(b.each.members)
	if b.leading = len(b.waiting) > 0; b.leading {
		b.waiting[0].shared.turn <- true
	}
}

// gather waits for the sessions of the last pass, in vain for a part of its time at most, and takes the next pass's.
func (b *batch) gather() {
	start := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.awaited > 0 && len(b.waiting) < b.each.most {
		b.mu.Unlock()
		goruntime.Gosched()
		b.mu.Lock()
		if time.Since(start) > b.last/patience {
			b.epoch, b.awaited = b.epoch+1, 0
		}
	}
	n := min(len(b.waiting), b.each.most)
	b.each.members = append(b.each.members[:0], b.waiting[:n]...)
	b.waiting = slices.Delete(b.waiting, 0, n)
}

// run carries out one pass and leaves each session its logits, or what went wrong in its row; what fails as a whole fails for all.
func (b *batch) run(members []*Session) {
	for _, s := range members {
		s.pass.err = nil
	}
	err := b.runGraph(members)
	for r, s := range members {
		s.shared.err = err
		if s.pass.err != nil {
			s.shared.err = s.pass.err
		}
		if s.shared.err == nil {
			s.shared.logits = append(s.shared.logits[:0], b.each.row(r)...)
		}
	}
}

func (b *batch) runGraph(members []*Session) error {
	g, err := b.choose(members)
	if err != nil {
		return err
	}
	binding, err := b.each.bind(g, members)
	if err != nil {
		return err
	}
	for r, s := range members {
		b.each.set(g, r, s)
	}
	return binding.Run(b.each.stopper)
}

// newBatch makes the graph of sessions without hooks ready.
func newBatch(m *Model) (*batch, error) {
	b := &batch{epoch: 1}
	b.sites.numbers = map[hooks.Site]int{}
	if err := b.each.open(m); err != nil {
		b.close()
		return nil, err
	}
	g, err := b.each.build(&b.sites, nil)
	if err != nil {
		b.close()
		return nil, err
	}
	b.graphs = []*eachGraph{g}
	return b, nil
}

// close frees everything; the sessions are closed.
func (b *batch) close() {
	if b == nil {
		return
	}
	for _, g := range b.graphs {
		g.close()
	}
	b.each.close()
}
