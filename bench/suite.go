// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// decodeStep is how many tokens a contestant decodes in a row: as in use, most of them find the processor's caches as the one before left them.
const decodeStep = 8

// grown is how many tokens a context may grow by while it is decoded behind.
const grown = 64

// firstPrompt is how long a prompt is where the first token is what counts.
const firstPrompt = 32

// again ends the name of the untouched model's second row, which shows the noise.
const again = " again"

// Run measures the model at path.
func Run(ctx context.Context, path string, c Config) (*Report, error) {
	c = c.withDefaults()
	c.Contexts = slices.Clone(c.Contexts)
	if err := c.check(); err != nil {
		return nil, err
	}
	s := &suite{ctx: ctx, c: c, path: path, report: &Report{Machine: machine(), Rounds: c.Rounds}}
	if err := s.find(); err != nil {
		return nil, err
	}
	compared := []part{{[]Suite{SuiteSpeed, SuiteOverhead}, s.opened}, {[]Suite{SuiteBatch}, s.batch}}
	if c.Processes > 1 {
		compared = []part{{repeatable, s.repeated}}
	}
	parts := append([]part{{[]Suite{SuiteLoad}, s.load}, {[]Suite{SuiteMemory}, s.memory}}, compared...)
	for _, part := range append(parts, part{[]Suite{SuiteFidelity}, s.fidelity}) {
		if slices.ContainsFunc(part.suites, s.wants) {
			if err := part.run(); err != nil {
				return nil, err
			}
		}
	}
	return s.report, nil
}

// part is what runs some suites.
type part struct {
	suites []Suite
	run    func() error
}

// suite is one run.
type suite struct {
	ctx    context.Context
	c      Config
	path   string
	report *Report
	rivals []rival

	m      *runtime.Model // while opened runs
	vocab  int
	single bool // the model runs on one thread
}

func (s *suite) wants(name Suite) bool { return slices.Contains(s.c.Suites, name) }

func (s *suite) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(s.report.Notes, text) {
		s.report.Notes = append(s.report.Notes, text)
	}
}

// opened runs the suites that share one opened model.
func (s *suite) opened() (err error) {
	if s.m, err = s.open(s.c.Model); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, s.m.Close())
		s.m = nil
	}()
	if s.wants(SuiteSpeed) {
		if err := s.speed(); err != nil {
			return err
		}
	}
	if s.wants(SuiteOverhead) {
		return s.overhead()
	}
	return nil
}

// open opens the model in this process and notes what it is.
func (s *suite) open(c runtime.Config) (*runtime.Model, error) {
	s.c.Progress("opening the model")
	m, err := runtime.Open(s.path, c)
	if err != nil {
		return nil, err
	}
	s.describe(fmt.Sprintf("%s, %s, %d threads", m.Shape().Model, m.Config().Quant, m.Config().Threads), m.ORTVersion())
	s.single, s.vocab = m.Config().Threads == 1, m.Shape().Vocab
	s.fit(m.Config().Context)
	return m, nil
}

// fit shortens what does not fit a context of so many tokens, and says so.
func (s *suite) fit(context int) {
	if s.c.Prompt >= context {
		s.note("the context has %d tokens: a prompt of %d rather than %d", context, context-1, s.c.Prompt)
		s.c.Prompt = context - 1
	}
	most := max(context-grown-decodeStep, 1)
	for i, n := range s.c.Contexts {
		if n > most {
			s.note("the context has %d tokens: decode behind %d rather than %d", context, most, n)
			s.c.Contexts[i] = most
		}
	}
	s.c.Contexts = slices.Compact(s.c.Contexts)
}

func (s *suite) describe(model, ort string) { s.report.Model, s.report.Machine.ORT = model, ort }

// clock decides which time a comparison goes by.
func (s *suite) clock() Clock {
	switch {
	case s.c.Clock != ClockAuto:
		return s.c.Clock
	case s.single:
		return ClockCPU
	}
	return ClockWall
}

// compare runs one comparison and adds it to the report.
func (s *suite) compare(sec Section, rounds int, list []Contestant) error {
	s.c.Progress(sec.Title)
	var lost []error
	var err error
	if sec.Results, lost, err = compare(s.ctx, rounds, sec.Clock == ClockCPU, list); err != nil {
		return fmt.Errorf("bench: %s: %w", sec.Title, err)
	}
	for _, err := range lost {
		s.note("%s: a peer failed and has no row: %s", sec.Title, oneLine(err))
	}
	s.report.Sections = append(s.report.Sections, sec)
	return nil
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", ": ") }

// engines are sessions that one comparison steps.
type engines []*engine

func (l engines) close() {
	for _, e := range l {
		e.close()
	}
}

// add opens one more.
func (l *engines) add(m *runtime.Model, list ...hooks.Hook) (*engine, error) {
	e, err := newEngine(m, list...)
	if err == nil {
		*l = append(*l, e)
	}
	return e, err
}

// prompt is n token ids that any vocabulary has, varied so that attention has something to do.
func (s *suite) prompt(n int) []int32 { return tokens(n, s.vocab) }

func tokens(n, vocab int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32((i*7919 + 17) % min(vocab, 30000))
	}
	return out
}
