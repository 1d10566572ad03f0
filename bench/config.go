// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/runtime"
)

// Suite is one part of a run.
type Suite string

// The suites, in the order in which they run: what needs a clean process comes before the model is opened in this one.
const (
	SuiteLoad     Suite = "load"     // from a process's start to its first token, with a cold and a warm file
	SuiteMemory   Suite = "memory"   // what a process holds in memory, each kind of hook in a process of its own
	SuiteSpeed    Suite = "speed"    // the untouched model beside its peers: decode, prefill, first token
	SuiteOverhead Suite = "overhead" // each kind of hook beside the untouched model
	SuiteBatch    Suite = "batch"    // several sessions at the same time
	SuiteFidelity Suite = "fidelity" // what forms of weights, operators and caches lose
)

// Suites lists every suite in the order in which they run.
func Suites() []Suite {
	return []Suite{SuiteLoad, SuiteMemory, SuiteSpeed, SuiteOverhead, SuiteBatch, SuiteFidelity}
}

// ParseSuites reads suites by their names; all stands for every one, and so does an empty list.
func ParseSuites(names []string) ([]Suite, error) {
	var out []Suite
	for _, name := range names {
		switch s := Suite(strings.TrimSpace(name)); {
		case s == "all":
			return Suites(), nil
		case slices.Contains(Suites(), s):
			out = append(out, s)
		default:
			return nil, fmt.Errorf("bench: suite: want all or some of %v, found %q", Suites(), name)
		}
	}
	if len(out) == 0 {
		return Suites(), nil
	}
	return out, nil
}

// Clock says which time ratios are taken of.
type Clock string

// The clocks.
const (
	ClockAuto Clock = ""          // processor time where every contestant runs on one thread, else wall time
	ClockWall Clock = "wall"      // what a user waits
	ClockCPU  Clock = "processor" // of all threads: the steadier clock on a machine that others use, as long as contestants run on one thread each
)

// Config says what is measured; the zero value is everything but peers.
type Config struct {
	Model        runtime.Config
	Suites       []Suite        // nil is all
	Rounds       int            // steps of each contestant of a decode comparison; 0 is 40, comparisons of prompts and processes take a quarter
	Processes    int            // that share the rounds of the suites speed, overhead and batch, one after the other; 0 is this one alone
	Contexts     []int          // tokens of context at decode; nil is 32 and 1024. Hooks and batches are compared at the first
	Prompt       int            // tokens of the prefill comparison; 0 is 512
	Sessions     []int          // at the same time; nil is 1, 2, 4, 8
	Clock        Clock          // of ratios
	Rows         *regexp.Regexp // only kinds of hooks whose names match; nil is all
	Dictionaries []string       // further dictionaries to attach, as files or folders
	Texts        []string       // of the fidelity suite; without any, the model reads what it says itself

	Peers      bool     // compare with other runtimes that are installed
	PeerModels []string // further models for them: GGUF files, folders for onnxruntime-genai or transformers
	// Probe is the command and its first arguments that runs [Probe] in a process of its own, for the suites that need one; without it they are left out.
	Probe []string
	// Progress is called with what is measured next; nil is silent.
	Progress func(what string)
}

func (c Config) withDefaults() Config {
	if c.Suites == nil {
		c.Suites = Suites()
	}
	if c.Processes == 0 {
		c.Processes = 1
	}
	if c.Rounds == 0 {
		c.Rounds = 40
	}
	if len(c.Contexts) == 0 {
		c.Contexts = []int{32, 1024}
	}
	if c.Prompt == 0 {
		c.Prompt = 512
	}
	if len(c.Sessions) == 0 {
		c.Sessions = []int{1, 2, 4, 8}
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}

func (c *Config) check() error {
	for _, n := range append(slices.Concat(c.Contexts, c.Sessions), c.Rounds, c.Processes, c.Prompt) {
		if n < 1 {
			return fmt.Errorf("bench: want at least 1 for rounds, processes, contexts, the prompt and sessions, found %d", n)
		}
	}
	if !slices.Contains([]Clock{ClockAuto, ClockWall, ClockCPU}, c.Clock) {
		return fmt.Errorf("bench: clock: want %s or %s, found %q", ClockWall, ClockCPU, c.Clock)
	}
	return nil
}

// fewer is how often prompts and processes run, which take longer than tokens.
func (c *Config) fewer() int { return max(c.Rounds/4, min(c.Rounds, 3)) }
