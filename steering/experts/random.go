// SPDX-License-Identifier: Apache-2.0

package experts

import (
	"fmt"
	"math/rand/v2"

	"github.com/trimtab/trimtab/hooks"
)

// Random returns a control for a mask: the same modes on as many other experts of the same blocks. It fails where a block has too few others.
func (m Mask) Random(sh *hooks.Shape, r *rand.Rand) (Mask, error) {
	blocks, err := m.resolve(sh)
	if err != nil {
		return nil, err
	}
	var out Mask
	for _, b := range blocks {
		taken := map[int]bool{}
		for _, e := range b.entries {
			taken[e.Expert.Expert] = true
		}
		var others []int
		for e := range sh.Routers[b.layer].Experts {
			if !taken[e] {
				others = append(others, e)
			}
		}
		if len(others) < len(b.entries) {
			return nil, fmt.Errorf("experts: random mask: block %d: want %d experts beside those of the mask, found %d", b.layer, len(b.entries), len(others))
		}
		r.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
		for i, e := range b.entries {
			out = append(out, Entry{Expert{b.layer, others[i]}, e.Mode, e.Value})
		}
	}
	return out, nil
}
