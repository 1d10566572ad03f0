// SPDX-License-Identifier: Apache-2.0

package dose

import (
	"fmt"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering"
)

// parts is into how many ranges the sites of a spec are cut.
const parts = 3

// Ranges returns the spec itself and, where its directions stand at many blocks, the same in the first, the middle and the last third of them.
func Ranges(spec *steering.Spec, h steering.Hook, sh *hooks.Shape) ([]*steering.Spec, error) {
	out := []*steering.Spec{spec}
	if _, ok := h.(*steering.Steering); !ok {
		return out, nil
	}
	places, err := h.Sites(sh)
	if err != nil {
		return nil, err
	}
	n := len(places)
	if n < 2*parts {
		return out, nil
	}
	for i := range places {
		if first := places[0].Site; places[i].Site != hooks.At(first.Point, first.Layer+i) {
			return out, nil
		}
	}
	for k := range parts {
		part := *spec
		part.Sites = fmt.Sprintf("%s-%d", places[k*n/parts].Site, places[(k+1)*n/parts-1].Site.Layer)
		out = append(out, &part)
	}
	return out, nil
}
