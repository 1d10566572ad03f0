// SPDX-License-Identifier: Apache-2.0

package bench

import (
	goruntime "runtime"

	"github.com/trimtab/trimtab/runtime"
)

// Report is what a run found.
type Report struct {
	Machine  Machine     `json:"machine"`
	Model    string      `json:"model"` // its name, the form of its weights, threads
	Rounds   int         `json:"rounds"`
	Load     *Load       `json:"load,omitempty"`
	Memory   []Footprint `json:"memory,omitempty"`
	Sections []Section   `json:"sections,omitempty"`
	Fidelity []Fidelity  `json:"fidelity,omitempty"`
	Notes    []string    `json:"notes,omitempty"` // what could not be measured, and why
}

// Load is what it takes a new process to get going, in medians.
type Load struct {
	FileBytes int64 `json:"file_bytes"`
	Warm      Start `json:"warm"`
	Cold      Start `json:"cold"` // with the model's file dropped from the system's cache, if it can be
}

// Start is the parts of one start.
type Start struct {
	OpenMS       float64 `json:"open_ms"`        // runtime.Open
	FirstTokenMS float64 `json:"first_token_ms"` // of a 32-token prompt, after Open
	AttachMS     float64 `json:"attach_ms"`      // then a first vector, to the session's readiness
	SteeredMS    float64 `json:"steered_ms"`     // then a first token of the same prompt with it
	ReadMB       float64 `json:"read_mb"`        // from the disk; 0 where the system does not tell, or has the file in memory
}

// Section is one comparison.
type Section struct {
	Suite  Suite  `json:"suite"`
	Title  string `json:"title"`
	Clock  Clock  `json:"clock"`         // of the ratios
	Tokens int    `json:"tokens_a_step"` // that times and bytes are divided by in tables
	Unit   string `json:"unit"`          // what one of them is called: token, prompt, session, start
	// Processes share the rounds: figures are the medians of theirs, intervals the least and the largest ratio. 0 is one.
	Processes int      `json:"processes,omitempty"`
	Results   []Result `json:"results"`
}

// best returns the peer's fastest row, nil where it has none; rows with hooks do not count.
func (s *Section) best(peer string) *Result {
	var best *Result
	for i := range s.Results {
		r := &s.Results[i]
		if r.Peer == peer && !r.Hooked && (best == nil || r.Ratio < best.Ratio) {
			best = r
		}
	}
	return best
}

// peers lists the other runtimes of a section in the order of their rows.
func (s *Section) peers() (out []string) {
	seen := map[string]bool{"": true}
	for i := range s.Results {
		if p := s.Results[i].Peer; !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out
}

// Machine is where a report was made, and with what.
type Machine struct {
	OS      string   `json:"os"`
	Kernel  string   `json:"kernel,omitempty"`
	CPU     string   `json:"cpu"`
	CPUs    int      `json:"cpus"`
	Go      string   `json:"go"`
	Trimtab string   `json:"trimtab,omitempty"`
	ORT     string   `json:"onnxruntime"`
	ISA     string   `json:"kernels"` // that the project's own operators chose
	Peers   []string `json:"peers,omitempty"`
}

func machine() Machine {
	return Machine{
		OS: goruntime.GOOS + "/" + goruntime.GOARCH, Kernel: field("/proc/sys/kernel/osrelease", ""), CPU: processor(), CPUs: goruntime.NumCPU(),
		Go: goruntime.Version(), ISA: runtime.KernelISA(),
	}
}
