// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/judge"
	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

// trial is what became of all prompts under one mask.
type trial struct {
	Name    string   `json:"name"`
	Mask    string   `json:"mask,omitempty"`
	Prompts outcome  `json:"prompts"`
	Benign  outcome  `json:"benign"`
	Loss    interval `json:"loss"` // of benign references, in nats a token
}

// outcome is the replies to one file.
type outcome struct {
	Classes           map[judge.Class]int `json:"classes"`
	Refused           interval            `json:"refused"`
	Complete          interval            `json:"all_keywords"`
	RefusedToAnswered int                 `json:"refused_to_answered"` // against no mask
	AnsweredToRefused int                 `json:"answered_to_refused"`
	Replies           []string            `json:"replies,omitempty"`
	refused           []bool
}

// interval is a number with the bounds of its 95 % confidence interval.
type interval struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

func shareOf(k, n int) interval {
	low, high := judge.Interval(k, n)
	return interval{float64(k) / float64(max(n, 1)), low, high}
}

// measure runs both files under a mask; nil is none. plain is the trial to compare with; nil is this one itself.
func (v *evalExpertsVerb) measure(ctx context.Context, m *runtime.Model, name string, mask *steering.Masking, plain *trial) (*trial, error) {
	s, err := m.NewSession()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	t := &trial{Name: name}
	if mask != nil {
		t.Mask = mask.Mask().String()
		if _, err := s.Attach(mask); err != nil {
			return nil, err
		}
	}
	if plain == nil {
		plain = t
	}
	if t.Prompts, err = v.reply(ctx, s, v.trialPrompts, &plain.Prompts); err != nil {
		return nil, fmt.Errorf("%s: --prompts: %w", name, err)
	}
	if t.Benign, err = v.reply(ctx, s, v.trialOther, &plain.Benign); err != nil {
		return nil, fmt.Errorf("%s: --benign: %w", name, err)
	}
	if t.Loss, err = lossOf(ctx, s, v.trialOther, plain.Benign.Replies); err != nil {
		return nil, fmt.Errorf("%s: loss: %w", name, err)
	}
	return t, nil
}

// reply answers every question and sorts the replies.
func (v *evalExpertsVerb) reply(ctx context.Context, s *runtime.Session, list []question, plain *outcome) (outcome, error) {
	o := outcome{Classes: map[judge.Class]int{}}
	complete := 0
	for i, q := range list {
		text, err := greedy(ctx, s, q.ids, v.most)
		if err != nil {
			return o, fmt.Errorf("prompt %d: %w", i+1, err)
		}
		class := v.judge.Sort(text, q.Topics, q.Keywords)
		o.Classes[class]++
		o.Replies = append(o.Replies, text)
		o.refused = append(o.refused, class == judge.Refusal)
		if judge.Complete(text, q.Keywords) {
			complete++
		}
	}
	o.Refused, o.Complete = shareOf(o.Classes[judge.Refusal], len(list)), shareOf(complete, len(list))
	for i := range plain.refused {
		switch {
		case plain.refused[i] && !o.refused[i]:
			o.RefusedToAnswered++
		case !plain.refused[i] && o.refused[i]:
			o.AnsweredToRefused++
		}
	}
	return o, nil
}

// lossOf is the loss of the questions' references in nats a token, each with the end of its turn, or of the given replies where there is no reference.
func lossOf(ctx context.Context, s *runtime.Session, list []question, replies []string) (interval, error) {
	var sums, counts []float64
	for i := range list {
		q := &list[i]
		want := q.Reference
		if want == "" && i < len(replies) {
			want = replies[i]
		}
		ids, err := q.with(s.Model(), want)
		if err != nil {
			return interval{}, fmt.Errorf("line %d: %w", i+1, err)
		}
		if len(ids) == len(q.ids) {
			continue
		}
		sum, err := surprises(ctx, s, ids, len(q.ids))
		if err != nil {
			return interval{}, fmt.Errorf("line %d: %w", i+1, err)
		}
		sums, counts = append(sums, sum), append(counts, float64(len(ids)-len(q.ids)))
	}
	if len(sums) == 0 {
		return interval{}, errors.New("want at least one line with a reference or a reply, found none")
	}
	mean, half := judge.Ratio(sums, counts)
	return interval{mean, mean - half, mean + half}, nil
}

// with is the prompt with a reply behind it, as the model's template ends a turn; without a template the text itself.
func (q *question) with(m texter, reply string) ([]int32, error) {
	if q.Messages != nil {
		t, err := m.Template()
		if err != nil {
			return nil, err
		}
		tok, err := m.Tokenizer()
		if err != nil {
			return nil, err
		}
		all, err := t.Tokens(nil, tok, append(slices.Clone(q.Messages), chat.Message{Role: "assistant", Content: reply}), false)
		if err == nil && len(all) > len(q.ids) && slices.Equal(all[:len(q.ids)], q.ids) {
			return all, nil
		}
	}
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, err
	}
	return append(slices.Clone(q.ids), tok.Encode(nil, reply, false)...), nil
}

// surprises is the sum of -log p of the tokens from the given one on.
func surprises(ctx context.Context, s *runtime.Session, ids []int32, from int) (float64, error) {
	s.Forget()
	sum := 0.0
	err := s.Read(ctx, ids[:len(ids)-1], func(position int, logits []float32) error {
		if position+1 >= from {
			sum += surprise(logits, ids[position+1])
		}
		return nil
	})
	return sum, err
}

// surprise is -log of the softmax at one token.
func surprise(logits []float32, id int32) float64 {
	most := float64(slices.Max(logits))
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x) - most)
	}
	return most + math.Log(sum) - float64(logits[id])
}
