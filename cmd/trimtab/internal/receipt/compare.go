// SPDX-License-Identifier: Apache-2.0

package receipt

import (
	"fmt"
	"math"
	"slices"

	"github.com/google/go-cmp/cmp"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/runtime"
)

// Change is something that an answer depends on and that is not what it was.
type Change struct {
	What     string `json:"what"`
	Was      string `json:"was"`
	Is       string `json:"is"`
	Contents bool   `json:"contents"` // of a file, rather than a version or a machine
}

func (c Change) String() string {
	return fmt.Sprintf("%s: the receipt has %s, found %s", c.What, c.Was, c.Is)
}

// Changes compares files, versions and machine with those of a receipt. A model, which may be nil, says what runs it.
func Changes(h *Header, runs []Run, version string, m *runtime.Model) []Change {
	d := digests{}
	var out []Change
	seen := map[string]bool{}
	note := func(f File) {
		if key := f.Path + f.SHA256; !seen[key] {
			seen[key] = true
			out = append(out, d.change(f)...)
		}
	}
	for _, f := range h.Files {
		note(f)
	}
	for i := range runs {
		for _, f := range runs[i].Files {
			note(f)
		}
	}
	if m == nil {
		return out
	}
	now := newHeader(m, version)
	for _, pair := range []Change{
		{What: "version of trimtab", Was: h.Versions.Trimtab, Is: now.Versions.Trimtab},
		{What: "version of Go", Was: h.Versions.Go, Is: now.Versions.Go},
		{What: "version of ONNX Runtime", Was: h.Versions.ONNXRuntime, Is: now.Versions.ONNXRuntime},
		{What: "operating system", Was: h.Machine.OS + "/" + h.Machine.Arch, Is: now.Machine.OS + "/" + now.Machine.Arch},
		{What: "instruction set of the kernels", Was: h.Machine.Instructions, Is: now.Machine.Instructions},
		{What: "model", Was: h.Model.identity(), Is: now.Model.identity()},
		{What: "forms", Was: h.Model.forms(), Is: now.Model.forms()},
	} {
		if pair.Was != pair.Is {
			out = append(out, pair)
		}
	}
	return out
}

func (m *Model) identity() string {
	return fmt.Sprintf("%s (%s, %d layers of width %d)", m.Name, m.Family, m.Layers, m.Width)
}

func (m *Model) forms() string {
	return fmt.Sprintf("quant %s, kernels %q, kv %q, %d threads, context %d, chunk %d", m.Quant, m.Kernels, m.KV, m.Threads, m.Context, m.Chunk)
}

// change compares one file with what it was.
func (d digests) change(f File) []Change {
	what := f.Role + " " + f.Path
	now, err := d.file(f.Role, f.Path)
	switch {
	case err != nil:
		return []Change{{what, "SHA-256 " + f.SHA256, err.Error(), true}}
	case now.SHA256 != f.SHA256:
		return []Change{{what, fmt.Sprintf("SHA-256 %s of %d bytes", f.SHA256, f.Bytes), fmt.Sprintf("%s of %d bytes", now.SHA256, now.Bytes), true}}
	}
	return nil
}

// Difference is the first place at which an answer is not what it was.
type Difference struct {
	Answer int    `json:"answer"`
	Token  int    `json:"token"` // counted from 1; 0 where it is none of a token
	Words  string `json:"words"`
	Same   bool   `json:"same_tokens"` // the tokens are the same: only log-probabilities or reports differ
}

func (d *Difference) String() string {
	if d.Token == 0 {
		return fmt.Sprintf("answer %d: %s", d.Answer, d.Words)
	}
	return fmt.Sprintf("answer %d, token %d: %s", d.Answer, d.Token, d.Words)
}

// Compare returns the first difference of an answer from that of a receipt, nil where there is none; piece is the text of a token.
func Compare(run *Run, a *answer.Answer, piece func(int32) string) *Difference {
	for i := range min(len(run.IDs), len(a.IDs)) {
		if run.IDs[i] != a.IDs[i] {
			return &Difference{run.Number, i + 1, fmt.Sprintf("want %d %q at log-probability %g, found %d %q at %g",
				run.IDs[i], piece(run.IDs[i]), run.LogProbs[i], a.IDs[i], piece(a.IDs[i]), a.LogProbs[i].LogProb), false}
		}
	}
	if len(run.IDs) != len(a.IDs) {
		return &Difference{run.Number, 0, fmt.Sprintf("want %d tokens, found %d", len(run.IDs), len(a.IDs)), false}
	}
	if finish := string(a.Finish); run.Finish != "" && run.Finish != finish {
		return &Difference{run.Number, 0, fmt.Sprintf("want an end by %q, found %q", run.Finish, finish), false}
	}
	for i, want := range run.LogProbs {
		if found := Number(a.LogProbs[i].LogProb); !want.equal(found) {
			far := math.Abs(float64(want) - float64(found))
			return &Difference{run.Number, i + 1, fmt.Sprintf("the same tokens, at a log-probability of %g rather than %g (%.2g apart)", found, want, far), true}
		}
	}
	return run.reports(a)
}

// reports compares what fired.
func (run *Run) reports(a *answer.Answer) *Difference {
	for i := range min(len(run.Tokens), len(a.Tokens)) {
		if !cmp.Equal(plain(run.Tokens[i]), plain(a.Tokens[i])) {
			return &Difference{run.Number, i + 1, "the same tokens, but something else fired", true}
		}
	}
	if len(run.Tokens) != len(a.Tokens) {
		return &Difference{run.Number, 0, "the same tokens, but something else fired", true}
	}
	return nil
}

// plain makes empty lists nil, which JSON does not tell apart from them.
func plain(t answer.Told) answer.Told {
	for _, list := range []*[]answer.Reading{&t.Fired, &t.Concepts, &t.Features, &t.Experts, &t.Probes, &t.Gauges} {
		if len(*list) == 0 {
			*list = nil
		}
		*list = slices.Clip(*list)
	}
	return t
}
