// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"time"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// Config says what is measured; the zero value is the whole suite without peers.
type Config struct {
	Model    runtime.Config
	Rounds   int   // steps of each contestant of a decode comparison; 0 is 40, prefill comparisons take a quarter
	Contexts []int // tokens of context at decode; nil is 32 and 1024
	Prompt   int   // tokens of the prefill comparison; 0 is 512
	Peers    bool  // compare with llama.cpp on the same file and threads, where it is installed
	Progress func(what string)
}

// Report is what a suite found.
type Report struct {
	Machine Machine   `json:"machine"`
	Model   string    `json:"model"`
	Load    Load      `json:"load"`
	Speed   []Section `json:"speed"`
	Hooks   []Section `json:"hooks"`
	Notes   []string  `json:"notes,omitempty"`
}

// Load is what it takes to get going.
type Load struct {
	OpenMS       float64 `json:"open_ms"`        // runtime.Open
	FirstTokenMS float64 `json:"first_token_ms"` // of a 32-token prompt, after Open
	FileBytes    int64   `json:"file_bytes"`
	ResidentMB   float64 `json:"resident_mb"` // after the first token
	PeakMB       float64 `json:"peak_mb"`
	AttachMS     float64 `json:"attach_ms"`        // a first vector, to the session's readiness
	AttachMB     float64 `json:"attach_growth_mb"` // of resident memory, after a token with it
}

// Section is one comparison.
type Section struct {
	Title   string   `json:"title"`
	Clock   string   `json:"clock"` // of the ratios: wall or processor time
	Tokens  int      `json:"tokens_a_step"`
	Results []Result `json:"results"`
}

// Run measures the model at path.
func Run(ctx context.Context, path string, c Config) (*Report, error) {
	c = c.withDefaults()
	r := &Report{Machine: machine()}
	start := time.Now()
	m, err := runtime.Open(path, c.Model)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	r.Load.OpenMS = ms(time.Since(start))
	r.Load.FileBytes = m.File().Bytes
	r.Model = fmt.Sprintf("%s, %s, %d threads", m.Shape().Model, m.Config().Quant, m.Config().Threads)
	r.Machine.ORT = m.ORTVersion()
	s := &suite{ctx: ctx, c: c, m: m, path: path, report: r, byCPU: m.Config().Threads == 1}
	for _, part := range []func() error{s.load, s.speed, s.overhead} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (c Config) withDefaults() Config {
	if c.Rounds == 0 {
		c.Rounds = 40
	}
	if c.Contexts == nil {
		c.Contexts = []int{32, 1024}
	}
	if c.Prompt == 0 {
		c.Prompt = 512
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}

// decodeStep is how many tokens a contestant decodes in a row: as in use, most of them find the processor's caches as the one before left them.
const decodeStep = 8

type suite struct {
	ctx    context.Context
	c      Config
	m      *runtime.Model
	path   string
	report *Report
	byCPU  bool
}

// load measures the first token, then the first vector.
func (s *suite) load() error {
	s.c.Progress("load")
	e, err := newEngine(s.m)
	if err != nil {
		return err
	}
	defer e.close()
	start := time.Now()
	if _, err := e.decode("", s.prompt(32), 1, 8).Step(s.ctx); err != nil {
		return err
	}
	l := &s.report.Load
	l.FirstTokenMS = ms(time.Since(start))
	l.ResidentMB, l.PeakMB = memory()
	start = time.Now()
	if _, err := e.session.Attach(Kinds()[1]); err != nil {
		return err
	}
	l.AttachMS = ms(time.Since(start))
	e.taken = e.limit // begin again, steered
	if _, err := e.decodeStep(s.ctx); err != nil {
		return err
	}
	after, _ := memory()
	l.AttachMB = after - l.ResidentMB
	return nil
}

// speed compares the untouched model with its peers.
func (s *suite) speed() error {
	peers, err := s.peers()
	if err != nil {
		return err
	}
	defer func() {
		for _, p := range peers {
			err = errors.Join(err, p.Close())
		}
	}()
	for _, n := range s.c.Contexts {
		title := fmt.Sprintf("decode, %d tokens of context", n)
		if err := s.section(&s.report.Speed, title, decodeStep, s.c.Rounds, nil, peers, func(e *engine, name string) Contestant {
			return e.decode(name, s.prompt(n), decodeStep, 64)
		}, func(p *Peer) Contestant { return p.decode(s.prompt(n), decodeStep, 64) }); err != nil {
			return err
		}
	}
	title := fmt.Sprintf("prefill of %d tokens", s.c.Prompt)
	return s.section(&s.report.Speed, title, s.c.Prompt, max(s.c.Rounds/4, 3), nil, peers, func(e *engine, name string) Contestant {
		return e.prefill(name, s.prompt(s.c.Prompt))
	}, func(p *Peer) Contestant { return p.prefill(s.prompt(s.c.Prompt)) })
}

// overhead compares every hook kind with none.
func (s *suite) overhead() error {
	n := s.c.Contexts[0]
	if err := s.section(&s.report.Hooks, fmt.Sprintf("hooks at decode, %d tokens of context", n), decodeStep, s.c.Rounds, Kinds(), nil, func(e *engine, name string) Contestant {
		return e.decode(name, s.prompt(n), decodeStep, 64)
	}, nil); err != nil {
		return err
	}
	title := fmt.Sprintf("hooks at prefill of %d tokens", s.c.Prompt)
	return s.section(&s.report.Hooks, title, s.c.Prompt, max(s.c.Rounds/4, 3), Kinds(), nil, func(e *engine, name string) Contestant {
		return e.prefill(name, s.prompt(s.c.Prompt))
	}, nil)
}

// section runs one comparison: the untouched model twice, which shows the noise, then the hook kinds, then the peers.
func (s *suite) section(into *[]Section, title string, tokens, rounds int, kinds []Kind, peers []*Peer, ours func(*engine, string) Contestant, theirs func(*Peer) Contestant) error {
	s.c.Progress(title)
	var list []Contestant
	var engines []*engine
	defer func() {
		for _, e := range engines {
			e.close()
		}
	}()
	add := func(name string, h ...hooks.Hook) error {
		e, err := newEngine(s.m, h...)
		if err != nil {
			return err
		}
		engines = append(engines, e)
		list = append(list, ours(e, name))
		return nil
	}
	err := errors.Join(add("trimtab"), add("trimtab again"))
	for _, k := range kinds {
		err = errors.Join(err, add(k.Name, k))
	}
	if err != nil {
		return err
	}
	for _, p := range peers {
		list = append(list, theirs(p))
	}
	results, err := Compare(s.ctx, rounds, s.byCPU, list)
	sec := Section{Title: title, Clock: "wall", Tokens: tokens, Results: results}
	if s.byCPU {
		sec.Clock = "processor"
	}
	*into = append(*into, sec)
	return err
}

// peers starts llama.cpp with flash attention off and on; where it is not installed, the report says so.
func (s *suite) peers() ([]*Peer, error) {
	if !s.c.Peers {
		return nil, nil
	}
	var out []*Peer
	for _, flash := range []bool{false, true} {
		p, err := LlamaCPP(s.ctx, s.path, s.m.Config().Threads, max(2048, s.c.Prompt), flash)
		if errors.Is(err, ErrNoPeer) {
			s.report.Notes = append(s.report.Notes, err.Error())
			return nil, nil
		}
		if err != nil {
			return out, err
		}
		s.report.Machine.Peers = append(s.report.Machine.Peers, "llama-cpp-python "+p.Version)
		out = append(out, p)
	}
	s.report.Machine.Peers = s.report.Machine.Peers[:1]
	return out, nil
}

// prompt is n token ids that any vocabulary has, varied so that attention has something to do.
func (s *suite) prompt(n int) []int32 {
	out := make([]int32, n)
	vocab := min(s.m.Shape().Vocab, 30000)
	for i := range out {
		out[i] = int32((i*7919 + 17) % vocab)
	}
	return out
}

// Machine is where a report was made.
type Machine struct {
	OS    string   `json:"os"`
	CPU   string   `json:"cpu"`
	CPUs  int      `json:"cpus"`
	Go    string   `json:"go"`
	ORT   string   `json:"onnxruntime"`
	ISA   string   `json:"kernels"`
	Peers []string `json:"peers,omitempty"`
}

func machine() Machine {
	return Machine{OS: goruntime.GOOS + "/" + goruntime.GOARCH, CPU: processor(), CPUs: goruntime.NumCPU(), Go: goruntime.Version(), ISA: runtime.KernelISA()}
}
