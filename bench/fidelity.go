// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/trimtab/trimtab/runtime"
)

// FidelityConfig says which forms of a model are compared with its exactly expanded weights, and over what.
type FidelityConfig struct {
	Model   runtime.Config // what all forms share; Quant, Kernels and KV are not read
	Quants  []runtime.Quant
	Kernels []runtime.Kernels
	KVs     []runtime.KV
	Texts   []string // tokenized with the model's tokenizer, the beginning of a text in front where the model expects that
	IDs     []int32  // or tokens, as they are
	Tokens  int      // at most so many in all; 0 is 512. Logits of each are kept: 4 bytes times the vocabulary
	Window  int      // tokens that are read from an empty context each; 0 is 256
	// Progress is called with the tokens read so far, of all forms; nil is silent.
	Progress func(done, total int64)
}

// Fidelity is how near one form comes to the exact one.
type Fidelity struct {
	Quant     runtime.Quant   `json:"quant"`
	Kernels   runtime.Kernels `json:"kernels"`
	KV        runtime.KV      `json:"kv"`
	Positions int             `json:"positions"`
	Agreement float64         `json:"top1_agreement"` // part of the positions with the same likeliest token
	KL        float64         `json:"mean_kl"`        // of the exact distribution from this one, in nats
	NLL       float64         `json:"nll"`            // mean negative log-likelihood of the next token, in nats
}

// MeasureFidelity opens every combination of the forms that goes together and compares it with the first row, `f32` on ONNX Runtime's operators.
func MeasureFidelity(ctx context.Context, path string, c FidelityConfig) ([]Fidelity, error) {
	forms, err := c.forms()
	if err != nil {
		return nil, err
	}
	r := reference{ctx: ctx, config: c.withDefaults()}
	r.total = int64(len(forms))
	var out []Fidelity
	for _, form := range forms {
		f, err := r.measure(path, form)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

func (c FidelityConfig) withDefaults() FidelityConfig {
	if c.Tokens == 0 {
		c.Tokens = 512
	}
	if c.Window == 0 {
		c.Window = 256
	}
	if c.Progress == nil {
		c.Progress = func(int64, int64) {}
	}
	return c
}

// forms lists the combinations: ONNX Runtime's attention keeps float32 only, and f32 on its operators is what all are compared with.
func (c FidelityConfig) forms() ([]runtime.Config, error) {
	exact := c.Model
	exact.Quant, exact.Kernels, exact.KV = runtime.Float32, runtime.ORT, runtime.KVFull
	out := []runtime.Config{exact}
	for _, q := range c.Quants {
		for _, k := range c.Kernels {
			for _, kv := range c.KVs {
				form := c.Model
				form.Quant, form.Kernels, form.KV = q, k, kv
				if k == runtime.ORT && (kv != runtime.KVFull || q == runtime.Float32) {
					continue
				}
				out = append(out, form)
			}
		}
	}
	if len(out) == 1 {
		return nil, errors.New("bench: fidelity: none of the forms goes together: the kernels ort keep keys and values as f32 only")
	}
	return out, nil
}

// reference is the exact form's logits, row by row, and what they were read from.
type reference struct {
	ctx     context.Context
	config  FidelityConfig
	windows [][]int32
	logits  [][]float32
	done    int64
	total   int64 // forms
}

func (r *reference) measure(path string, form runtime.Config) (f Fidelity, err error) {
	m, err := runtime.Open(path, form)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if r.windows == nil {
		if r.windows, err = r.config.windows(m); err != nil {
			return f, err
		}
	}
	s, err := m.NewSession()
	if err != nil {
		return f, err
	}
	defer s.Close()
	f = Fidelity{Quant: form.Quant, Kernels: form.Kernels, KV: form.KV}
	first := len(r.logits) == 0
	next := 0 // tokens that have one behind them
	for _, ids := range r.windows {
		s.Forget()
		err := s.Read(r.ctx, ids, func(at int, logits []float32) error {
			if first {
				r.logits = append(r.logits, append([]float32(nil), logits...))
			}
			f.add(r.logits[f.Positions], logits)
			if at+1 < len(ids) {
				next++
				f.NLL -= float64(logits[ids[at+1]]) - logSum(logits)
			}
			return nil
		})
		if err != nil {
			return f, err
		}
		r.done += int64(len(ids))
		r.config.Progress(r.done, r.total*int64(r.tokens()))
	}
	f.Agreement /= float64(f.Positions)
	f.KL /= float64(f.Positions)
	f.NLL /= float64(next)
	return f, nil
}

func (r *reference) tokens() (n int) {
	for _, w := range r.windows {
		n += len(w)
	}
	return n
}

// windows cuts what is read into pieces.
func (c *FidelityConfig) windows(m *runtime.Model) (out [][]int32, err error) {
	left, window := c.Tokens, min(c.Window, m.Config().Context)
	cut := func(ids, start []int32) {
		for len(ids) > 0 && left > 1 {
			n := min(window-len(start), len(ids), left-len(start))
			if n < 1 {
				return
			}
			out = append(out, append(append([]int32(nil), start...), ids[:n]...))
			left -= len(start) + n
			ids = ids[n:]
		}
	}
	cut(c.IDs, nil)
	if len(c.Texts) > 0 {
		tok, err := m.Tokenizer()
		if err != nil {
			return nil, err
		}
		var start []int32
		if tok.AddBOS() && tok.BOS() >= 0 {
			start = []int32{tok.BOS()}
		}
		for _, text := range c.Texts {
			cut(tok.Encode(nil, text, false), start)
		}
	}
	for _, w := range out {
		if len(w) > 1 {
			return out, nil
		}
	}
	return nil, fmt.Errorf("bench: fidelity: want at least two tokens to read, found %d", c.Tokens-left)
}

// add counts one position: the exact logits and this form's.
func (f *Fidelity) add(exact, logits []float32) {
	f.Positions++
	p, q := logSum(exact), logSum(logits)
	kl, best, found := 0.0, 0, 0
	for i := range exact {
		lp := float64(exact[i]) - p
		kl += math.Exp(lp) * (lp - (float64(logits[i]) - q))
		if exact[i] > exact[best] {
			best = i
		}
		if logits[i] > logits[found] {
			found = i
		}
	}
	f.KL += kl
	if best == found {
		f.Agreement++
	}
}

// logSum is the logarithm of the sum of exponentials.
func logSum(x []float32) float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range x {
		top = max(top, float64(v))
	}
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum)
}
