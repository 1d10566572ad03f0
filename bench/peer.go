// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

//go:embed peers/llamacpp.py
var llamaScript string

// PythonVariable names the Python that has the peers' packages; without it, python3 is tried.
const PythonVariable = "TRIMTAB_PYTHON"

// ErrNoPeer says that a peer is not installed; the text says what is missing.
var ErrNoPeer = errors.New("peer not installed")

// Peer is another runtime in a process of its own, stepped by this one.
type Peer struct {
	Name    string
	Version string
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

// LlamaCPP starts llama.cpp on the same file with as many threads, through llama-cpp-python.
func LlamaCPP(ctx context.Context, file string, threads, context int, flash bool) (*Peer, error) {
	python := os.Getenv(PythonVariable)
	if python == "" {
		python = "python3"
	}
	if err := exec.CommandContext(ctx, python, "-c", "import llama_cpp").Run(); err != nil {
		return nil, fmt.Errorf("bench: llama.cpp: %w: %s cannot import llama_cpp (pip install llama-cpp-python, or set %s)", ErrNoPeer, python, PythonVariable)
	}
	p := &Peer{Name: "llama.cpp"}
	if flash {
		p.Name += " (flash attention)"
	}
	if err := p.start(exec.CommandContext(ctx, python, "-c", llamaScript)); err != nil {
		return nil, fmt.Errorf("bench: %s: %w", p.Name, err)
	}
	var answer struct{ Version string }
	err := p.ask(map[string]any{"load": file, "threads": threads, "flash": flash, "context": context}, &answer)
	p.Version = answer.Version
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Peer) start(c *exec.Cmd) (err error) {
	p.process = c
	if p.in, err = c.StdinPipe(); err != nil {
		return err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	p.out = bufio.NewScanner(out)
	return c.Start()
}

// ask sends one command and reads its answer.
func (p *Peer) ask(command, answer any) error {
	line, err := json.Marshal(command)
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("bench: %s: %w", p.Name, err)
	}
	if !p.out.Scan() {
		return fmt.Errorf("bench: %s: the process ended: %w", p.Name, errors.Join(p.out.Err(), io.ErrUnexpectedEOF))
	}
	return json.Unmarshal(p.out.Bytes(), answer)
}

// run has the peer run tokens at a position.
func (p *Peer) run(ids []int32, at int) (Sample, error) {
	var answer struct{ Wall, CPU int64 }
	err := p.ask(map[string]any{"run": ids, "at": at}, &answer)
	return Sample{Wall: time.Duration(answer.Wall), CPU: time.Duration(answer.CPU)}, err
}

// decode makes each step some tokens behind a context of the given length, which grows by at most limit tokens.
func (p *Peer) decode(prompt []int32, step, limit int) Contestant {
	taken, warm := 0, false
	return Contestant{Name: p.Name, Step: func(context.Context) (Sample, error) {
		if !warm {
			// Two tokens before the clock counts, as for the engine.
			if err := p.warm(prompt); err != nil {
				return Sample{}, err
			}
			warm = true
		}
		if taken+step > limit {
			taken = 0 // what lies behind the prompt is forgotten when a token runs there again
		}
		var sum Sample
		for range step {
			s, err := p.run(prompt[taken%len(prompt):][:1], len(prompt)+2+taken)
			if err != nil {
				return Sample{}, err
			}
			taken++
			sum.Wall += s.Wall
			sum.CPU += s.CPU
		}
		return sum, nil
	}}
}

// warm runs the prompt and two tokens.
func (p *Peer) warm(prompt []int32) error {
	_, err := p.run(prompt, 0)
	for i := range 2 {
		if err == nil {
			_, err = p.run(prompt[:1], len(prompt)+i)
		}
	}
	return err
}

// prefill makes each step one run of a whole prompt from an empty cache.
func (p *Peer) prefill(prompt []int32) Contestant {
	return Contestant{Name: p.Name, Step: func(context.Context) (Sample, error) { return p.run(prompt, 0) }}
}

// Close ends the process; twice and nil are fine.
func (p *Peer) Close() error {
	if p == nil || p.process == nil {
		return nil
	}
	process := p.process
	p.process = nil
	return errors.Join(p.in.Close(), process.Wait())
}
