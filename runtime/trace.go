// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"context"
	"fmt"

	"github.com/trimtab/trimtab/hooks"
)

// TraceOptions says what a trace keeps.
type TraceOptions struct {
	Sites  []hooks.Site // sites to keep; Shape.Select makes the list
	Hooks  []hooks.Hook // hooks that act on the run, in this order
	Before bool         // keep the values as the hooks found them rather than as they left them
}

// Captured is the activation of one site over a whole sequence, in the caller's memory.
type Captured struct {
	Site  hooks.Site
	Width int
	Data  []float32 // tokens x width, row-major
}

// Trace runs ids once from an empty context and returns the activations at the chosen sites, in the order asked for.
func (m *Model) Trace(ctx context.Context, ids []int32, o TraceOptions) ([]Captured, error) {
	s, err := m.NewSession()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	out := make([]Captured, len(o.Sites))
	for i, site := range o.Sites {
		width, err := m.shape.SiteWidth(site)
		if err != nil {
			return nil, fmt.Errorf("runtime: trace: %w", err)
		}
		out[i] = Captured{Site: site, Width: width, Data: make([]float32, 0, width*len(ids))}
	}
	list := append([]hooks.Hook(nil), o.Hooks...)
	if o.Before {
		list = append([]hooks.Hook{capture(out)}, list...)
	} else {
		list = append(list, capture(out))
	}
	for _, h := range list {
		if _, err := s.Attach(h); err != nil {
			return nil, err
		}
	}
	return out, s.Read(ctx, ids, nil)
}

// capture is a hook that copies what passes its sites.
func capture(into []Captured) hooks.Hook {
	return hooks.HookFunc(func(*hooks.Shape) (hooks.Plan, error) {
		var p hooks.Plan
		for i := range into {
			c := &into[i]
			p.Taps = append(p.Taps, hooks.Tap{Name: "capture", Site: c.Site, ReadOnly: true, Func: func(a *hooks.Activation) error {
				c.Data = append(c.Data, a.Data...)
				return nil
			}})
		}
		return p, nil
	})
}
