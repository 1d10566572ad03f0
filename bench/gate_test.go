// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"strings"
	"testing"
)

// gated is a report of one section with a row that a baseline has at 1.10 (1.05-1.15), and a peer's at 2 (1.9-2.1).
func gated(row, peer float64) *Report {
	return &Report{Model: "m", Sections: []Section{{Suite: SuiteOverhead, Title: "hooks", Clock: ClockWall, Results: []Result{
		{Name: "none", Ratio: 1, Interval: [2]float64{1, 1}},
		{Name: "none again", Ratio: row * row, Interval: [2]float64{row * row, row * row}}, // noise, which no gate looks at
		{Name: "vector", Ratio: row, Interval: [2]float64{row - 0.05, row + 0.05}},
		{Name: "other", Peer: "other", Ratio: peer, Interval: [2]float64{peer - 0.1, peer + 0.1}},
		{Name: "other with hooks", Peer: "other", Hooked: true, Ratio: 100 * row, Interval: [2]float64{1, 2}},
	}}}}
}

func TestAgainst(t *testing.T) {
	for _, c := range []struct {
		name      string
		row, peer float64
		tolerance float64
		want      []string // changes; worse ones with a !
	}{
		{"the same", 1.10, 2, 0, nil},
		{"within", 1.149, 1.91, 0, nil},
		{"slower", 1.16, 2, 0, []string{"!vector"}},
		{"faster", 1.04, 2, 0, []string{"vector"}},
		{"slower than a peer", 1.10, 1.85, 0, []string{"!other"}},
		{"faster than a peer", 1.10, 2.2, 0, []string{"other"}},
		{"both", 1.5, 1.5, 0, []string{"!vector", "!other"}},
		{"within the tolerance", 1.16, 1.85, 0.03, nil}, // 1.15 + 0.03 · 1.10, 1.9 - 0.03 · 2
		{"beyond it", 1.19, 1.83, 0.03, []string{"!vector", "!other"}},
	} {
		changes, err := gated(c.row, c.peer).Against(gated(1.10, 2), c.tolerance)
		if err != nil {
			t.Fatal(err)
		}
		var got, worse []string
		for _, x := range changes {
			name := x.Row
			if x.Worse {
				name, worse = "!"+name, append(worse, x.Row)
			}
			got = append(got, name)
		}
		if strings.Join(got, " ") != strings.Join(c.want, " ") {
			t.Errorf("%s: changes %q, want %q", c.name, got, c.want)
		}
		err = Regressed(changes)
		var regression *RegressionError
		if errors.As(err, &regression) != (len(worse) > 0) {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, row := range worse {
			if !strings.Contains(err.Error(), "hooks: "+row+": ratio") {
				t.Errorf("%s: %v does not name %s", c.name, err, row)
			}
		}
	}
}

func TestAgainstWhatDoesNotCompare(t *testing.T) {
	r := gated(1.1, 2)
	for name, spoil := range map[string]func(*Report){
		"another model":   func(b *Report) { b.Model = "n" },
		"another title":   func(b *Report) { b.Sections[0].Title = "x" },
		"another clock":   func(b *Report) { b.Sections[0].Clock = ClockCPU },
		"no sections":     func(b *Report) { b.Sections = nil },
		"only first rows": func(b *Report) { b.Sections[0].Results = b.Sections[0].Results[:1] },
	} {
		b := gated(1.1, 2)
		spoil(b)
		if changes, err := r.Against(b, 0); err == nil {
			t.Errorf("%s: %v, want an error", name, changes)
		}
	}
	b := gated(1.1, 2) // a row that only one has is passed over
	b.Sections[0].Results = b.Sections[0].Results[:3]
	if changes, err := r.Against(b, 0); err != nil || len(changes) != 0 {
		t.Errorf("%v, %v", changes, err)
	}
}
