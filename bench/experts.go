// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"maps"
	"slices"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/experts"
)

// expertKinds are the kinds of a model that has experts: none where it has not.
func expertKinds(sh *hooks.Shape) []Kind {
	var all []experts.Expert
	for _, layer := range slices.Sorted(maps.Keys(sh.Routers)) {
		if r := sh.Routers[layer]; r.Used > 0 && r.Experts > r.Used {
			all = append(all, experts.Expert{Layer: layer})
		}
	}
	if len(all) == 0 {
		return nil
	}
	mask := func(name string, mode experts.Mode, list []experts.Expert) Kind {
		return Kind{Name: name, make: func() (hooks.Hook, error) { return steering.NewMasking(experts.Of(mode, 0, list)), nil }}
	}
	out := []Kind{
		mask("expert mask at one layer (off-replace)", experts.OffReplace, all[len(all)/2:][:1]),
		mask("expert masks at all layers (off-replace)", experts.OffReplace, all),
	}
	if sh.Routers[all[0].Layer].Node == "" {
		out = append(out, mask("expert masks at all layers (off-drop)", experts.OffDrop, all))
	}
	return append(out, Kind{Name: "experts:watch", make: func() (hooks.Hook, error) { return steering.Load("experts:watch") }})
}
