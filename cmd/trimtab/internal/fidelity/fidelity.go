// SPDX-License-Identifier: Apache-2.0

// Package fidelity measures sparse dictionaries on a running model: how well they reconstruct its activations, and how much of its predictions is left where
// the reconstruction takes an activation's place.
package fidelity

import (
	"context"
	"fmt"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/corpus"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// Options says what is measured beyond the reconstruction.
type Options struct {
	Loss     bool                    // cross-entropy with the reconstruction, and with the mean, in the activation's place
	Dark     bool                    // what the error is made of
	Progress func(done, total int64) // called with the sequences run so far; nil is silent
}

// Result is what one dictionary came to on one form of a model.
type Result struct {
	Dictionary string `json:"dictionary"`
	Site       string `json:"site"`
	Quant      string `json:"quant"`
	dictionary.Quality
	LeftOut int   `json:"left_out"` // positions with massive activations, and those that the dictionary was not trained on
	Loss    *Loss `json:"loss,omitempty"`
	Dark    *Dark `json:"dark_matter,omitempty"`
}

// Loss is the mean cross-entropy of the next token, in nats.
type Loss struct {
	Tokens    int     `json:"tokens"`
	Clean     float64 `json:"clean"`
	Spliced   float64 `json:"spliced"`   // the reconstruction in the activation's place, where it is not left out
	Ablated   float64 `json:"ablated"`   // the mean activation there
	Recovered float64 `json:"recovered"` // (ablated - spliced) / (ablated - clean)
}

// Run measures dictionaries side by side; each must have an address.
func Run(ctx context.Context, m *runtime.Model, dicts []*dictionary.Dictionary, texts *corpus.Corpus, o Options) ([]Result, error) {
	r := &run{Options: o, model: m, sequences: texts.Sequences, total: int64(len(texts.Sequences))}
	if o.Loss {
		r.total *= int64(1 + 2*len(dicts))
	}
	if o.Dark {
		r.split(texts.Sources)
	}
	for _, d := range dicts {
		s, err := newSubject(d, m, o.Dark)
		if err != nil {
			return nil, err
		}
		r.subjects = append(r.subjects, s)
	}
	clean, err := r.watch(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Result, 0, len(dicts))
	for _, s := range r.subjects {
		result := s.result(m)
		if o.Loss {
			if result.Loss, err = r.loss(ctx, s, clean); err != nil {
				return nil, err
			}
		}
		out = append(out, result)
	}
	return out, nil
}

// run is one call of Run.
type run struct {
	Options
	model     *runtime.Model
	subjects  []*subject
	sequences []corpus.Sequence // with Dark those to learn from come first
	learn     int               // how many of them; 0 without Dark
	done      int64
	total     int64
}

// split brings every second text to the front, or the first half of the only one: the pieces of a text stay on one side.
func (r *run) split(sources int) {
	var learn, judge []corpus.Sequence
	for i, s := range r.sequences {
		if (sources > 1 && s.Source%2 == 0) || (sources <= 1 && 2*i < len(r.sequences)) {
			learn = append(learn, s)
			continue
		}
		judge = append(judge, s)
	}
	r.sequences, r.learn = append(learn, judge...), len(learn)
}

// each runs every sequence alone on a session with the given taps and returns the mean cross-entropy, and of how many tokens.
func (r *run) each(ctx context.Context, score bool, hook hooks.Hook, behind func(i int) error) (loss float64, tokens int, err error) {
	s, err := r.model.NewSession()
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	if _, err := s.Attach(hook); err != nil {
		return 0, 0, err
	}
	for i, text := range r.sequences {
		s.Forget()
		var each func(int, []float32) error
		if score {
			each = func(position int, logits []float32) error {
				if position+1 < len(text.IDs) {
					loss += surprise(logits, text.IDs[position+1])
					tokens++
				}
				return nil
			}
		}
		if err := s.Read(ctx, text.IDs, each); err != nil {
			return 0, 0, err
		}
		if err := behind(i); err != nil {
			return 0, 0, err
		}
		r.done++
		if r.Progress != nil {
			r.Progress(r.done, r.total)
		}
	}
	return loss / float64(max(tokens, 1)), tokens, nil
}

// watch runs the untouched model and takes what it sees into account.
func (r *run) watch(ctx context.Context) (Loss, error) {
	var plan hooks.Plan
	for _, s := range r.subjects {
		plan.Taps = append(plan.Taps, s.taps()...)
	}
	var l Loss
	var err error
	l.Clean, l.Tokens, err = r.each(ctx, r.Loss, planned(plan), func(i int) error {
		for _, s := range r.subjects {
			if r.Dark && i == r.learn {
				if err := s.dark.solve(); err != nil {
					return err
				}
			}
			if err := s.account(r.sequences[i].IDs, i < r.learn); err != nil {
				return err
			}
		}
		return nil
	})
	return l, err
}

// loss runs the model with the reconstruction, and with the mean, in place of a subject's activation.
func (r *run) loss(ctx context.Context, s *subject, clean Loss) (*Loss, error) {
	l := clean
	spec := steering.Spec{Kind: steering.KindSAE, Text: "splice", Sites: s.sites()}
	splice, err := steering.NewFeatures(spec, s.d, nil)
	if err != nil {
		return nil, err
	}
	nothing := func(int) error { return nil }
	if l.Spliced, _, err = r.each(ctx, true, splice, nothing); err != nil {
		return nil, err
	}
	mean := make([]float32, s.d.Form.Out)
	s.fidelity.Mean(mean)
	text := 0
	tap := hooks.Tap{Name: "mean", Site: s.out, Func: func(a *hooks.Activation) error {
		for i := range a.Rows {
			if !s.left[text][a.First+i] {
				copy(a.Row(i), mean)
			}
		}
		return nil
	}}
	next := func(i int) error { text = i + 1; return nil }
	if l.Ablated, _, err = r.each(ctx, true, planned(hooks.Plan{Taps: []hooks.Tap{tap}}), next); err != nil {
		return nil, err
	}
	if l.Ablated != l.Clean {
		l.Recovered = (l.Ablated - l.Spliced) / (l.Ablated - l.Clean)
	}
	return &l, nil
}

func planned(p hooks.Plan) hooks.Hook {
	return hooks.HookFunc(func(*hooks.Shape) (hooks.Plan, error) { return p, nil })
}

// place finds a dictionary's sites on a model.
func place(d *dictionary.Dictionary, sh *hooks.Shape) (in, out hooks.Site, err error) {
	if err := d.Address.Check(); err != nil {
		return in, out, fmt.Errorf("%s: %w", d.Name, err)
	}
	for _, s := range []struct {
		site  hooks.Site
		to    *hooks.Site
		width int
	}{{d.Address.Site, &in, d.Form.In}, {d.Address.Out, &out, d.Form.Out}} {
		if *s.to, err = sh.Resolve(s.site); err != nil {
			return in, out, fmt.Errorf("%s: %w", d.Name, err)
		}
		if has := sh.Widths[*s.to]; has != s.width {
			return in, out, fmt.Errorf("%s: want a dictionary of the width of %s, %d, found one of %d", d.Name, *s.to, has, s.width)
		}
	}
	return in, out, nil
}
