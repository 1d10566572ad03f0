// SPDX-License-Identifier: Apache-2.0

package itda

import (
	"fmt"

	"github.com/trimtab/trimtab/steering/dictionary"
)

// Sources are the tokens that atoms were taken from, by sequence and position. Atoms of unknown source are none of them.
type Sources map[[2]int]bool

// SourcesOf returns the sources of several dictionaries together: those of a whole model, where they are of all its layers.
func SourcesOf(list ...*dictionary.Dictionary) Sources {
	out := Sources{}
	for _, d := range list {
		for _, a := range d.Atoms {
			if a.Known() {
				out[[2]int{a.Text, a.Position}] = true
			}
		}
	}
	return out
}

// Overlap is how far two sets of sources agree.
type Overlap struct {
	Shared  int     `json:"shared"`  // in both
	Either  int     `json:"either"`  // in one or both
	Jaccard float64 `json:"jaccard"` // Shared / Either, 0 of nothing (davidkaczer/itda layer_similarity.py)
}

// Overlap compares two sets.
func (s Sources) Overlap(t Sources) Overlap {
	o := Overlap{Either: len(s) + len(t)}
	for at := range s {
		if t[at] {
			o.Shared++
			o.Either--
		}
	}
	if o.Either > 0 {
		o.Jaccard = float64(o.Shared) / float64(o.Either)
	}
	return o
}

// CompareError says why the sources of two dictionaries are not of the same tokens.
type CompareError struct {
	A, B string // names of the dictionaries
	What string // that differs
	Has  [2]string
}

func (e *CompareError) Error() string {
	return fmt.Sprintf("itda: compare %s with %s: want sources in the same texts, tokenised alike, found another %s: %s and %s (fit both on the same files with the same settings)",
		e.A, e.B, e.What, e.Has[0], e.Has[1])
}

// Comparable returns nil where the sources of two dictionaries mean the same tokens, and else a *CompareError.
func Comparable(a, b *dictionary.Dictionary) error {
	fault := func(what string, x, y any) error {
		return &CompareError{A: a.Name, B: b.Name, What: what, Has: [2]string{fmt.Sprint(x), fmt.Sprint(y)}}
	}
	for _, d := range []*dictionary.Dictionary{a, b} {
		if len(SourcesOf(d)) == 0 || d.Facts == nil {
			return fmt.Errorf("itda: compare: %s: want the sources of its atoms, found none (it is %s)", d.Name, d.Format)
		}
	}
	x, y := a.Facts, b.Facts
	switch {
	case x.Texts != y.Texts:
		return fault("collection of texts", x.Texts, y.Texts)
	case a.Address.Context != b.Address.Context:
		return fault("length of pieces", a.Address.Context, b.Address.Context)
	case (x.Digest == "") != (y.Digest == ""):
		return fault("way of saying which tokens were read (one does not)", x.Digest, y.Digest)
	case x.Digest == "":
		return nil // the original layout says no more
	case x.Sequences != y.Sequences:
		return fault("number of sequences", x.Sequences, y.Sequences)
	case x.Digest != y.Digest:
		return fault("tokenisation or order", x.Digest, y.Digest)
	}
	return nil
}
