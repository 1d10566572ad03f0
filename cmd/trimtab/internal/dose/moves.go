// SPDX-License-Identifier: Apache-2.0

package dose

import (
	"fmt"
	"math"
	"slices"

	"github.com/trimtab/trimtab/hooks"
)

// Written returns the sites that hooks may change on a model of this shape, in forward order.
func Written(sh *hooks.Shape, list ...hooks.Hook) ([]hooks.Site, error) {
	var out []hooks.Site
	add := func(s hooks.Site) error {
		site, err := sh.Resolve(s)
		if err == nil && !slices.Contains(out, site) {
			out = append(out, site)
		}
		return err
	}
	for _, h := range list {
		plan, err := h.Bind(sh)
		if err != nil {
			return nil, err
		}
		for i := range plan.Edits {
			if err := add(plan.Edits[i].Site); err != nil {
				return nil, err
			}
		}
		for i := range plan.Taps {
			if plan.Taps[i].ReadOnly {
				continue
			}
			if err := add(plan.Taps[i].Site); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(out, hooks.Compare)
	return out, nil
}

// Moves shows what hooks that are attached between its own two do to each site.
type Moves struct {
	Sites []hooks.Site
	// See is called behind the hooks with a site's number and the rows as they were in front of them. It may write a.Data unless ReadOnly is set.
	See      func(site int, a *hooks.Activation, before []float32) error
	ReadOnly bool
	before   [][]rows // by site: what is still to be seen behind the hooks
}

// rows are those of one call of a tap. A graph without a cache runs earlier passes again, each in a call of its own, all of a site's before the next tap's.
type rows struct {
	first int
	data  []float32
}

// First is to be attached in front of the hooks.
func (m *Moves) First() hooks.Hook {
	m.before = make([][]rows, len(m.Sites))
	return m.hook("before", func(i int, a *hooks.Activation) error {
		k := m.kept(i, a.First)
		if k < 0 {
			k = m.kept(i, seen)
		}
		if k < 0 {
			k = len(m.before[i])
			m.before[i] = append(m.before[i], rows{})
		}
		r := &m.before[i][k]
		r.first, r.data = a.First, append(r.data[:0], a.Data...)
		return nil
	})
}

// seen is the first position of rows whose memory may be used again.
const seen = -1

// kept returns the rows that begin at a position, or -1.
func (m *Moves) kept(site, first int) int {
	return slices.IndexFunc(m.before[site], func(r rows) bool { return r.first == first })
}

// Last is to be attached behind the hooks.
func (m *Moves) Last() hooks.Hook {
	return m.hook("after", func(i int, a *hooks.Activation) error {
		k := m.kept(i, a.First)
		if k < 0 || len(m.before[i][k].data) != len(a.Data) {
			return fmt.Errorf("dose: %s: want the %d rows from position %d on in front of the hooks too, found others", a.Site, len(a.Rows), a.First)
		}
		r := &m.before[i][k]
		r.first = seen
		return m.See(i, a, r.data)
	})
}

func (m *Moves) hook(name string, see func(site int, a *hooks.Activation) error) hooks.Hook {
	return hooks.HookFunc(func(*hooks.Shape) (hooks.Plan, error) {
		var plan hooks.Plan
		for i, site := range m.Sites {
			plan.Taps = append(plan.Taps, hooks.Tap{Name: name, Site: site, ReadOnly: m.ReadOnly, Func: func(a *hooks.Activation) error { return see(i, a) }})
		}
		return plan, nil
	})
}

// Moved is the length of a row's change and of the row before it.
func Moved(after, before []float32) (change, length float64) {
	for i, x := range before {
		d := float64(after[i]) - float64(x)
		change += d * d
		length += float64(x) * float64(x)
	}
	return math.Sqrt(change), math.Sqrt(length)
}

// last row of logits or of an activation.
func lastRow(a *hooks.Activation) []float32 { return a.Row(len(a.Rows) - 1) }

// Reader returns a hook that calls see with the last row of a site in every pass, and changes nothing.
func Reader(site hooks.Site, see func(row []float32)) hooks.Hook {
	return hooks.HookFunc(func(*hooks.Shape) (hooks.Plan, error) {
		return hooks.Plan{Taps: []hooks.Tap{{Name: "read", Site: site, ReadOnly: true, Func: func(a *hooks.Activation) error {
			see(lastRow(a))
			return nil
		}}}}, nil
	})
}
