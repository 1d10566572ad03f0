// SPDX-License-Identifier: Apache-2.0

package gather

import (
	"context"
	"errors"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// Pool reads texts one after the other and keeps of each the mean of some of its tokens' activations at several sites; one goroutine at a time may use it.
type Pool struct {
	session *runtime.Session
	keep    []bool
	count   int
	sums    [][]float64
	rows    [][]float32
}

// NewPool opens a session of its own for sites of one width.
func NewPool(m *runtime.Model, sites []hooks.Site) (*Pool, error) {
	s, err := m.NewSession()
	if err != nil {
		return nil, err
	}
	p := &Pool{session: s}
	var plan hooks.Plan
	for i, site := range sites {
		width := m.Shape().Widths[site]
		p.sums, p.rows = append(p.sums, make([]float64, width)), append(p.rows, make([]float32, width))
		plan.Taps = append(plan.Taps, hooks.Tap{Name: "gather", Site: site, ReadOnly: true, Func: func(a *hooks.Activation) error {
			p.take(p.sums[i], a)
			return nil
		}})
	}
	if _, err := s.Attach(hooks.HookFunc(func(*hooks.Shape) (hooks.Plan, error) { return plan, nil })); err != nil {
		s.Close()
		return nil, err
	}
	return p, nil
}

// Close gives the session back.
func (p *Pool) Close() { p.session.Close() }

func (p *Pool) take(sum []float64, a *hooks.Activation) {
	for i := range a.Rows {
		if !p.keep[a.First+i] {
			continue
		}
		for j, v := range a.Row(i) {
			sum[j] += float64(v)
		}
	}
}

// Read runs tokens alone and returns a row a site: the mean over the tokens that keep marks. The rows are BORROWED until the next call.
func (p *Pool) Read(ctx context.Context, ids []int32, keep []bool) ([][]float32, error) {
	p.keep, p.count = keep, 0
	for _, k := range keep {
		if k {
			p.count++
		}
	}
	if p.count == 0 {
		return nil, errors.New("want a token to read, found none")
	}
	for _, sum := range p.sums {
		clear(sum)
	}
	p.session.Forget()
	if err := p.session.Read(ctx, ids, nil); err != nil {
		return nil, err
	}
	for i, sum := range p.sums {
		for j, v := range sum {
			p.rows[i][j] = float32(v / float64(p.count))
		}
	}
	return p.rows, nil
}
