// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"iter"
	goruntime "runtime"
	"sync"
	"time"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// engine is one session of this project as a contestant.
type engine struct {
	session *runtime.Session
	prompt  []int32
	limit   int // tokens before the prompt is taken up again
	taken   int
	next    func() (runtime.Token, error, bool)
	stop    func()
}

// newEngine opens a session with the given hooks.
func newEngine(m *runtime.Model, list ...hooks.Hook) (*engine, error) {
	s, err := m.NewSession()
	if err != nil {
		return nil, err
	}
	for _, h := range list {
		if _, err := s.Attach(h); err != nil {
			s.Close()
			return nil, err
		}
	}
	return &engine{session: s}, nil
}

func (e *engine) close() {
	if e.stop != nil {
		e.stop()
	}
	e.session.Close()
}

// warmUp is how many tokens each step takes before the clock counts: what another contestant has pushed out of the processor's caches comes back with them.
const warmUp = 1

// decode makes each step some tokens behind a context of the given length, which grows by at most limit tokens.
func (e *engine) decode(name string, prompt []int32, step, limit int) Contestant {
	e.prompt, e.limit = prompt, limit
	return Contestant{Name: name, Step: func(ctx context.Context) (Sample, error) {
		if err := e.ready(ctx, warmUp+step); err != nil {
			return Sample{}, err
		}
		if err := e.take(warmUp); err != nil {
			return Sample{}, err
		}
		return timed(func() error { return e.take(step) })
	}}
}

// ready begins the generation where it has to begin again for so many more tokens, and takes two of them, which pay for the prompt and for buffers.
func (e *engine) ready(ctx context.Context, tokens int) error {
	if e.next != nil && e.taken+tokens <= e.limit {
		return nil
	}
	if e.stop != nil {
		e.stop()
	}
	e.next, e.stop = iter.Pull2(e.session.Generate(ctx, e.prompt, runtime.Options{IgnoreEOS: true}))
	e.taken = -2
	return e.take(2)
}

// take decodes tokens.
func (e *engine) take(tokens int) error {
	e.taken += tokens
	for range tokens {
		_, err, ok := e.next()
		if err == nil && !ok {
			err = fmt.Errorf("bench: the generation ended early")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// first runs a whole prompt from an empty cache, to the first token.
func (e *engine) first(ctx context.Context, prompt []int32) error {
	e.session.Forget()
	for _, err := range e.session.Generate(ctx, prompt, runtime.Options{MaxTokens: 1, IgnoreEOS: true}) {
		if err != nil {
			return err
		}
	}
	return nil
}

// prefill makes each step one run of a whole prompt.
func (e *engine) prefill(name string, prompt []int32) Contestant {
	return Contestant{Name: name, Step: func(ctx context.Context) (Sample, error) {
		return timed(func() error { return e.first(ctx, prompt) })
	}}
}

// crowd makes each step some tokens of every engine, all at the same time. Its samples are those of one engine's share: the time of all divided by their number.
func crowd(name string, list []*engine, step int) Contestant {
	return Contestant{Name: name, Step: func(ctx context.Context) (Sample, error) {
		if err := together(list, func(e *engine) error { return e.ready(ctx, warmUp+step) }); err != nil {
			return Sample{}, err
		}
		if err := together(list, func(e *engine) error { return e.take(warmUp) }); err != nil {
			return Sample{}, err
		}
		s, err := timed(func() error { return together(list, func(e *engine) error { return e.take(step) }) })
		return s.share(len(list)), err
	}}
}

// together calls a function for every engine at the same time.
func together(list []*engine, call func(*engine) error) error {
	errs := make([]error, len(list))
	var all sync.WaitGroup
	for i, e := range list {
		all.Go(func() { errs[i] = call(e) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// share is the part of one of n.
func (s Sample) share(n int) Sample {
	return Sample{Wall: s.Wall / time.Duration(n), CPU: s.CPU / time.Duration(n), Bytes: s.Bytes / uint64(n)}
}

// timed runs work between two looks at the clocks and at what Go has allocated.
func timed(work func() error) (Sample, error) {
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	start := now()
	err := work()
	s := start.since()
	goruntime.ReadMemStats(&after)
	s.Bytes = after.TotalAlloc - before.TotalAlloc
	return s, err
}
