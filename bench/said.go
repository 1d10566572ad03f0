// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"

	"github.com/trimtab/trimtab/runtime"
)

// fidelity measures what every form loses, on the texts that were given or on what the model says itself.
func (s *suite) fidelity() error {
	c := FidelityConfig{
		Model: s.c.Model, Quants: []runtime.Quant{runtime.Keep, runtime.Q8, runtime.Q4}, Kernels: []runtime.Kernels{runtime.Own, runtime.ORT},
		KVs: []runtime.KV{runtime.KVHalf, runtime.KVFull, runtime.KVInt8}, Texts: s.c.Texts,
	}
	var err error
	if len(c.Texts) == 0 {
		if c.IDs, err = s.said(256); err != nil {
			return err
		}
	}
	s.c.Progress("fidelity")
	s.report.Fidelity, err = MeasureFidelity(s.ctx, s.path, c)
	return err
}

// said is what the model says where nothing was said: a text that it finds likely.
func (s *suite) said(n int) (ids []int32, err error) {
	m, err := s.open(s.c.Model)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	e, err := newEngine(m)
	if err != nil {
		return nil, err
	}
	defer e.close()
	ids = []int32{0}
	if tok, err := m.Tokenizer(); err == nil && tok.BOS() >= 0 {
		ids[0] = tok.BOS()
	}
	o := runtime.Options{Sampling: runtime.Sampling{Temperature: 1, TopP: 0.95, Seed: 1}, MaxTokens: n, IgnoreEOS: true}
	for t, err := range e.session.Generate(s.ctx, ids[:1:1], o) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, t.ID)
	}
	return ids, nil
}
