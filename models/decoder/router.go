// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"fmt"
	"math"

	"github.com/trimtab/trimtab/models/onnx"
)

// routing is the experts of each token: ids int64 and weights float32, both [1, s, used], the largest weight first.
type routing struct {
	ids, weights string
	total        string // [1, s, 1]: by what factor masks change the sum of the weights behind its division; "" where no mask acts
}

// route chooses experts from router logits, [1, s, experts]. It is the one place that chooses between one node of the project's own and standard ones.
func (b *builder) route(i int, logits string) routing {
	var masks []Mask
	if b.o.Masks != nil {
		masks = b.o.Masks(i)
	}
	if b.o.PackedBytes != nil {
		return b.routeNode(i, logits, masks)
	}
	return b.routePlain(i, logits, masks)
}

// routeNode is the operator Route of cgo/ort: a dozen small nodes cost more than what they compute, and a mask would add as many.
func (b *builder) routeNode(i int, logits string, masks []Mask) routing {
	e := &b.d.Experts
	op, inputs, of := "Route", []string{logits}, onnx.Attr{Name: "masks", Value: len(masks)}
	table, site := "", 0
	if b.o.Steps != nil {
		table, site = b.o.Steps(i)
	}
	if table != "" {
		op, inputs, of = "RouteEach", append(inputs, table), onnx.Attr{Name: "site", Value: site}
	}
	bias, biased := b.routerBias(i)
	if biased {
		inputs = append(inputs, bias)
	}
	for _, m := range masks {
		inputs = append(inputs, m.Strength, m.Low, m.Lift, m.Before, m.After)
	}
	scale := e.Scale
	if scale == 0 {
		scale = 1
	}
	out := b.AddN(op, "trimtab", 3, inputs,
		onnx.Attr{Name: "experts", Value: e.Count}, onnx.Attr{Name: "used", Value: e.Used}, onnx.Attr{Name: "score", Value: int(e.Score)},
		onnx.Attr{Name: "normalise", Value: number(e.Normalise)}, onnx.Attr{Name: "scale", Value: scale}, onnx.Attr{Name: "groups", Value: max(e.Groups, 1)},
		onnx.Attr{Name: "groups_used", Value: e.GroupsUsed}, onnx.Attr{Name: "group_top", Value: e.GroupTop},
		onnx.Attr{Name: "biased", Value: number(biased)}, of)
	r := routing{ids: out[0], weights: out[1]}
	if len(masks) > 0 || table != "" {
		r.total = out[2]
	}
	return r
}

// routePlain is the same in standard operators.
func (b *builder) routePlain(i int, logits string, masks []Mask) routing {
	e := &b.d.Experts
	for _, m := range masks {
		logits = b.op("Add", logits, b.op("Mul", m.Strength, m.Low))
	}
	scores := b.scores(logits)
	choice, biased := b.choice(i, logits, scores)
	for _, m := range masks {
		choice = b.op("Add", choice, b.op("Mul", m.Strength, m.Lift))
	}
	top := b.top(b.limitGroups(choice), e.Used)
	weights, ids := top[0], top[1]
	if biased || len(masks) > 0 {
		weights, ids = b.inOrder(b.gather(scores, ids), ids) // the choice went by other numbers than the weights
	}
	weights = b.factors(weights, ids, scores, masks, func(m Mask) string { return m.Before })
	if e.Normalise {
		sum := b.op("Add", b.sum(weights, -1, true), b.number(1e-20))
		weights = b.op("Div", weights, sum)
	}
	weights = b.scaled(weights, e.Scale)
	if len(masks) == 0 {
		return routing{ids: ids, weights: weights}
	}
	final := b.factors(weights, ids, scores, masks, func(m Mask) string { return m.After })
	total := b.op("Div", b.sum(final, -1, true), b.op("Add", b.sum(weights, -1, true), b.number(1e-20)))
	final, ids = b.inOrder(final, ids)
	return routing{ids, final, total}
}

// inOrder sorts the chosen experts by weight.
func (b *builder) inOrder(weights, ids string) (string, string) {
	byWeight := b.top(weights, b.d.Experts.Used)
	return byWeight[0], b.gather(ids, byWeight[1])
}

// factors multiplies the chosen weights by what masks say: max(0, 1 + strength · change), which is exactly 1 at strength 0.
func (b *builder) factors(weights, ids, scores string, masks []Mask, of func(Mask) string) string {
	for _, m := range masks {
		factor := b.op("Relu", b.op("Add", b.op("Mul", m.Strength, of(m)), b.number(1)))
		// One strength for all rows gives one row of factors; the gather wants one a row of ids.
		weights = b.op("Mul", weights, b.gather(b.op("Expand", factor, b.op("Shape", scores)), ids))
	}
	return weights
}

func (b *builder) scores(logits string) string {
	if b.d.Experts.Score == Sigmoid {
		return b.op("Sigmoid", logits)
	}
	return b.Add("Softmax", "", []string{logits}, onnx.Attr{Name: "axis", Value: -1})
}

// choice is what experts are compared by: their scores, plus a bias where the model has one. An expert whose logit is minus infinity stays out.
func (b *builder) choice(i int, logits, scores string) (string, bool) {
	bias, ok := b.routerBias(i)
	if !ok {
		return scores, false
	}
	biased := b.op("Add", scores, bias)
	return b.op("Where", b.op("IsInf", logits), logits, biased), true
}

func (b *builder) routerBias(i int) (string, bool) {
	name := b.name(i, "exp_probs_b.bias")
	bias, ok := b.vector(name, b.d.Experts.Count)
	if !ok {
		return "", false
	}
	return b.floats(name, bias), true
}

// limitGroups leaves only the experts of the best groups in the running.
func (b *builder) limitGroups(choice string) string {
	e := &b.d.Experts
	if e.Groups <= 1 {
		return choice
	}
	grouped := b.heads(choice, e.Groups, e.Count/e.Groups)
	best := b.sum(b.top(grouped, e.GroupTop)[0], -1, false)
	chosen := b.sum(b.oneHot(b.top(best, e.GroupsUsed)[1], e.Groups), -2, false)
	open := b.op("Greater", b.op("Unsqueeze", chosen, b.ints(-1)), b.number(0))
	return b.flat(b.op("Where", open, grouped, b.number(float32(math.Inf(-1)))), e.Count)
}

// top returns the k largest values of the last dimension, the largest first, and where they stand.
func (b *builder) top(x string, k int) []string {
	return b.AddN("TopK", "", 2, []string{x, b.ints(k)}, onnx.Attr{Name: "axis", Value: -1})
}

func (b *builder) gather(x, at string) string {
	return b.Add("GatherElements", "", []string{x, at}, onnx.Attr{Name: "axis", Value: -1})
}

func (b *builder) sum(x string, axis int, keep bool) string {
	return b.Add("ReduceSum", "", []string{x, b.ints(axis)}, onnx.Attr{Name: "keepdims", Value: number(keep)})
}

// oneHot is 1 at each of the given places of n, in a new last dimension, and 0 elsewhere.
func (b *builder) oneHot(at string, n int) string {
	return b.Add("OneHot", "", []string{at, b.int(n), b.floats("off on", []float32{0, 1})}, onnx.Attr{Name: "axis", Value: -1})
}

// watch offers values that can only be read to the caller; whole numbers are shown as float32. What stands at expert_ids has run before router_weights is made,
// which nodes without readers do not promise by themselves.
func (b *builder) watch(i int, ids, weights string) {
	if b.o.At == nil {
		return
	}
	k := b.d.Experts.Used
	wanted := func(point string) bool { return b.o.Watched == nil || b.o.Watched(point, i) }
	seen := ""
	if wanted("expert_ids") {
		seen = b.site("expert_ids", i, b.cast(ids, onnx.Float), k, AllRows)
	}
	if !wanted("router_weights") {
		return
	}
	if seen == "" {
		b.site("router_weights", i, b.op("Identity", weights), k, AllRows)
		return
	}
	b.site("router_weights", i, b.op("Add", weights, b.op("Mul", seen, b.number(0))), k, AllRows)
}

// expertName is one expert's tensor in files that keep experts apart, such as blk.3.ffn_gate.5.weight.
func (b *builder) expertName(i int, part string, expert int, kind string) string {
	return b.name(i, fmt.Sprintf("ffn_%s.%d.%s", part, expert, kind))
}
