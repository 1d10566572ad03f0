// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// question is what a process of its own is asked to do.
type question struct {
	Path         string
	Library      string
	Provider     runtime.Provider
	Threads      int
	Quant        runtime.Quant
	Kernels      runtime.Kernels
	KV           runtime.KV
	Context      int
	Chunk        int
	Dictionaries []string
	Rows         string
	Kind         string // of hook to attach once the first token is out; "" is none
	List         bool   // answer the kinds that the model can be measured with

	Suites     []Suite // answer a report of these, and nothing else
	Rounds     int
	Contexts   []int
	Prompt     int
	Sessions   []int
	Clock      Clock
	Peers      bool
	PeerModels []string
}

// answer is what such a process found.
type answer struct {
	Model  string
	ORT    string
	Vocab  int
	Bytes  int64 // of the file
	Single bool  // the model runs on one thread
	Kinds  []string
	Start  Start
	First  times // since the process began, to its first token; wall time is only known outside
	Now    usage
	Peak   float64
	Native float64
}

// Probe answers one question of standard input on standard output; [Run] starts a command that calls it where a clean process is needed.
func Probe(ctx context.Context, in io.Reader, out io.Writer) error {
	var q question
	if err := json.NewDecoder(in).Decode(&q); err != nil {
		return fmt.Errorf("bench: probe: want a question from trimtab bench: %w", err)
	}
	if len(q.Suites) > 0 {
		return q.report(ctx, out)
	}
	a, err := q.answer(ctx, out)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(a)
}

// answer opens the model, runs a prompt and, where it is asked for, attaches a hook and runs it again. A line goes out as soon as the first token is there.
func (q *question) answer(ctx context.Context, out io.Writer) (a *answer, err error) {
	start := time.Now()
	m, err := runtime.Open(q.Path, q.model())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	a = &answer{Start: Start{OpenMS: ms(time.Since(start))}}
	e, err := newEngine(m)
	if err != nil {
		return nil, err
	}
	defer e.close()
	prompt := tokens(firstPrompt, m.Shape().Vocab)
	start = time.Now()
	if err := e.first(ctx, prompt); err != nil {
		return nil, err
	}
	a.Start.FirstTokenMS, a.First.CPU = ms(time.Since(start)), int64(processTime())
	if _, err := fmt.Fprintln(out, `"first token"`); err != nil {
		return nil, err
	}
	a.Start.ReadMB = readFromDisk()
	a.Model, a.ORT = fmt.Sprintf("%s, %s, %d threads", m.Shape().Model, m.Config().Quant, m.Config().Threads), m.ORTVersion()
	a.Vocab, a.Bytes, a.Single = m.Shape().Vocab, m.File().Bytes, m.Config().Threads == 1
	if q.Kind != "" || q.List {
		err = q.attach(ctx, a, e, prompt)
	}
	a.Now, a.Peak = memoryNow(), memoryPeak()
	a.Native = native()
	return a, err
}

func (q *question) model() runtime.Config {
	return runtime.Config{
		Library: q.Library, Provider: q.Provider, Threads: q.Threads, Quant: q.Quant, Kernels: q.Kernels, KV: q.KV, Context: q.Context, Chunk: q.Chunk,
	}
}

// attach finds a kind and measures it.
func (q *question) attach(ctx context.Context, a *answer, e *engine, prompt []int32) error {
	rows, err := regexp.Compile(q.Rows)
	if err != nil {
		return err
	}
	for _, k := range Kinds(e.session.Model().Shape(), &Config{Dictionaries: q.Dictionaries, Rows: rows}) {
		a.Kinds = append(a.Kinds, k.Name)
		if k.Name != q.Kind {
			continue
		}
		var h hooks.Hook
		if h, err = k.Hook(); err != nil {
			return err
		}
		start := time.Now()
		if _, err := e.session.Attach(h); err != nil {
			return err
		}
		a.Start.AttachMS = ms(time.Since(start))
		start = time.Now()
		if err := e.first(ctx, prompt); err != nil {
			return err
		}
		a.Start.SteeredMS = ms(time.Since(start))
	}
	return nil
}

// probes tells whether processes can be asked, and notes it where they cannot.
func (s *suite) probes(name Suite) bool {
	if len(s.c.Probe) == 0 {
		s.note("the suite %s needs a command that answers in a process of its own, and has none", name)
		return false
	}
	return true
}

// ask starts a process, asks it, and returns its answer with the wall time to its first token.
func (s *suite) ask(ctx context.Context, q question) (*answer, error) {
	if q.List && s.c.Rows != nil {
		q.Rows = s.c.Rows.String()
	}
	var a answer
	var wall time.Duration
	start := time.Now()
	err := s.process(ctx, q, func(answers *json.Decoder) error {
		var line string
		if err := answers.Decode(&line); err != nil {
			return err
		}
		wall = time.Since(start)
		return answers.Decode(&a)
	})
	if err != nil {
		return nil, err
	}
	a.First.Wall = int64(wall)
	s.describe(a.Model, a.ORT)
	s.vocab, s.single = a.Vocab, a.Single
	return &a, nil
}

// process starts a process of its own, puts a question to it about the suite's model, and has its answers read.
func (s *suite) process(ctx context.Context, q question, read func(answers *json.Decoder) error) error {
	path, err := filepath.Abs(s.path)
	if err != nil {
		return err
	}
	m := s.c.Model
	q.Path, q.Library, q.Provider, q.Threads, q.Quant, q.Kernels, q.KV = path, m.Library, m.Provider, m.Threads, m.Quant, m.Kernels, m.KV
	q.Context, q.Chunk = m.Context, m.Chunk
	q.Dictionaries = s.c.Dictionaries
	text, err := json.Marshal(q)
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, s.c.Probe[0], s.c.Probe[1:]...)
	var errs tail
	c.Stdin, c.Stderr = bytes.NewReader(text), &errs
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("bench: probe: %w", err)
	}
	err = read(json.NewDecoder(out))
	if err = errors.Join(err, c.Wait()); err != nil {
		return fmt.Errorf("bench: probe: %w: %s", err, errs.last())
	}
	return nil
}
