// SPDX-License-Identifier: Apache-2.0

package fidelity

import (
	"fmt"
	"math"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/tokenizer"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering/dictionary"
)

// subject is one dictionary at work: what its taps saw of the sequence that is running, and what came of those before.
type subject struct {
	d        *dictionary.Dictionary
	in, out  hooks.Site
	tok      tokenizer.Tokenizer // of a dictionary that leaves special tokens out; nil otherwise
	coder    *dictionary.ProductCoder
	codes    []dictionary.Feature
	ends     []int // of each row's code
	x, y     []float32
	fidelity *dictionary.Fidelity
	massive  dictionary.Massive
	left     [][]bool // by sequence and position
	leftOut  int
	dark     *dark
}

func newSubject(d *dictionary.Dictionary, m *runtime.Model, withDark bool) (*subject, error) {
	s := &subject{d: d, coder: d.NewProductCoder(), fidelity: d.NewFidelity()}
	var err error
	if s.in, s.out, err = place(d, m.Shape()); err != nil {
		return nil, err
	}
	if d.Address.ExcludeSpecial {
		if s.tok, err = m.Tokenizer(); err != nil {
			return nil, err
		}
	}
	if withDark {
		s.dark, err = newDark(d)
	}
	return s, err
}

// sites is where the dictionary acts, as a spec has it.
func (s *subject) sites() string {
	if s.in == s.out {
		return s.in.String()
	}
	return s.in.String() + "," + s.out.String()
}

func (s *subject) taps() []hooks.Tap {
	encoder := &hooks.Encoder{Name: s.d.Name, Rows: s.d.Form.N, Weight: s.d.Matrix(), Bits: s.d.Bits()}
	taps := []hooks.Tap{{Name: s.d.Name, Site: s.in, ReadOnly: true, Encoder: encoder, Func: func(a *hooks.Activation) error {
		s.x = append(s.x, a.Data...)
		for i := range a.Rows {
			s.codes = s.coder.Encode(s.codes, a.Row(i), a.ProductRow(i), a.Slack)
			s.ends = append(s.ends, len(s.codes))
		}
		return nil
	}}}
	if s.in != s.out {
		taps = append(taps, hooks.Tap{Name: s.d.Name, Site: s.out, ReadOnly: true, Func: func(a *hooks.Activation) error {
			s.y = append(s.y, a.Data...)
			return nil
		}})
	}
	return taps
}

// account sums up the sequence that has run.
func (s *subject) account(ids []int32, learn bool) error {
	in, out, y := s.d.Form.In, s.d.Form.Out, s.y
	if s.in == s.out {
		y = s.x
	}
	if len(s.ends) != len(ids) || len(y) != len(ids)*out {
		return fmt.Errorf("fidelity: %s: want %d activations, found %d", s.in, len(ids), len(s.ends))
	}
	s.massive.Learn(s.x, in, 0)
	left, from := make([]bool, len(ids)), 0
	for i, end := range s.ends {
		code, x, want := s.codes[from:end], s.x[i*in:(i+1)*in], y[i*out:(i+1)*out]
		from = end
		if left[i] = s.massive.Is(i, x) || s.tok != nil && s.tok.Special(ids[i]); left[i] {
			s.leftOut++
			continue
		}
		rebuilt := s.fidelity.Add(code, x, want)
		if s.dark != nil {
			s.dark.see(x, rebuilt, len(code), learn)
		}
	}
	s.left = append(s.left, left)
	s.codes, s.ends, s.x, s.y = s.codes[:0], s.ends[:0], s.x[:0], s.y[:0]
	return nil
}

func (s *subject) result(m *runtime.Model) Result {
	r := Result{Dictionary: s.d.Name, Site: s.in.String(), Quant: string(m.Config().Quant), Quality: s.fidelity.Quality(), LeftOut: s.leftOut}
	if s.in != s.out {
		r.Site += " to " + s.out.String()
	}
	if s.dark != nil {
		r.Dark = s.dark.result()
	}
	return r
}

// surprise is the cross-entropy of one token, in nats.
func surprise(logits []float32, id int32) float64 {
	top := logits[0]
	for _, v := range logits {
		top = max(top, v)
	}
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v - top))
	}
	return math.Log(sum) + float64(top) - float64(logits[id])
}
