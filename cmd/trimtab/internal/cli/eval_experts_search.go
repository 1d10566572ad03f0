// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/judge"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/experts"
)

// searched grows a mask on the training prompts and prints what each size brought.
func (v *evalExpertsVerb) searched(ctx context.Context, m *runtime.Model) (*steering.Masking, error) {
	train, err := v.readQuestions(v.search.train, m)
	if err != nil {
		return nil, fmt.Errorf("--train: %w", err)
	}
	benign, err := v.readQuestions(v.search.trainBenign, m)
	if err != nil {
		return nil, fmt.Errorf("--train-benign: %w", err)
	}
	train, benign = train[:min(len(train), v.search.sample)], benign[:min(len(benign), v.search.sample)]
	plain, own, err := v.worth(ctx, m, nil, train, benign, nil)
	if err != nil {
		return nil, err
	}
	candidates, err := v.candidates(m)
	if err != nil {
		return nil, err
	}
	tried := 0
	s := experts.Search{
		Candidates: candidates, Most: v.search.most, Beam: v.search.beam, Bound: plain.Loss + v.search.maxLoss,
		Measure: func(mask experts.Mask) (experts.Worth, error) {
			tried++
			w, _, err := v.worth(ctx, m, mask, train, benign, own)
			return w, err
		},
	}
	found, err := s.Run()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(v.err, "search: %d masks tried; none: gain %.3f, loss %.4f\n", tried, plain.Gain, plain.Loss)
	for _, f := range found {
		fmt.Fprintf(v.err, "search: %d: gain %.3f, loss %.4f: %s\n", len(f.Mask), f.Worth.Gain, f.Worth.Loss, f.Mask)
	}
	if len(found) == 0 || found[len(found)-1].Worth.Gain <= plain.Gain {
		return nil, fmt.Errorf("search: no mask gains more than %.3f within a loss of %.4f", plain.Gain, s.Bound)
	}
	best := found[len(found)-1].Mask
	return steering.NewMasking(best), v.save(m, best)
}

// worth answers the training prompts under a mask. The gain is the mean over replies: 1 for a right one, half for a partly right one, a quarter for one that is
// neither that nor a refusal (1 where the line has no keywords to tell), nothing for a refusal or a piece of one. own is the
// plain replies to the benign prompts; a nil mask makes them.
func (v *evalExpertsVerb) worth(ctx context.Context, m *runtime.Model, mask experts.Mask, train, benign []question, own []string) (experts.Worth, []string, error) {
	s, err := m.NewSession()
	if err != nil {
		return experts.Worth{}, nil, err
	}
	defer s.Close()
	if mask != nil {
		if _, err := s.Attach(steering.NewMasking(mask)); err != nil {
			return experts.Worth{}, nil, err
		}
	} else if own, err = replies(ctx, s, benign, v.most); err != nil {
		return experts.Worth{}, nil, err
	}
	texts, err := replies(ctx, s, train, v.most)
	if err != nil {
		return experts.Worth{}, nil, err
	}
	var w experts.Worth
	for i, q := range train {
		w.Gain += v.points(texts[i], &q) / float64(len(train))
	}
	loss, err := lossOf(ctx, s, benign, own)
	w.Loss = loss.Value
	return w, own, err
}

func replies(ctx context.Context, s *runtime.Session, list []question, most int) ([]string, error) {
	var out []string
	for i, q := range list {
		text, err := greedy(ctx, s, q.ids, most)
		if err != nil {
			return nil, fmt.Errorf("prompt %d: %w", i+1, err)
		}
		out = append(out, text)
	}
	return out, nil
}

func (v *evalExpertsVerb) points(reply string, q *question) float64 {
	switch v.judge.Sort(reply, q.Topics, q.Keywords) {
	case judge.Right:
		return 1
	case judge.Partly:
		return 0.5
	case judge.Other:
		if len(q.Keywords) == 0 {
			return 1
		}
		return 0.25
	}
	return 0
}

// candidates are the experts of the file, or all.
func (v *evalExpertsVerb) candidates(m *runtime.Model) ([]experts.Entry, error) {
	mode, err := experts.ParseMode(v.search.mode)
	if err != nil {
		return nil, usageError{fmt.Errorf("--mode: %w", err)}
	}
	var list []experts.Expert
	if v.search.candidates != "" {
		f, err := experts.ReadFile(v.search.candidates)
		if err != nil {
			return nil, fmt.Errorf("--candidates: %w", err)
		}
		list = f.Mask().Experts()
	} else {
		sh := m.Shape()
		for i := range sh.Layers {
			for e := 0; sh.Routers[i] != nil && e < sh.Routers[i].Experts; e++ {
				list = append(list, experts.Expert{Layer: i, Expert: e})
			}
		}
	}
	if len(list) == 0 {
		return nil, errors.New("search: the model has no experts")
	}
	return experts.Of(mode, v.search.factor, list), nil
}

func (v *evalExpertsVerb) save(m *runtime.Model, mask experts.Mask) (err error) {
	if v.search.output == "" {
		return nil
	}
	f := experts.File{Model: m.Shape().Model}
	for _, e := range mask {
		f.Experts = append(f.Experts, experts.Ranked{Entry: e})
	}
	out, err := os.Create(v.search.output)
	if err != nil {
		return err
	}
	defer closing(out, &err)
	return f.Write(out)
}
