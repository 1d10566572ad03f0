// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// peer is another runtime with a model loaded, stepped by this process.
type peer interface {
	decode(prompt []int32, step, limit int) Contestant
	prefill(prompt []int32) Contestant
	io.Closer
}

// peerNeeds is what a comparison needs of a peer.
type peerNeeds struct {
	Context   int  // tokens of one sequence
	Sequences int  // at the same time; 0 is 1
	Vector    bool // the peer's hooks: a vector at all layers
}

// script is a peer that a script in a process of its own runs: a command is a line of JSON, and so is an answer.
type script struct {
	rival   *rival
	version string
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	errs    tail
}

// tail keeps the end of what is written to it.
type tail struct{ text []byte }

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if n := len(t.text) - 2000; n > 0 {
		t.text = t.text[n:]
	}
	return len(p), nil
}

// last is the last line.
func (t *tail) last() string {
	lines := strings.Split(strings.TrimSpace(string(t.text)), "\n")
	return lines[len(lines)-1]
}

func startScript(r *rival, c *exec.Cmd) (*script, error) {
	p := &script{rival: r, process: c}
	c.Stderr = &p.errs
	var err error
	if p.in, err = c.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	return p, c.Start()
}

// ask sends one command and reads its answer.
func (p *script) ask(command, answer any) error {
	line, err := json.Marshal(command)
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("bench: %s: %w", p.rival.name, errors.Join(err, p.ended()))
	}
	if !p.out.Scan() {
		return fmt.Errorf("bench: %s: %w", p.rival.name, errors.Join(p.out.Err(), p.ended()))
	}
	return json.Unmarshal(p.out.Bytes(), answer)
}

// ended waits for a process that no longer answers and says what it said last.
func (p *script) ended() error {
	_ = p.Close() // its status says less than its words
	return fmt.Errorf("the process ended: %s: %w", p.errs.last(), io.ErrUnexpectedEOF)
}

// times is a script's answer to what took time, in nanoseconds.
type times struct{ Wall, CPU int64 }

func (t times) sample() Sample { return Sample{Wall: time.Duration(t.Wall), CPU: time.Duration(t.CPU)} }

// run has the peer run tokens at a position; with more than one sequence each of them runs one of the tokens.
func (p *script) run(ids []int32, at int, together bool) (Sample, error) {
	var answer times
	err := p.ask(map[string]any{"run": ids, "at": at, "together": together}, &answer)
	return answer.sample(), err
}

// since is the time since the script had imported what it needs.
func (p *script) since() (Sample, error) {
	var answer times
	err := p.ask(map[string]any{"since": true}, &answer)
	return answer.sample(), err
}

// memory is what the process holds, and what it held before it loaded a model.
func (p *script) memory() (now, before usage, err error) {
	var answer struct{ Now, Before usage }
	err = p.ask(map[string]any{"memory": true}, &answer)
	return answer.Now, answer.Before, err
}

func (p *script) contestant(step func(context.Context) (Sample, error)) Contestant {
	return Contestant{Name: p.rival.name, Peer: p.rival.family, Step: step}
}

// decode makes each step some tokens behind a context of the given length, which grows by at most limit tokens.
func (p *script) decode(prompt []int32, step, limit int) Contestant {
	return p.crowd(prompt, 1, step, limit)
}

// crowd does the same for several sequences at the same time; its samples are those of one sequence's share.
func (p *script) crowd(prompt []int32, sequences, step, limit int) Contestant {
	taken, warm := 0, false
	row := make([]int32, sequences)
	token := func(at int) (Sample, error) {
		for i := range row {
			row[i] = prompt[(at+i)%len(prompt)]
		}
		return p.run(row, len(prompt)+at, true)
	}
	return p.contestant(func(context.Context) (Sample, error) {
		if !warm {
			// Two tokens before the clock counts, as for the engine.
			_, err := p.run(prompt, 0, false)
			for i := range 2 {
				if err == nil {
					_, err = token(i)
				}
			}
			if err != nil {
				return Sample{}, err
			}
			warm = true
		}
		if taken+warmUp+step > limit {
			taken = 0 // what lies behind the prompt is forgotten when a token runs there again
		}
		var sum Sample
		for i := range warmUp + step {
			s, err := token(2 + taken)
			if err != nil {
				return Sample{}, err
			}
			taken++
			if i < warmUp {
				continue
			}
			sum.Wall += s.Wall
			sum.CPU += s.CPU
		}
		return sum.share(sequences), nil
	})
}

// prefill makes each step one run of a whole prompt from an empty cache.
func (p *script) prefill(prompt []int32) Contestant {
	return p.contestant(func(context.Context) (Sample, error) { return p.run(prompt, 0, false) })
}

// Close ends the process; twice and nil are fine.
func (p *script) Close() error {
	if p == nil || p.process == nil {
		return nil
	}
	process := p.process
	p.process = nil
	return errors.Join(p.in.Close(), process.Wait())
}
