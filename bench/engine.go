// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"iter"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// engine is one session of this project as a contestant.
type engine struct {
	session *runtime.Session
	prompt  []int32
	limit   int // tokens before the prompt is taken up again
	step    int // tokens a step
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

// decode makes each step some tokens behind a context of the given length, which grows by at most limit tokens.
func (e *engine) decode(name string, prompt []int32, step, limit int) Contestant {
	e.prompt, e.step, e.limit = prompt, step, limit
	return Contestant{Name: name, Step: e.decodeStep}
}

func (e *engine) decodeStep(ctx context.Context) (Sample, error) {
	if e.next == nil || e.taken+e.step > e.limit {
		if err := e.restart(ctx); err != nil {
			return Sample{}, err
		}
	}
	e.taken += e.step
	start := now()
	for range e.step {
		_, err, ok := e.next()
		if err == nil && !ok {
			err = fmt.Errorf("bench: the generation ended early")
		}
		if err != nil {
			return Sample{}, err
		}
	}
	return start.since(), nil
}

// restart begins the generation again and takes two tokens, which pay for the prompt and for buffers.
func (e *engine) restart(ctx context.Context) error {
	if e.stop != nil {
		e.stop()
	}
	e.next, e.stop = iter.Pull2(e.session.Generate(ctx, e.prompt, runtime.Options{IgnoreEOS: true}))
	e.taken = 0
	for range 2 {
		if _, err, _ := e.next(); err != nil {
			return err
		}
	}
	return nil
}

// prefill makes each step one run of a whole prompt from an empty cache, to the first token.
func (e *engine) prefill(name string, prompt []int32) Contestant {
	return Contestant{Name: name, Step: func(ctx context.Context) (Sample, error) {
		e.session.Forget()
		start := now()
		for _, err := range e.session.Generate(ctx, prompt, runtime.Options{MaxTokens: 1, IgnoreEOS: true}) {
			if err != nil {
				return Sample{}, err
			}
		}
		return start.since(), nil
	}}
}
