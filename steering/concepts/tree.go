// SPDX-License-Identifier: Apache-2.0

package concepts

import (
	"fmt"
	"slices"

	"github.com/trimtab/trimtab/steering/dictionary"
)

// Tree is a binary decision tree over values of features. Children stand behind their parents, so that a walk ends whatever a file says.
type Tree struct {
	Nodes []Node `json:"nodes"`
}

// Node is a question, or a leaf where Left is 0.
type Node struct {
	Feature int32   `json:"feature"`
	Limit   float32 `json:"limit"` // up to here the walk goes left
	Left    int     `json:"left,omitempty"`
	Right   int     `json:"right,omitempty"`
	Share   float64 `json:"share"` // of a leaf: how much of its weight the concept's tokens have
}

func (t *Tree) value(code []dictionary.Feature, top int) float64 {
	at := 0
	for t.Nodes[at].Left != 0 {
		n := &t.Nodes[at]
		if valueOf(code, n.Feature, top) <= n.Limit {
			at = n.Left
		} else {
			at = n.Right
		}
	}
	return t.Nodes[at].Share
}

func (t *Tree) check(features int) error {
	if len(t.Nodes) == 0 {
		return fmt.Errorf("want a tree with at least one node, found none")
	}
	for i, n := range t.Nodes {
		if n.Left == 0 && n.Right == 0 {
			continue
		}
		if n.Left <= i || n.Right <= i || n.Left >= len(t.Nodes) || n.Right >= len(t.Nodes) || n.Feature < 0 || int(n.Feature) >= features {
			return fmt.Errorf("tree: node %d: want children behind it and a feature of the dictionary, found nodes %d and %d and feature %d", i, n.Left, n.Right, n.Feature)
		}
	}
	return nil
}

// point is one token that a tree is grown from.
type point struct {
	values []float32 // by candidate
	weight float64   // both classes weigh the same in all
	is     bool
}

// smallestLeaf keeps a tree from telling single tokens apart.
const smallestLeaf = 5

// grow makes a tree by the largest fall of the Gini impurity at each node.
func grow(candidates []int32, points []point, depth int) *Tree {
	t := &Tree{}
	t.split(candidates, points, depth)
	return t
}

// split appends a node for points, and its children behind it.
func (t *Tree) split(candidates []int32, points []point, depth int) int {
	at := len(t.Nodes)
	all, is := weigh(points)
	t.Nodes = append(t.Nodes, Node{Share: is / max(all, 1e-300)})
	if depth == 0 || is == 0 || is == all {
		return at
	}
	feature, limit, ok := bestSplit(len(candidates), points)
	if !ok {
		return at
	}
	var left, right []point
	for _, p := range points {
		if p.values[feature] <= limit {
			left = append(left, p)
		} else {
			right = append(right, p)
		}
	}
	t.Nodes[at].Feature, t.Nodes[at].Limit = candidates[feature], limit
	l := t.split(candidates, left, depth-1)
	r := t.split(candidates, right, depth-1)
	t.Nodes[at].Left, t.Nodes[at].Right = l, r
	return at
}

func weigh(points []point) (all, is float64) {
	for _, p := range points {
		all += p.weight
		if p.is {
			is += p.weight
		}
	}
	return all, is
}

// bestSplit finds the question that leaves the least impurity; of equal ones the first.
func bestSplit(candidates int, points []point) (feature int, limit float32, ok bool) {
	all, is := weigh(points)
	best := impurity(all, is) - 1e-12
	sorted := slices.Clone(points)
	for f := range candidates {
		slices.SortStableFunc(sorted, func(a, b point) int { return compare(a.values[f], b.values[f]) })
		left, leftIs := 0.0, 0.0
		for i := 0; i+1 < len(sorted); i++ {
			p := &sorted[i]
			left += p.weight
			if p.is {
				leftIs += p.weight
			}
			next := sorted[i+1].values[f]
			if p.values[f] == next || i+1 < smallestLeaf || len(sorted)-i-1 < smallestLeaf {
				continue
			}
			if now := impurity(left, leftIs) + impurity(all-left, is-leftIs); now < best {
				best, feature, limit, ok = now, f, p.values[f]+(next-p.values[f])/2, true
			}
		}
	}
	return feature, limit, ok
}

// impurity is Gini's, times the weight.
func impurity(all, is float64) float64 {
	if all <= 0 {
		return 0
	}
	return 2 * is * (all - is) / all
}

func compare(a, b float32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
