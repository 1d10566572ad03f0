// SPDX-License-Identifier: Apache-2.0

package dose

import (
	"context"
	"fmt"
	"math"

	"github.com/trimtab/trimtab/runtime"
)

// Text is what a model wrote, as the plain model sees it.
type Text struct {
	IDs        []int32 `json:"ids"`
	Text       string  `json:"text"`
	Perplexity float64 `json:"perplexity"` // of the tokens under the plain model; 0 of none
	Distinct   float64 `json:"distinct"`   // share of pairs of neighbouring tokens that did not come before; 1 of fewer than two tokens
}

// Reading is what all texts are together.
type Reading struct {
	Perplexity float64 `json:"perplexity"`
	Distinct   float64 `json:"distinct"`
	Texts      []Text  `json:"texts"`
}

// Write continues every prompt greedily under the steering and lets the plain model read what came.
func (s *Steered) Write(ctx context.Context, tokens int) (*Reading, error) {
	var texts []Text
	for i, ids := range s.meter.prompts {
		var t Text
		for token, err := range s.session.Generate(ctx, ids, runtime.Options{MaxTokens: tokens}) {
			if err != nil {
				return nil, fmt.Errorf("dose: prompt %d: %w", i+1, err)
			}
			t.IDs = append(t.IDs, token.ID)
			t.Text += token.Text
		}
		texts = append(texts, t)
	}
	return s.meter.Read(ctx, texts)
}

// Read lets the plain model read texts behind the prompts, one for each, and fills in what it makes of them.
func (m *Meter) Read(ctx context.Context, texts []Text) (*Reading, error) {
	plain, err := m.model.NewSession()
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	out := &Reading{Texts: texts}
	loss, n, distinct := 0.0, 0, 0.0
	for i := range texts {
		t := &texts[i]
		one, err := read(ctx, plain, m.prompts[i], t.IDs)
		if err != nil {
			return nil, fmt.Errorf("dose: prompt %d: %w", i+1, err)
		}
		t.Distinct = distinctPairs(t.IDs)
		if len(t.IDs) > 0 {
			t.Perplexity = finite(math.Exp(one / float64(len(t.IDs))))
		}
		loss, n, distinct = loss+one, n+len(t.IDs), distinct+t.Distinct
	}
	out.Perplexity, out.Distinct = finite(math.Exp(loss/math.Max(float64(n), 1))), distinct/math.Max(float64(len(texts)), 1)
	return out, nil
}

// read returns the negative log-likelihood of tokens behind a prompt, in nats.
func read(ctx context.Context, plain *runtime.Session, prompt, ids []int32) (float64, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	plain.Forget()
	if len(prompt) > 1 {
		if err := plain.Read(ctx, prompt[:len(prompt)-1], nil); err != nil {
			return 0, err
		}
	}
	loss := 0.0
	rest := append([]int32{prompt[len(prompt)-1]}, ids...)
	err := plain.Read(ctx, rest[:len(rest)-1], func(position int, logits []float32) error {
		loss -= logProb(logits, ids[position-len(prompt)+1])
		return nil
	})
	return loss, err
}

// distinctPairs falls towards 0 for a text that goes round in circles (Li et al. 2016, arXiv 1510.03055, distinct-2).
func distinctPairs(ids []int32) float64 {
	if len(ids) < 2 {
		return 1
	}
	seen := map[[2]int32]bool{}
	for i := range len(ids) - 1 {
		seen[[2]int32{ids[i], ids[i+1]}] = true
	}
	return float64(len(seen)) / float64(len(ids)-1)
}

// Bounds beyond which a text counts as broken. They are chosen, not measured: steered texts that still read well have a perplexity of two to five times that of
// the model's own greedy text.
const (
	brokenPerplexity = 10
	brokenDistinct   = 0.5
)

// Broken says in words why a text is no longer one, "" where it is; plain is what the model writes without steering.
func (r *Reading) Broken(plain *Reading) string {
	switch {
	case !(r.Perplexity <= brokenPerplexity*plain.Perplexity):
		return fmt.Sprintf("the text is broken: its perplexity under the plain model is %.3g, that of the plain text %.3g", r.Perplexity, plain.Perplexity)
	case r.Distinct < brokenDistinct*plain.Distinct:
		return fmt.Sprintf("the text goes round in circles: %.0f %% of its pairs of tokens are new, of the plain text %.0f %%", 100*r.Distinct, 100*plain.Distinct)
	}
	return ""
}
