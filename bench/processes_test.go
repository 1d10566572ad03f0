// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"regexp"
	"testing"
)

// TestProcessesShareTheRounds: two processes report the rows that one does.
func TestProcessesShareTheRounds(t *testing.T) {
	path := tiny(t)
	c := small(SuiteSpeed, SuiteOverhead)
	c.Rows = regexp.MustCompile("^(vector at one layer|one site observed)$")
	one := measured(t, path, c)
	c.Processes, c.Rounds, c.Probe = 2, 4, probing(t)
	two := measured(t, path, c)
	if len(one.Sections) != len(two.Sections) || one.Model != two.Model {
		t.Fatalf("%d sections of %s, want %d of %s", len(two.Sections), two.Model, len(one.Sections), one.Model)
	}
	for i, s := range two.Sections {
		if s.Processes != 2 || s.Title != one.Sections[i].Title || len(s.Results) != len(one.Sections[i].Results) {
			t.Errorf("section %q of %d processes with %d rows, want %q with %d", s.Title, s.Processes, len(s.Results), one.Sections[i].Title, len(one.Sections[i].Results))
		}
	}
	c.Probe = nil
	if r, err := Run(t.Context(), path, c); err != nil || len(r.Sections) != 0 || len(r.Notes) != 1 {
		t.Errorf("without a command to start: %v, report %+v", err, r)
	}
}

func TestJoin(t *testing.T) {
	row := func(ratio, median float64) *Report {
		return &Report{Sections: []Section{{Title: "t", Results: []Result{{Name: "a", Ratio: 1}, {Name: "b", Ratio: ratio, Median: median, Beside: "a", BesideOf: ratio / 2}}}}}
	}
	lost := row(0, 0)
	lost.Sections[0].Results = lost.Sections[0].Results[:1] // whose peer failed
	sections := joined([]*Report{row(1.25, 3), row(1.0625, 1), row(1.125, 9), lost})
	if len(sections) != 1 || len(sections[0].Results) != 2 || sections[0].Processes != 4 {
		t.Fatalf("joined: %+v", sections)
	}
	b := sections[0].Results[1]
	if b.Ratio != 1.125 || b.Interval != [2]float64{1.0625, 1.25} || b.Median != 3 || b.BesideOf != 0.5625 || b.BesideFrom != [2]float64{0.53125, 0.625} {
		t.Errorf("joined row: %+v", b)
	}
}
