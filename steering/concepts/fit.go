// SPDX-License-Identifier: Apache-2.0

package concepts

import (
	"fmt"
	"math"

	"github.com/trimtab/trimtab/steering/dictionary"
)

// Options say how concepts are fitted; Defaults has those of the released code where it has one.
type Options struct {
	Kind       Kind
	Mode       Mode
	Aggregate  Aggregate
	Order      Order
	Candidates int     // features that the search keeps, and that count of every token while it searches
	Features   int     // of multi
	Depth      int     // of a tree
	Top        int     // of the reader
	Held       float64 // share of the texts, the last ones, that only measures
}

// Defaults are ten candidates, five features, a tree of depth five (search_top_k, tree_depth in ar/config.py) and three tenths of the texts held out.
func Defaults() Options {
	return Options{Kind: Multi, Mode: Sentence, Aggregate: Max, Order: Original, Candidates: 10, Features: 5, Depth: 5, Held: 0.3}
}

// Check refuses what cannot be fitted.
func (o *Options) Check() error {
	one := func(name string, got string, want ...string) error {
		for _, w := range want {
			if got == w {
				return nil
			}
		}
		return fmt.Errorf("concepts: %s: want one of %v, found %q", name, want, got)
	}
	for _, err := range []error{
		one("reader", string(o.Kind), string(Single), string(Multi), string(Relation), string(Direction)),
		one("mode", string(o.Mode), string(Sentence), string(Word), string(Position)),
		one("aggregate", string(o.Aggregate), string(Max), string(Mean)),
		one("order", string(o.Order), string(Original), string(UniqueFirst), string(UniqueOnly)),
	} {
		if err != nil {
			return err
		}
	}
	if o.Candidates < 1 || o.Features < 1 || o.Depth < 1 || o.Top < 0 || !(o.Held > 0 && o.Held < 1) {
		return fmt.Errorf("concepts: want at least 1 candidate, feature and level, top of at least 0 and a held-out share between 0 and 1, found %d, %d, %d, %d, %g",
			o.Candidates, o.Features, o.Depth, o.Top, o.Held)
	}
	return nil
}

// Fit finds a concept for each of the examples, in their order.
func Fit(list []Examples, o Options) ([]Concept, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	train := make([]*Examples, len(list))
	found := make([][]Scored, len(list))
	for i := range list {
		train[i] = list[i].part(o.Held, false)
		if err := train[i].enough(); err != nil {
			return nil, err
		}
		if o.Kind != Direction {
			found[i] = Search(train[i], o.Candidates, o.Candidates)
		}
	}
	Reorder(found, o.Order)
	out := make([]Concept, len(list))
	for i := range list {
		c := &out[i]
		c.Name, c.Mode, c.Candidates = list[i].Name, o.Mode, found[i]
		if err := c.fit(train[i], o); err != nil {
			return nil, fmt.Errorf("concepts: %s: %w", c.Name, err)
		}
		c.measure(train[i], list[i].part(o.Held, true))
	}
	return out, nil
}

func (e *Examples) enough() error {
	if is, not := 0, 0; true {
		for _, s := range e.all() {
			is, not = is+tally(s, Is), not+tally(s, Not)
		}
		if is == 0 || not == 0 {
			return fmt.Errorf("concepts: %s: want tokens with the concept and without in the texts that are fitted on, found %d and %d", e.Name, is, not)
		}
	}
	return nil
}

// fit makes the reader, without its threshold, and the lever's directions.
func (c *Concept) fit(train *Examples, o Options) error {
	c.Reader = Reader{Kind: o.Kind, Aggregate: o.Aggregate, Top: o.Top}
	if o.Kind == Direction {
		c.Reader.Direction = difference(train.all())
		c.Lever = Lever{Direction: c.Reader.Direction, Norm: 2}
		return nil
	}
	if len(c.Candidates) == 0 {
		return fmt.Errorf("want a feature that is larger with the concept than without, found none")
	}
	n := 1
	if o.Kind != Single {
		n = min(o.Features, len(c.Candidates))
	}
	features, weights := shares(c.Candidates[:n])
	c.Lever = Lever{Features: features, Weights: weights, Combine: "sum", Norm: 2}
	if o.Kind == Relation {
		c.Reader.Tree = c.tree(train, o)
		return nil
	}
	c.Reader.Features, c.Reader.Weights = features, weights
	return nil
}

// shares weighs features by their scores, to a sum of 1.
func shares(list []Scored) (features []int32, weights []float64) {
	sum := 0.0
	for _, s := range list {
		sum += s.Score
	}
	for _, s := range list {
		features, weights = append(features, s.Feature), append(weights, s.Score/sum)
	}
	return features, weights
}

// difference is the unit direction from the mean of the tokens without the concept to that of those with it, each text counting the same.
func difference(samples []Sample) []float32 {
	var out []float64
	for _, side := range []struct {
		mark Mark
		sign float64
	}{{Is, 1}, {Not, -1}} {
		used := 0
		for _, s := range samples {
			if tally(s, side.mark) > 0 {
				used++
			}
		}
		for _, s := range samples {
			out = addMean(out, s, side.mark, side.sign/float64(used))
		}
	}
	length := 0.0
	for _, v := range out {
		length += v * v
	}
	unit := make([]float32, len(out))
	for i, v := range out {
		unit[i] = float32(v / max(math.Sqrt(length), 1e-30))
	}
	return unit
}

func addMean(sum []float64, s Sample, mark Mark, by float64) []float64 {
	n := float64(tally(s, mark))
	for _, t := range s {
		if t.Mark != mark {
			continue
		}
		if sum == nil {
			sum = make([]float64, len(t.Row))
		}
		for i, v := range t.Row {
			sum[i] += by * float64(v) / n
		}
	}
	return sum
}

// tree grows a tree on tokens, both classes weighing the same.
func (c *Concept) tree(train *Examples, o Options) *Tree {
	candidates := make([]int32, len(c.Candidates))
	for i, s := range c.Candidates {
		candidates[i] = s.Feature
	}
	var points []point
	is := 0
	for _, s := range train.all() {
		for _, t := range s {
			if t.Mark == Skip {
				continue
			}
			points = append(points, point{values: pick(t.Code, candidates, o.Top), is: t.Mark == Is})
			if t.Mark == Is {
				is++
			}
		}
	}
	for i := range points {
		points[i].weight = 0.5 / float64(len(points)-is)
		if points[i].is {
			points[i].weight = 0.5 / float64(is)
		}
	}
	return grow(candidates, points, o.Depth)
}

func pick(code []dictionary.Feature, features []int32, top int) []float32 {
	out := make([]float32, len(features))
	for i, f := range features {
		out[i] = valueOf(code, f, top)
	}
	return out
}

// measure sets the threshold on the texts that were fitted on and tries the reader on the others.
func (c *Concept) measure(train, held *Examples) {
	cases := c.Cases(train)
	c.Reader.Threshold, c.Train.Balanced = Threshold(cases)
	c.Train.Is, c.Train.Not = count(cases)
	c.Train.AUROC = AUROC(cases)
	if math.IsInf(c.Reader.Threshold, 1) {
		c.Reader.Threshold = math.MaxFloat64 // JSON has no infinity
	}
	cases = c.Cases(held)
	c.Held.AUROC, c.Held.Balanced = AUROC(cases), Balanced(cases, c.Reader.Threshold)
	c.Held.Is, c.Held.Not = count(cases)
	for _, q := range []*Quality{&c.Train, &c.Held} {
		if math.IsNaN(q.AUROC) {
			q.AUROC = 0 // one side is missing: the counts say so
		}
	}
}

// Cases scores texts, in word mode tokens.
func (c *Concept) Cases(e *Examples) []Case {
	var out []Case
	for _, s := range e.all() {
		if c.Mode != Word {
			is := tally(s, Is) > 0
			if is || tally(s, Not) > 0 {
				out = append(out, Case{c.Reader.Score(s), is})
			}
			continue
		}
		for i, t := range s {
			if t.Mark != Skip {
				out = append(out, Case{c.Reader.Score(s[i : i+1]), t.Mark == Is})
			}
		}
	}
	return out
}

// Score is the aggregate over the tokens of a text that count, of none -Inf or, of a mean, 0.
func (r *Reader) Score(s Sample) float64 {
	sum, most, n := 0.0, math.Inf(-1), 0
	for _, t := range s {
		if t.Mark == Skip {
			continue
		}
		v := r.Value(t.Code, t.Row)
		sum, most, n = sum+v, max(most, v), n+1
	}
	if r.Aggregate == Mean {
		return sum / float64(max(n, 1))
	}
	return most
}
