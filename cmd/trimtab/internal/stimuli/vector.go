// SPDX-License-Identifier: Apache-2.0

package stimuli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/fit"
)

// Vector puts the directions of a method together, with where they come from in its notes. Sites are those of the layers, by index.
func Vector(name string, sh *hooks.Shape, sites []hooks.Site, list []fit.Layer, m fit.Method) (*steering.Vector, error) {
	blocks := map[int][]float32{}
	var aurocs []string
	for _, l := range list {
		f := l.Of(m)
		blocks[sites[l.Site].Layer] = f.Vector
		aurocs = append(aurocs, fmt.Sprintf("%d:%s", sites[l.Site].Layer, strconv.FormatFloat(f.AUROC, 'f', 3, 64)))
	}
	v, err := steering.NewVector(name, blocks)
	if err != nil {
		return nil, err
	}
	v.Hint, v.BaseModel, v.Method, v.Point = sh.Family, sh.Model, string(m), sites[0].Point
	v.Notes["held_auroc"] = strings.Join(aurocs, " ")
	return v, nil
}

// Suggest names the suggested sites as a spec does, "" where there are none, and the reason.
func Suggest(sh *hooks.Shape, sites []hooks.Site, list []fit.Layer, m fit.Method) (at, reason string, r fit.Range) {
	r = fit.Suggest(list, m, func(site int) int { return sites[site].Layer }, sh.Layers)
	if r.First < 0 {
		return "", r.Reason, r
	}
	at = sites[r.First].String()
	if r.Last > r.First {
		at = fmt.Sprintf("%s-%d", at, sites[r.Last].Layer)
	}
	return at, r.Reason, r
}
