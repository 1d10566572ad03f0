// SPDX-License-Identifier: Apache-2.0

package concepts

import (
	"fmt"
	"math"
	"slices"

	"github.com/trimtab/trimtab/steering/dictionary"
)

// Kind is how a reader makes a number of a token; the package comment says what each does.
type Kind string

// The kinds.
const (
	Single    Kind = "single"
	Multi     Kind = "multi"
	Relation  Kind = "tree"
	Direction Kind = "direction"
)

// Aggregate is how the numbers of the tokens so far become one.
type Aggregate string

// The aggregates. With Max a concept holds at the tokens that reach the threshold themselves (a local proposition); with Mean it holds where the mean over
// all tokens so far does (a global one).
const (
	Max  Aggregate = "max"
	Mean Aggregate = "mean"
)

// Reader makes a number of a token. The zero value reads nothing.
type Reader struct {
	Kind      Kind      `json:"kind"`
	Features  []int32   `json:"features,omitempty"` // that single and multi sum
	Weights   []float64 `json:"weights,omitempty"`  // one a feature
	Tree      *Tree     `json:"tree,omitempty"`
	Direction []float32 `json:"direction,omitempty"` // of unit length
	Top       int       `json:"top,omitempty"`       // only the largest features of a token's code count; 0 is all
	Aggregate Aggregate `json:"aggregate"`
	Threshold float64   `json:"threshold"` // of the aggregate, itself included
}

// Value is the reader's number for one token: code is the token's, in the order of indices, x its activation. It does not allocate.
func (r *Reader) Value(code []dictionary.Feature, x []float32) float64 {
	switch r.Kind {
	case Relation:
		return r.Tree.value(code, r.Top)
	case Direction:
		sum := 0.0
		for i, d := range r.Direction {
			sum += float64(d) * float64(x[i])
		}
		return sum
	}
	sum := 0.0
	for i, f := range r.Features {
		sum += r.Weights[i] * float64(valueOf(code, f, r.Top))
	}
	return sum
}

// valueOf finds a feature in a code, 0 where it is not active or not among the top largest.
func valueOf(code []dictionary.Feature, f int32, top int) float32 {
	i, ok := slices.BinarySearchFunc(code, f, func(z dictionary.Feature, f int32) int { return int(z.Index) - int(f) })
	if !ok {
		return 0
	}
	v := code[i].Value
	if top == 0 {
		return v
	}
	larger := 0
	for j, z := range code {
		if z.Value > v || (z.Value == v && j < i) {
			larger++
		}
	}
	if larger >= top {
		return 0
	}
	return v
}

// check refuses what a file may say and no reader can do; n and width are the dictionary's.
func (r *Reader) check(n, width int) error {
	if r.Aggregate != Max && r.Aggregate != Mean {
		return fmt.Errorf("aggregate: want max or mean, found %q", r.Aggregate)
	}
	if r.Top < 0 || math.IsNaN(r.Threshold) {
		return fmt.Errorf("want top of at least 0 and a threshold, found %d and %v", r.Top, r.Threshold)
	}
	switch r.Kind {
	case Single, Multi:
		return checkWeights(r.Features, r.Weights, n)
	case Relation:
		if r.Tree == nil {
			return fmt.Errorf("want a tree, found none")
		}
		return r.Tree.check(n)
	case Direction:
		if len(r.Direction) != width {
			return fmt.Errorf("want a direction of width %d, found one of %d", width, len(r.Direction))
		}
		return nil
	}
	return fmt.Errorf("want a reader of kind single, multi, tree or direction, found %q", r.Kind)
}

func checkWeights(features []int32, weights []float64, n int) error {
	if len(features) == 0 || len(features) != len(weights) {
		return fmt.Errorf("want as many weights as features and at least one, found %d and %d", len(weights), len(features))
	}
	for _, f := range features {
		if f < 0 || int(f) >= n {
			return fmt.Errorf("want features between 0 and %d, found %d", n-1, f)
		}
	}
	return nil
}

// Reads returns the features that the reader looks at, ascending.
func (r *Reader) Reads() []int32 {
	out := slices.Clone(r.Features)
	if r.Tree != nil {
		for _, node := range r.Tree.Nodes {
			if node.Left != 0 {
				out = append(out, node.Feature)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
