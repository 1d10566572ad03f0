// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/dose"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/steer"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
)

// condition is steering that acts only where something holds, and whether it did.
type condition struct {
	name  string
	fired bool
}

// watchConditions puts readers around every hook of the list that decides for itself whether it acts, and returns the longer list. Sessions that it is
// attached to must run one after the other.
func watchConditions(m *runtime.Model, list []hooks.Hook) ([]hooks.Hook, []*condition, error) {
	var out []hooks.Hook
	var conditions []*condition
	for _, h := range list {
		plan, err := h.Bind(m.Shape())
		if err != nil {
			return nil, nil, err
		}
		sites, err := dose.Written(m.Shape(), h)
		if err != nil {
			return nil, nil, err
		}
		if len(plan.Taps) == 0 || len(sites) == 0 {
			out = append(out, h)
			continue
		}
		c := &condition{}
		if l, ok := h.(*steer.Loaded); ok {
			c.name = l.Name()
		}
		around := &dose.Moves{Sites: sites, ReadOnly: true, See: func(_ int, a *hooks.Activation, before []float32) error {
			change, _ := dose.Moved(a.Data, before)
			c.fired = c.fired || change != 0
			return nil
		}}
		conditions = append(conditions, c)
		out = append(out, around.First(), h, around.Last())
	}
	return out, conditions, nil
}

// sayUnfired names the conditions that held nowhere.
func sayUnfired(w io.Writer, list []*condition) {
	for _, c := range list {
		if !c.fired {
			fmt.Fprintf(w, "warning: %s: never fired: it changed nothing in what was read and written\n", c.name)
		}
	}
}
