// SPDX-License-Identifier: Apache-2.0

package concepts

import (
	"cmp"
	"slices"

	"github.com/trimtab/trimtab/steering/dictionary"
)

// Mark says what a token of a text is to a concept.
type Mark uint8

// The marks.
const (
	Skip Mark = iota // counts nowhere: position 0, a special token, a massive activation
	Not
	Is
)

// Token is one token of a text as the readers see it.
type Token struct {
	Code []dictionary.Feature // in the order of indices; nil without a dictionary
	Row  []float32            // the activation; nil where no direction is fitted
	Mark Mark
}

// Sample is one text.
type Sample []Token

// Mode says which tokens of a text belong to a concept and what thresholds are for; see the package comment.
type Mode string

// The modes.
const (
	Sentence Mode = "sentence"
	Word     Mode = "word"
	Position Mode = "position"
)

// Examples are texts with a concept and without.
type Examples struct {
	Name               string
	Positive, Negative []Sample
}

// part returns the first or the last share of both lists: what is fitted on, or what is held out.
func (e *Examples) part(share float64, held bool) *Examples {
	cut := func(list []Sample) []Sample {
		n := len(list) - int(float64(len(list))*share+0.5)
		if held {
			return list[n:]
		}
		return list[:n]
	}
	return &Examples{e.Name, cut(e.Positive), cut(e.Negative)}
}

func (e *Examples) all() []Sample { return slices.Concat(e.Positive, e.Negative) }

// largest appends the n largest features of a code; of equal ones the first.
func largest(dst, code []dictionary.Feature, n int) []dictionary.Feature {
	dst = append(dst[:0], code...)
	slices.SortStableFunc(dst, func(a, b dictionary.Feature) int { return cmp.Compare(b.Value, a.Value) })
	return dst[:min(n, len(dst))]
}

// means adds up, by feature, the mean over samples of the mean over a sample's tokens with a mark, where only the top features of each token count.
func means(samples []Sample, mark Mark, top int) map[int32]float64 {
	out := map[int32]float64{}
	var buffer []dictionary.Feature
	used := 0
	for _, s := range samples {
		n := tally(s, mark)
		if n == 0 {
			continue
		}
		used++
		for _, t := range s {
			if t.Mark != mark {
				continue
			}
			buffer = largest(buffer, t.Code, top)
			for _, z := range buffer {
				out[z.Index] += float64(z.Value) / float64(n)
			}
		}
	}
	for f := range out {
		out[f] /= float64(used)
	}
	return out
}

func tally(s Sample, mark Mark) int {
	n := 0
	for _, t := range s {
		if t.Mark == mark {
			n++
		}
	}
	return n
}

// Scored is a candidate feature with the difference of its means.
type Scored struct {
	Feature int32   `json:"feature"`
	Score   float64 `json:"score"`
}

// Search returns the n features that differ most, largest first. Of every token only the top largest features count.
func Search(e *Examples, n, top int) []Scored {
	is, not := means(e.all(), Is, top), means(e.all(), Not, top)
	out := make([]Scored, 0, len(is))
	for f, m := range is {
		if score := m - not[f]; score > 0 {
			out = append(out, Scored{f, score})
		}
	}
	slices.SortFunc(out, func(a, b Scored) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Feature, b.Feature)) })
	return out[:min(n, len(out))]
}

// Order is how candidates are ranked when several concepts want the same features, as the released code names it.
type Order string

// The orders.
const (
	Original    Order = "original"     // by score
	UniqueFirst Order = "unique-first" // those that the fewest concepts want come first
	UniqueOnly  Order = "unique-only"  // those of one concept alone
)

// Reorder ranks the candidates of all concepts.
func Reorder(lists [][]Scored, order Order) {
	wanted := map[int32]int{}
	for _, list := range lists {
		for _, c := range list {
			wanted[c.Feature]++
		}
	}
	for i := range lists {
		switch order {
		case UniqueFirst:
			slices.SortStableFunc(lists[i], func(a, b Scored) int { return wanted[a.Feature] - wanted[b.Feature] })
		case UniqueOnly:
			lists[i] = slices.DeleteFunc(lists[i], func(c Scored) bool { return wanted[c.Feature] > 1 })
		}
	}
}
