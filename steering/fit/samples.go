// SPDX-License-Identifier: Apache-2.0

package fit

import (
	"errors"
	"fmt"
	"math"
)

// Side tells which kind of text a row comes from.
type Side int

// The two kinds. Where texts come in pairs, the i-th positive belongs to the i-th negative.
const (
	Positive Side = iota
	Negative
)

// Samples holds the activations of texts of both kinds at some sites. It is filled by one goroutine; then any number may read it.
type Samples struct {
	sites, width int
	sides        [2]store
}

// budget is how many bytes of one side stay in memory before rows go to a file.
const budget = 32 << 20

// NewSamples returns an empty set for activations of one width at a number of sites.
func NewSamples(sites, width int) (*Samples, error) {
	if sites < 1 || width < 1 {
		return nil, fmt.Errorf("fit: samples: want a site and a width of at least 1, found %d and %d", sites, width)
	}
	return newSamples(sites, width, max(1, budget/(4*sites*width))), nil
}

func newSamples(sites, width, rows int) *Samples {
	s := &Samples{sites: sites, width: width}
	for i := range s.sides {
		s.sides[i] = store{sites: sites, width: width, rows: rows}
	}
	return s
}

// Sites returns the number of sites.
func (s *Samples) Sites() int { return s.sites }

// Width returns how many numbers a row has.
func (s *Samples) Width() int { return s.width }

// Len returns the number of texts of a side.
func (s *Samples) Len(side Side) int { return s.sides[side].count }

// Paired tells whether there are as many texts of each kind, so that they can be pairs.
func (s *Samples) Paired() bool { return s.Len(Positive) == s.Len(Negative) }

// Add copies the rows of one text, one a site in the order of the sites.
func (s *Samples) Add(side Side, rows [][]float32) error {
	if len(rows) != s.sites {
		return fmt.Errorf("fit: samples: want rows of %d sites, found %d", s.sites, len(rows))
	}
	for i, row := range rows {
		if len(row) != s.width {
			return fmt.Errorf("fit: samples: site %d: want %d numbers, found %d", i, s.width, len(row))
		}
		for _, v := range row {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				return fmt.Errorf("fit: samples: site %d: want finite numbers, found %v", i, v)
			}
		}
	}
	return s.sides[side].add(rows)
}

// Close gives the temporary files back.
func (s *Samples) Close() error {
	return errors.Join(s.sides[Positive].close(), s.sides[Negative].close())
}
