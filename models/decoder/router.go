// SPDX-License-Identifier: Apache-2.0

package decoder

import (
	"fmt"
	"math"

	"github.com/trimtab/trimtab/models/onnx"
)

// route chooses experts from router logits, [1, s, experts]: ids int64 and weights float32, both [1, s, used], the largest weight first.
func (b *builder) route(i int, logits string) (ids, weights string) {
	e := &b.d.Experts
	scores := b.scores(logits)
	choice, biased := b.choice(i, logits, scores)
	top := b.top(b.limitGroups(choice), e.Used)
	weights, ids = top[0], top[1]
	if biased {
		// The choice went by other numbers than the weights.
		byWeight := b.top(b.gather(scores, ids), e.Used)
		weights, ids = byWeight[0], b.gather(ids, byWeight[1])
	}
	if e.Normalise {
		sum := b.op("Add", b.sum(weights, -1, true), b.number(1e-20))
		weights = b.op("Div", weights, sum)
	}
	return ids, b.scaled(weights, e.Scale)
}

func (b *builder) scores(logits string) string {
	if b.d.Experts.Score == Sigmoid {
		return b.op("Sigmoid", logits)
	}
	return b.Add("Softmax", "", []string{logits}, onnx.Attr{Name: "axis", Value: -1})
}

// choice is what experts are compared by: their scores, plus a bias where the model has one. An expert whose logit is minus infinity stays out.
func (b *builder) choice(i int, logits, scores string) (string, bool) {
	bias, ok := b.vector(b.name(i, "exp_probs_b.bias"), b.d.Experts.Count)
	if !ok {
		return scores, false
	}
	biased := b.op("Add", scores, b.floats(b.name(i, "exp_probs_b.bias"), bias))
	return b.op("Where", b.op("IsInf", logits), logits, biased), true
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

// watch offers values that can only be read to the caller; whole numbers are shown as float32.
func (b *builder) watch(i int, ids, weights string) {
	if b.o.At == nil {
		return
	}
	k := b.d.Experts.Used
	b.site("expert_ids", i, b.cast(ids, onnx.Float), k, AllRows)
	b.site("router_weights", i, b.op("Identity", weights), k, AllRows)
}

// expertName is one expert's tensor in files that keep experts apart, such as blk.3.ffn_gate.5.weight.
func (b *builder) expertName(i int, part string, expert int, kind string) string {
	return b.name(i, fmt.Sprintf("ffn_%s.%d.%s", part, expert, kind))
}
