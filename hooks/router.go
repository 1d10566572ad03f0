// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Router is how a block chooses experts. Shared experts have no number and no mask can name them.
type Router struct {
	Experts    int     // to choose from, numbered from 0
	Used       int     // by one token; 0 where an export does not say
	Groups     int     // experts compete within the best GroupsUsed of so many groups of equal size; 0 or 1 is one group
	GroupsUsed int     //
	GroupTop   int     // a group is as good as the sum of its so many best experts
	Sigmoid    bool    // scores are sigmoids of the logits rather than their softmax
	Normalise  bool    // the chosen weights are divided by their sum
	Scale      float32 // then multiplies them; 0 is 1
	Node       string  // of an export: what chooses, where only the logits in front of it can be changed; "" otherwise
}

// Closed and Forced are the entries of a Route's first direction that take an expert out of the running and put it before all others. They are
// far beyond every router's logits and small enough that sums of a few stay exact in their sign.
const (
	Closed = -1e9
	Forced = 1e9
)

// Choose is the plain form of what a graph does: the experts that a row of logits chooses under masks, the largest weight first, and their weights.
// bias is added to scores for the choice alone and may be nil; edits other than Route are not looked at.
func (r *Router) Choose(logits, bias []float32, masks []Edit) (ids []int, weights []float32) {
	low, lift := make([]float64, r.Experts), make([]float64, r.Experts)
	before, after := filled(r.Experts), filled(r.Experts)
	for i := range masks {
		if masks[i].Op == Route {
			masks[i].mask(low, lift, before, after)
		}
	}
	scores := r.scores(logits, low)
	choice := slices.Clone(scores)
	for e := range choice {
		if bias != nil {
			choice[e] += float64(bias[e])
		}
		choice[e] += lift[e]
	}
	ids = topOf(r.inGroups(choice), r.Used)
	w := make([]float64, r.Experts)
	sum := 0.0
	for _, e := range ids {
		w[e] = scores[e] * before[e]
		sum += w[e]
	}
	for _, e := range ids {
		if r.Normalise && sum > 0 {
			w[e] /= sum
		}
		if r.Scale != 0 {
			w[e] *= float64(r.Scale)
		}
		w[e] *= after[e]
	}
	slices.SortStableFunc(ids, func(a, b int) int { return cmp.Compare(w[b], w[a]) })
	for _, e := range ids {
		weights = append(weights, float32(w[e]))
	}
	return ids, weights
}

func filled(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

// mask adds what a Route does to what others do.
func (e *Edit) mask(low, lift, before, after []float64) {
	c := max(float64(e.Strength.Value()), 0)
	for i, x := range e.Directions[0] {
		low[i] += c * float64(min(x, 0))
		lift[i] += c * float64(x)
		before[i] *= max(1+c*float64(e.Directions[1][i]-1), 0)
		after[i] *= max(1+c*float64(e.Directions[2][i]-1), 0)
	}
}

func (r *Router) scores(logits []float32, low []float64) []float64 {
	out := make([]float64, r.Experts)
	most := math.Inf(-1)
	for e := range out {
		out[e] = float64(logits[e]) + low[e]
		most = max(most, out[e])
	}
	sum := 1.0
	if !r.Sigmoid {
		sum = 0
		for _, x := range out {
			sum += math.Exp(x - most)
		}
	}
	for e, x := range out {
		if r.Sigmoid {
			out[e] = 1 / (1 + math.Exp(-x))
		} else {
			out[e] = math.Exp(x-most) / sum
		}
	}
	return out
}

// inGroups leaves only the experts of the best groups in the running.
func (r *Router) inGroups(choice []float64) []float64 {
	if r.Groups <= 1 {
		return choice
	}
	size := r.Experts / r.Groups
	rank := make([]float64, r.Groups)
	for g := range rank {
		group := choice[g*size : (g+1)*size]
		for _, e := range topOf(group, r.GroupTop) {
			rank[g] += group[e]
		}
	}
	best := topOf(rank, r.GroupsUsed)
	out := slices.Clone(choice)
	for e := range out {
		if !slices.Contains(best, e/size) {
			out[e] = math.Inf(-1)
		}
	}
	return out
}

// topOf returns where the k largest values stand, the largest first, of equal ones the first.
func topOf(v []float64, k int) []int {
	at := make([]int, len(v))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(a, b int) int { return cmp.Compare(v[b], v[a]) })
	return at[:k]
}

// MaskError says that the masks of a session leave a block's router no choice that it could make.
type MaskError struct {
	Model string
	Layer int
	Want  string
	Got   string
}

func (e *MaskError) Error() string {
	return fmt.Sprintf("hooks: experts of block %d of %s: want %s, found %s", e.Layer, e.Model, e.Want, e.Got)
}

// CheckMasks returns a *MaskError where the masks among edits, taken together in one phase and at any strength, close more experts of a block than leaves
// the number that a token uses, force more than that, or do both to one expert. The edits must have passed Check and have resolved sites.
func (sh *Shape) CheckMasks(edits []*Edit) error {
	for _, phase := range []Phase{Prefill, Decode} {
		masked := map[int]*masked{}
		for _, e := range edits {
			if (e.Op == Route || e.Op == Raise) && (e.Where.Phases == 0 || e.Where.Phases&phase != 0) {
				gather(masked, e, sh.Widths[e.Site])
			}
		}
		for _, layer := range slices.Sorted(maps.Keys(masked)) {
			if want, got := masked[layer].fault(sh.Routers[layer]); want != "" {
				return &MaskError{Model: sh.Model, Layer: layer, Want: want, Got: got}
			}
		}
	}
	return nil
}

// masked is which experts of a block are closed, which have no weight for whatever reason, and which are forced.
type masked struct{ closed, off, on []bool }

func gather(all map[int]*masked, e *Edit, experts int) {
	m := all[e.Site.Layer]
	if m == nil {
		m = &masked{make([]bool, experts), make([]bool, experts), make([]bool, experts)}
		all[e.Site.Layer] = m
	}
	for i, x := range e.Directions[0] {
		m.on[i] = m.on[i] || x > 0
		m.closed[i] = m.closed[i] || e.Op == Route && x < 0
		m.off[i] = m.off[i] || x < 0 || e.Op == Route && (e.Directions[1][i] == 0 || e.Directions[2][i] == 0)
	}
}

func (m *masked) fault(r *Router) (want, got string) {
	off, on := 0, 0
	for e := range m.off {
		if m.on[e] && m.off[e] {
			return "each expert either forced or switched off", fmt.Sprintf("both for expert %d", e)
		}
		off, on = off+number(m.off[e]), on+number(m.on[e])
	}
	switch {
	case r.Experts-off < r.Used:
		return fmt.Sprintf("at least the %d experts that a token uses left on", r.Used), fmt.Sprintf("%d of %d off", off, r.Experts)
	case on > r.Used:
		return fmt.Sprintf("at most the %d experts that a token uses forced", r.Used), fmt.Sprintf("%d", on)
	case r.Groups > 1:
		return m.faultInGroups(r)
	}
	return "", ""
}

// faultInGroups wants enough experts in the worst choice of groups that the router can make. It prefers groups that have the experts it rates them by.
func (m *masked) faultInGroups(r *Router) (want, got string) {
	size, forced := r.Experts/r.Groups, 0
	open := make([]int, r.Groups)
	for g := range open {
		on := false
		for e := g * size; e < (g+1)*size; e++ {
			open[g] += number(!m.closed[e])
			on = on || m.on[e]
		}
		forced += number(on)
	}
	slices.SortFunc(open, func(a, b int) int {
		return cmp.Or(cmp.Compare(min(b, r.GroupTop), min(a, r.GroupTop)), cmp.Compare(a, b))
	})
	left := 0
	for _, n := range open[:r.GroupsUsed] {
		left += n
	}
	switch {
	case left < r.Used:
		return fmt.Sprintf("the %d experts that a token uses left in any %d of the %d groups", r.Used, r.GroupsUsed, r.Groups), fmt.Sprintf("%d", left)
	case forced > r.GroupsUsed:
		return fmt.Sprintf("forced experts in at most %d of the %d groups", r.GroupsUsed, r.Groups), fmt.Sprintf("some in %d", forced)
	}
	return "", ""
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
