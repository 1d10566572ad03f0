// SPDX-License-Identifier: Apache-2.0

package experts

import (
	"cmp"
	"errors"
	"slices"

	"github.com/trimtab/trimtab/hooks"
)

// Search grows masks expert by expert: a beam search, with Beam 1 a greedy one.
type Search struct {
	Candidates []Entry // what may be added
	Most       int     // entries of a mask
	Beam       int     // masks of one size that are grown on
	Bound      float64 // largest Loss of a mask
	// Measure says what a mask is worth and costs. A *hooks.MaskError leaves the mask out; another error ends the search.
	Measure func(m Mask) (Worth, error)
}

// Worth is what a mask does: Gain is to be large, Loss at most the bound. Of equal gains the smaller loss is better.
type Worth struct{ Gain, Loss float64 }

// Found is a mask with its worth.
type Found struct {
	Mask  Mask
	Worth Worth
}

// Run returns the best mask of each size, as long as one more expert brings more than the best before.
func (s *Search) Run() ([]Found, error) {
	beam := []Found{{}}
	var out []Found
	for size := 1; size <= s.Most; size++ {
		grown, err := s.grow(beam)
		if err != nil {
			return out, err
		}
		if len(grown) == 0 || len(out) > 0 && grown[0].Worth.Gain <= out[len(out)-1].Worth.Gain {
			break
		}
		out = append(out, grown[0])
		beam = grown[:min(len(grown), max(s.Beam, 1))]
	}
	return out, nil
}

// grow measures every mask of the beam with every candidate added, the best first.
func (s *Search) grow(beam []Found) ([]Found, error) {
	var out []Found
	seen := map[string]bool{}
	for _, f := range beam {
		for _, c := range s.Candidates {
			if slices.Contains(f.Mask.Experts(), c.Expert) {
				continue
			}
			m := append(slices.Clone(f.Mask), c)
			slices.SortFunc(m, func(a, b Entry) int {
				return cmp.Or(cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Expert.Expert, b.Expert.Expert))
			})
			if seen[m.String()] {
				continue
			}
			seen[m.String()] = true
			w, err := s.Measure(m)
			var refused *hooks.MaskError
			switch {
			case errors.As(err, &refused):
			case err != nil:
				return nil, err
			case w.Loss <= s.Bound:
				out = append(out, Found{m, w})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Found) int {
		return cmp.Or(cmp.Compare(b.Worth.Gain, a.Worth.Gain), cmp.Compare(a.Worth.Loss, b.Worth.Loss))
	})
	return out, nil
}
