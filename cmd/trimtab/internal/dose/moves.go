// SPDX-License-Identifier: Apache-2.0

package dose

import (
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
	before   [][]float32
}

// First is to be attached in front of the hooks.
func (m *Moves) First() hooks.Hook {
	m.before = make([][]float32, len(m.Sites))
	return m.hook("before", func(i int, a *hooks.Activation) error {
		m.before[i] = append(m.before[i][:0], a.Data...)
		return nil
	})
}

// Last is to be attached behind the hooks.
func (m *Moves) Last() hooks.Hook {
	return m.hook("after", func(i int, a *hooks.Activation) error { return m.See(i, a, m.before[i]) })
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
