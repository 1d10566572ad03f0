// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// command is llama-bench as a peer: every step is a process that loads the model, warms up and times one test itself.
type command struct {
	rival   *rival
	path    string
	file    string
	threads int
	flash   bool
}

// commands are llama-bench's ways to run files.
func (s *suite) commands(path string, files []string) (out []rival) {
	for _, file := range files {
		for _, flash := range []bool{false, true} {
			name := "llama-bench"
			if flash {
				name += " (flash attention)"
			}
			if file != s.path {
				name += ", " + filepath.Base(file)
			}
			out = append(out, rival{llamaCPP, file, name, "", false, func(_ context.Context, r *rival, _ peerNeeds) (peer, error) {
				return &command{r, path, file, s.threads(), flash}, nil
			}})
		}
	}
	return out
}

// test runs llama-bench once. Its processor time is not told: it is taken to be that of all threads all the time.
func (c *command) test(ctx context.Context, args ...string) (Sample, error) {
	flash := "0"
	if c.flash {
		flash = "1"
	}
	args = append([]string{"-m", c.file, "-t", strconv.Itoa(c.threads), "-ngl", "0", "-fa", flash, "-r", "1", "-o", "json"}, args...)
	out, err := exec.CommandContext(ctx, c.path, args...).Output()
	if err != nil {
		return Sample{}, fmt.Errorf("bench: %s: %w", c.rival.name, err)
	}
	var tests []struct {
		Nanoseconds int64 `json:"avg_ns"`
	}
	if err := json.Unmarshal(out, &tests); err != nil || len(tests) != 1 || tests[0].Nanoseconds <= 0 {
		return Sample{}, fmt.Errorf("bench: %s: want the avg_ns of one test, found %.100q", c.rival.name, out)
	}
	wall := time.Duration(tests[0].Nanoseconds)
	return Sample{Wall: wall, CPU: wall * time.Duration(c.threads)}, nil
}

func (c *command) contestant(args ...string) Contestant {
	return Contestant{Name: c.rival.name, Peer: c.rival.family, Step: func(ctx context.Context) (Sample, error) { return c.test(ctx, args...) }}
}

func (c *command) decode(prompt []int32, step, _ int) Contestant {
	return c.contestant("-p", "0", "-n", strconv.Itoa(step), "-d", strconv.Itoa(len(prompt)))
}

func (c *command) prefill(prompt []int32) Contestant {
	return c.contestant("-p", strconv.Itoa(len(prompt)), "-n", "0")
}

// Close has nothing to do.
func (c *command) Close() error { return nil }
