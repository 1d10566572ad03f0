// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"context"
	"fmt"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// Reader runs sequences through a model and hands over the activations of one site. One goroutine at a time may use it.
type Reader struct {
	session *runtime.Session
	width   int
	dst     []float32
}

// NewReader opens a session that watches a site.
func NewReader(m *runtime.Model, site hooks.Site) (*Reader, error) {
	width, err := m.Shape().SiteWidth(site)
	if err != nil {
		return nil, err
	}
	r := &Reader{width: width}
	if r.session, err = m.NewSession(); err != nil {
		return nil, err
	}
	tap := hooks.Tap{Name: "read", Site: site, ReadOnly: true, Func: func(a *hooks.Activation) error {
		r.dst = append(r.dst, a.Data...)
		return nil
	}}
	plan := hooks.Plan{Taps: []hooks.Tap{tap}}
	if _, err := r.session.Attach(hooks.HookFunc(func(*hooks.Shape) (hooks.Plan, error) { return plan, nil })); err != nil {
		r.session.Close()
		return nil, err
	}
	return r, nil
}

// Width returns the numbers of an activation.
func (r *Reader) Width() int { return r.width }

// Rows appends the activations of ids, run from an empty cache, to dst.
func (r *Reader) Rows(ctx context.Context, dst []float32, ids []int32) ([]float32, error) {
	r.session.Forget()
	r.dst = dst
	err := r.session.Read(ctx, ids, nil)
	out := r.dst
	r.dst = nil
	if err == nil && len(out) != len(dst)+len(ids)*r.width {
		err = fmt.Errorf("corpus: want %d activations, found %d", len(ids), (len(out)-len(dst))/r.width)
	}
	return out, err
}

// Close gives the session back.
func (r *Reader) Close() { r.session.Close() }

// Source is a corpus that a trainer asks for activations.
type Source struct {
	Corpus   *Corpus
	Reader   *Reader
	Progress func(done, total int64) // called with the tokens read so far; nil is silent
	read     int64
}

// Texts returns the number of sequences.
func (s *Source) Texts() int { return len(s.Corpus.Sequences) }

// Length returns the number of tokens of a sequence.
func (s *Source) Length(i int) int { return len(s.Corpus.Sequences[i].IDs) }

// Rows appends the activations of a sequence to dst.
func (s *Source) Rows(ctx context.Context, dst []float32, i int) ([]float32, error) {
	ids := s.Corpus.Sequences[i].IDs
	s.read += int64(len(ids))
	if s.Progress != nil {
		total := int64(s.Corpus.Tokens)
		s.Progress((s.read-1)%total+1, total)
	}
	return s.Reader.Rows(ctx, dst, ids)
}
