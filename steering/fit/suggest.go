// SPDX-License-Identifier: Apache-2.0

package fit

import (
	"fmt"
	"math"
)

// Range is a suggested run of neighbouring sites.
type Range struct {
	First, Last int    // indices of sites; -1 where none can be suggested
	Reason      string // in words
}

// What makes layers fit for steering: they tell held-out texts apart nearly as well as the best one does, neighbours agree on what the direction is, and
// enough blocks follow for the change to be worked with (Arditi et al. leave the last fifth out as well, arXiv 2406.11717).
const (
	useless   = 0.6  // AUROC that chance reaches
	nearly    = 0.05 // of the best AUROC
	agreeing  = 0.5  // cosine of neighbours
	lateShare = 0.8  // of the model's blocks
)

// Suggest chooses a run of sites by a method's measures. layer returns the block of a site; of says how many blocks the model has.
func Suggest(list []Layer, m Method, layer func(site int) int, of int) Range {
	only := float64(layer(0)) >= lateShare*float64(of) // nothing but late layers was read
	early := func(i int) bool { return only || float64(layer(i)) < lateShare*float64(of) }
	best := -1
	for i := range list {
		if a := list[i].Of(m).AUROC; early(i) && !math.IsNaN(a) && (best < 0 || a > list[best].Of(m).AUROC) {
			best = i
		}
	}
	if best < 0 {
		return Range{-1, -1, "nothing was held out to choose layers by"}
	}
	top := list[best].Of(m).AUROC
	if top < useless {
		return Range{-1, -1, fmt.Sprintf("no layer tells held-out texts apart (AUROC at most %.2f, at layer %d): this vector is not likely to steer", top, layer(best))}
	}
	fits := func(i, neighbour int) bool {
		f, between := list[i].Of(m), list[min(i, neighbour)].Of(m)
		return early(i) && f.AUROC >= top-nearly && between.Next >= agreeing && layer(max(i, neighbour)) == layer(min(i, neighbour))+1
	}
	r := Range{First: best, Last: best}
	for r.First > 0 && fits(r.First-1, r.First) {
		r.First--
	}
	for r.Last < len(list)-1 && fits(r.Last+1, r.Last) {
		r.Last++
	}
	r.Reason = reason(list, m, r, best, layer, of)
	return r
}

func reason(list []Layer, m Method, r Range, best int, layer func(int) int, of int) string {
	least, cosine := 1.0, 1.0
	for i := r.First; i <= r.Last; i++ {
		least = min(least, list[i].Of(m).AUROC)
		if i < r.Last {
			cosine = min(cosine, list[i].Of(m).Next)
		}
	}
	out := fmt.Sprintf("held-out AUROC is %.2f at layer %d, the best before the last fifth of %d blocks", list[best].Of(m).AUROC, layer(best), of)
	if float64(layer(0)) >= lateShare*float64(of) {
		out = fmt.Sprintf("held-out AUROC is %.2f at layer %d, the best of the last fifth of %d blocks, where little of the model is left to work with a change",
			list[best].Of(m).AUROC, layer(best), of)
	}
	if r.First < r.Last {
		return out + fmt.Sprintf(", and at least %.2f in layers %d to %d, whose neighbours have cosines of at least %.2f", least, layer(r.First), layer(r.Last), cosine)
	}
	return out + "; its neighbours tell texts apart less well or point elsewhere"
}
