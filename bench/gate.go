// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
	"strings"
)

// Change is a row whose ratio lies outside the interval that a baseline had for it.
type Change struct {
	Section  string
	Row      string
	Ratio    float64
	Baseline float64
	Interval [2]float64 // of the baseline, widened by the tolerance
	Worse    bool
}

// String says what has changed in one line.
func (c Change) String() string {
	return fmt.Sprintf("%s: %s: ratio %.3f, baseline %.3f (%s)", c.Section, c.Row, c.Ratio, c.Baseline, span(c.Interval[0], c.Interval[1]))
}

// RegressionError says which rows have become slower than a baseline allows.
type RegressionError struct{ Changes []Change }

func (e *RegressionError) Error() string {
	lines := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		lines[i] = c.String()
	}
	return fmt.Sprintf("bench: %d rows are slower than the baseline allows: %s", len(lines), strings.Join(lines, "; "))
}

// Against compares every ratio with a baseline's interval, widened on both sides by a share of the baseline's ratio, and returns the rows outside. For this
// project's rows more than the interval is worse; for a peer's, which says how much longer the peer takes, less is. Rows that only one report has are not
// compared, nor those that show the noise, nor peers with hooks of their own; an error says that none are in both, or that the reports are of different models.
func (r *Report) Against(baseline *Report, tolerance float64) ([]Change, error) {
	if r.Model != baseline.Model {
		return nil, fmt.Errorf("bench: baseline: want one of %s, found one of %s", r.Model, baseline.Model)
	}
	var out []Change
	compared := 0
	for i := range r.Sections {
		s := &r.Sections[i]
		for j := range s.Results {
			x := &s.Results[j]
			old := baseline.find(s, x.Name)
			if old == nil || j == 0 || x.Hooked || x.Name == s.Results[0].Name+again {
				continue
			}
			compared++
			slack := tolerance * old.Ratio
			c := Change{s.Title, x.Name, x.Ratio, old.Ratio, [2]float64{old.Interval[0] - slack, old.Interval[1] + slack}, (x.Ratio > old.Ratio) == (x.Peer == "")}
			if x.Ratio < c.Interval[0] || x.Ratio > c.Interval[1] {
				out = append(out, c)
			}
		}
	}
	if compared == 0 {
		return nil, errors.New("bench: baseline: want rows that this run has too, found none: use the same suites, contexts and prompt")
	}
	return out, nil
}

// find returns the row of the same name in a section of the same title and clock.
func (r *Report) find(like *Section, row string) *Result {
	for i := range r.Sections {
		s := &r.Sections[i]
		if s.Title != like.Title || s.Suite != like.Suite || s.Clock != like.Clock {
			continue
		}
		for j := range s.Results {
			if s.Results[j].Name == row {
				return &s.Results[j]
			}
		}
	}
	return nil
}

// Regressed returns the error of those changes that are for the worse, nil where there are none.
func Regressed(changes []Change) error {
	var worse []Change
	for _, c := range changes {
		if c.Worse {
			worse = append(worse, c)
		}
	}
	if len(worse) == 0 {
		return nil
	}
	return &RegressionError{worse}
}
