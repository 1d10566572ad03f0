// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/sitelist"
	"github.com/trimtab/trimtab/models"
	"github.com/trimtab/trimtab/runtime"
)

// modelReport is what a model file holds.
type modelReport struct {
	Kind      string           `json:"kind"` // model
	Path      string           `json:"path"`
	Name      string           `json:"name"`
	Family    string           `json:"family"`
	Layers    int              `json:"layers"`
	Width     int              `json:"width"`
	Heads     int              `json:"heads"`
	KVHeads   int              `json:"kv_heads"`
	HeadDim   int              `json:"head_dim"`
	MLPWidth  int              `json:"mlp_width"`
	Vocab     int              `json:"vocab"`
	Context   int              `json:"context"`
	Bytes     int64            `json:"bytes"`
	Types     map[string]int64 `json:"types"`                      // bytes by stored type
	Providers []string         `json:"providers"`                  // that can run it
	Tokenizer string           `json:"tokenizer_absent,omitempty"` // why there is none
	Template  string           `json:"template_absent,omitempty"`
	Sites     []sitelist.Row   `json:"sites"`
}

func inspectModel(path string) (r *modelReport, err error) {
	m, err := models.Open(path)
	if err != nil {
		return nil, err
	}
	defer closing(m, &err)
	sh, err := runtime.Describe(m)
	if err != nil {
		return nil, err
	}
	r = &modelReport{
		Kind: "model", Path: path, Name: sh.Model, Family: sh.Family, Layers: m.Layers, Width: m.Width, Heads: m.Heads, KVHeads: m.KVHeads,
		HeadDim: m.HeadDim, MLPWidth: m.MLPWidth, Vocab: m.Vocab, Context: m.Context, Bytes: m.Bytes, Types: map[string]int64{},
		Sites: sitelist.Rows(&sh),
	}
	r.Providers = []string{string(runtime.CPU)}
	if m.Export == nil { // an export's graph and cache are made for the processor
		r.Providers = append(r.Providers, string(runtime.CUDA))
	}
	for t, n := range m.Types {
		r.Types[fmt.Sprint(t)] = n
	}
	if _, err := m.Tokenizer(); err != nil {
		r.Tokenizer = err.Error()
	}
	if _, err := m.Template(); err != nil {
		r.Template = err.Error()
	}
	return r, nil
}

func (r *modelReport) text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, line := range []struct{ name, value string }{
		{"model", r.Name},
		{"family", r.Family},
		{"layers", fmt.Sprintf("%d of width %d", r.Layers, r.Width)},
		{"attention", fmt.Sprintf("%d heads of %d, %d for keys and values", r.Heads, r.HeadDim, r.KVHeads)},
		{"feed-forward", fmt.Sprintf("width %d", r.MLPWidth)},
		{"vocabulary", fmt.Sprint(r.Vocab)},
		{"context", fmt.Sprintf("%d tokens", r.Context)},
		{"weights", r.weights()},
		{"providers", strings.Join(r.Providers, ", ")},
		{"tokenizer", presence(r.Tokenizer)},
		{"chat template", presence(r.Template)},
	} {
		fmt.Fprintf(w, "%s\t%s\n", line.name, line.value)
	}
	_ = w.Flush() // into memory
	return b.String() + "\n" + sitelist.Table(r.Sites)
}

// weights lists the stored types, the largest share first.
func (r *modelReport) weights() string {
	types := slices.Collect(maps.Keys(r.Types))
	slices.SortFunc(types, func(a, b string) int { return int(r.Types[b] - r.Types[a]) })
	var parts []string
	for _, t := range types {
		parts = append(parts, t+" "+humanize.IBytes(uint64(r.Types[t])))
	}
	return fmt.Sprintf("%s: %s", humanize.IBytes(uint64(r.Bytes)), strings.Join(parts, ", "))
}

func presence(absent string) string {
	if absent == "" {
		return "yes"
	}
	return "no: " + absent
}
