// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"context"
	"fmt"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// Watch runs sequences through a model and keeps the activations of several sites. One goroutine at a time may use it.
type Watch struct {
	session *runtime.Session
	widths  []int
	rows    [][]float32
}

// NewWatch opens a session that watches sites.
func NewWatch(m *runtime.Model, sites []hooks.Site) (*Watch, error) {
	w := &Watch{widths: make([]int, len(sites)), rows: make([][]float32, len(sites))}
	var plan hooks.Plan
	for i, site := range sites {
		width, err := m.Shape().SiteWidth(site)
		if err != nil {
			return nil, err
		}
		w.widths[i] = width
		plan.Taps = append(plan.Taps, hooks.Tap{Name: "watch", Site: site, ReadOnly: true, Func: func(a *hooks.Activation) error {
			w.rows[i] = append(w.rows[i], a.Data...)
			return nil
		}})
	}
	var err error
	if w.session, err = m.NewSession(); err != nil {
		return nil, err
	}
	if _, err := w.session.Attach(hooks.HookFunc(func(*hooks.Shape) (hooks.Plan, error) { return plan, nil })); err != nil {
		w.session.Close()
		return nil, err
	}
	return w, nil
}

// Run runs ids from an empty cache.
func (w *Watch) Run(ctx context.Context, ids []int32) error {
	for i := range w.rows {
		w.rows[i] = w.rows[i][:0]
	}
	w.session.Forget()
	if err := w.session.Read(ctx, ids, nil); err != nil {
		return err
	}
	for i, rows := range w.rows {
		if len(rows) != len(ids)*w.widths[i] {
			return fmt.Errorf("corpus: want %d activations, found %d", len(ids), len(rows)/w.widths[i])
		}
	}
	return nil
}

// Row returns the activation of a token of the last run at the i-th site, BORROWED until the next run.
func (w *Watch) Row(i, token int) []float32 {
	return w.rows[i][token*w.widths[i] : (token+1)*w.widths[i]]
}

// Width returns the numbers of an activation at the i-th site.
func (w *Watch) Width(i int) int { return w.widths[i] }

// Close gives the session back.
func (w *Watch) Close() { w.session.Close() }
