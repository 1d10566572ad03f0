// SPDX-License-Identifier: Apache-2.0

// Package receipt writes down what an answer was made of, so that it can be made again: a [Recorder] keeps answers as they come, [Replay] runs them again
// and says where and why they differ.
//
// A receipt is a file of JSON lines: a [Header] first, then a [Run] for each answer in the order in which they came.
package receipt

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	goruntime "runtime"
	"strconv"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/answer"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/dose"
	"github.com/trimtab/trimtab/runtime"
)

// format is what a receipt's first line says that it is.
const format = "trimtab receipt 1"

// Header is what all answers of a receipt share.
type Header struct {
	Format   string   `json:"format"`
	Versions Versions `json:"versions"`
	Machine  Machine  `json:"machine"`
	Model    Model    `json:"model"`
	Files    []File   `json:"files"` // of the model, and ONNX Runtime's library
}

// Versions are those of everything that computes.
type Versions struct {
	Trimtab     string `json:"trimtab"`
	Go          string `json:"go"`
	ONNXRuntime string `json:"onnxruntime"`
}

// Machine is what the bits of a result depend on beside software.
type Machine struct {
	OS           string `json:"os"`
	Arch         string `json:"arch"`
	Instructions string `json:"instructions"` // set that the project's own kernels use
}

// Model is how the model was opened.
type Model struct {
	Path    string `json:"path"`
	Name    string `json:"name"`
	Family  string `json:"family"`
	Layers  int    `json:"layers"`
	Width   int    `json:"width"`
	Quant   string `json:"quant"`
	Kernels string `json:"kernels,omitempty"` // empty for an export, which brings its own
	KV      string `json:"kv,omitempty"`
	Threads int    `json:"threads"`
	Context int    `json:"context"`
	Chunk   int    `json:"chunk"`
}

// Run is one answer.
type Run struct {
	Number   int          `json:"answer"`  // counted from 1
	Session  int          `json:"session"` // answers of one session share its cache
	Steering []Steered    `json:"steering"`
	Guard    *dose.Limits `json:"guard,omitempty"`
	Files    []File       `json:"files"` // of the steering
	Sampling Sampling     `json:"sampling"`

	PromptIDs []int32       `json:"prompt_ids"`
	IDs       []int32       `json:"ids"`
	LogProbs  []Number      `json:"logprobs"`
	Text      string        `json:"text"`
	Finish    string        `json:"finish_reason"` // empty: it was broken off
	Prompt    []answer.Told `json:"prompt,omitempty"`
	Tokens    []answer.Told `json:"tokens,omitempty"` // what fired
}

// Steered is one steering as it stood while the answer came.
type Steered struct {
	Attachment int      `json:"attachment"` // the same number in two answers: it was not taken off in between
	Name       string   `json:"name"`
	Spec       string   `json:"spec"` // with the strength that it had
	Strength   Number   `json:"strength"`
	Sites      []string `json:"sites"`
	Rules      string   `json:"rules,omitempty"` // the whole program: a chat may have added to the file
	Probe      bool     `json:"probe,omitempty"` // it only reads, behind all that steers
}

// Sampling is runtime.Options by names that do not change.
type Sampling struct {
	MaxTokens        int      `json:"max_tokens"`
	Temperature      float32  `json:"temperature"`
	TopK             int      `json:"top_k"`
	TopP             float32  `json:"top_p"`
	MinP             float32  `json:"min_p"`
	RepeatPenalty    float32  `json:"repeat_penalty"`
	PresencePenalty  float32  `json:"presence_penalty"`
	FrequencyPenalty float32  `json:"frequency_penalty"`
	RepeatLast       int      `json:"repeat_last"`
	Seed             uint64   `json:"seed"`
	Stop             []string `json:"stop,omitempty"`
	IgnoreEOS        bool     `json:"ignore_eos,omitempty"`
}

func samplingOf(o *runtime.Options) Sampling {
	s := &o.Sampling
	return Sampling{
		MaxTokens: o.MaxTokens, Temperature: s.Temperature, TopK: s.TopK, TopP: s.TopP, MinP: s.MinP, RepeatPenalty: s.RepeatPenalty,
		PresencePenalty: s.PresencePenalty, FrequencyPenalty: s.FrequencyPenalty, RepeatLast: s.RepeatLast, Seed: s.Seed, Stop: o.Stop, IgnoreEOS: o.IgnoreEOS,
	}
}

// settings are those that give the same answer again.
func (s *Sampling) settings() answer.Settings {
	out := answer.Settings{Fixed: true}
	out.MaxTokens, out.Stop, out.IgnoreEOS, out.LogProbs = s.MaxTokens, s.Stop, s.IgnoreEOS, 1
	out.Sampling = runtime.Sampling{
		Temperature: s.Temperature, TopK: s.TopK, TopP: s.TopP, MinP: s.MinP, RepeatPenalty: s.RepeatPenalty,
		PresencePenalty: s.PresencePenalty, FrequencyPenalty: s.FrequencyPenalty, RepeatLast: s.RepeatLast, Seed: s.Seed,
	}
	return out
}

// Number is a float32 that JSON can hold whatever it is: one that is not finite is written as text.
type Number float32

// MarshalJSON writes the shortest form that reads back to the same bits.
func (n Number) MarshalJSON() ([]byte, error) {
	f := float64(n)
	text := strconv.FormatFloat(f, 'g', -1, 32)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		text = strconv.Quote(text)
	}
	return []byte(text), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (n *Number) UnmarshalJSON(data []byte) error {
	f, err := strconv.ParseFloat(string(bytes.Trim(data, `"`)), 32)
	*n = Number(f)
	return err
}

// equal compares bits but for those of NaN.
func (n Number) equal(o Number) bool { return n == o || (n != n && o != o) }

// newHeader describes an opened model and what runs it.
func newHeader(m *runtime.Model, version string) Header {
	c, sh := m.Config(), m.Shape()
	h := Header{
		Format:   format,
		Versions: Versions{version, goruntime.Version(), m.ORTVersion()},
		Machine:  Machine{goruntime.GOOS, goruntime.GOARCH, runtime.KernelISA()},
		Model: Model{
			Path: m.File().Path, Name: sh.Model, Family: sh.Family, Layers: sh.Layers, Width: sh.Width,
			Quant: string(c.Quant), Kernels: string(c.Kernels), KV: string(c.KV), Threads: c.Threads, Context: c.Context, Chunk: c.Chunk,
		},
	}
	if m.File().Export != nil {
		h.Model.Kernels, h.Model.KV = "", ""
	}
	return h
}

// Read returns the header and the answers of a receipt.
func Read(r io.Reader) (*Header, []Run, error) {
	in := json.NewDecoder(bufio.NewReader(r))
	h := &Header{}
	if err := in.Decode(h); err != nil || h.Format != format {
		return nil, nil, errors.Join(fmt.Errorf("receipt: want a first line with the format %q, found %q", format, h.Format), err)
	}
	var runs []Run
	for {
		var run Run
		err := in.Decode(&run)
		if errors.Is(err, io.EOF) {
			return h, runs, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("receipt: answer %d: %w", len(runs)+1, err)
		}
		if len(run.LogProbs) != len(run.IDs) {
			return nil, nil, fmt.Errorf("receipt: answer %d: want a log-probability for each of %d tokens, found %d", len(runs)+1, len(run.IDs), len(run.LogProbs))
		}
		runs = append(runs, run)
	}
}

// Open reads the receipt in a file.
func Open(path string) (*Header, []Run, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("receipt: %w", err)
	}
	defer f.Close()
	h, runs, err := Read(f)
	if err != nil {
		return nil, nil, fmt.Errorf("%w (in %s)", err, path)
	}
	return h, runs, nil
}
