// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
)

// repeatable are the suites whose comparisons [Config.Processes] repeats: where a process happens to lie in memory shifts all ratios of one by up to a hundredth,
// which no number of rounds in it can show.
var repeatable = []Suite{SuiteSpeed, SuiteOverhead, SuiteBatch}

// repeated runs the comparisons of several new processes, one after the other, and joins what they report.
func (s *suite) repeated() error {
	suites := slices.DeleteFunc(slices.Clone(s.c.Suites), func(x Suite) bool { return !slices.Contains(repeatable, x) })
	if len(suites) == 0 || !s.probes(suites[0]) {
		return nil
	}
	q := question{
		Suites: suites, Rounds: max(s.c.Rounds/s.c.Processes, 1), Contexts: s.c.Contexts, Prompt: s.c.Prompt, Sessions: s.c.Sessions, Clock: s.c.Clock,
		Peers: s.c.Peers, PeerModels: s.c.PeerModels,
	}
	if s.c.Rows != nil {
		q.Rows = s.c.Rows.String()
	}
	var all []*Report
	for i := range s.c.Processes {
		s.c.Progress(fmt.Sprintf("%v: process %d of %d", suites, i+1, s.c.Processes))
		var r *Report
		err := s.process(s.ctx, q, func(answers *json.Decoder) error { return answers.Decode(&r) })
		if err != nil {
			return err
		}
		all = append(all, r)
		for _, n := range r.Notes {
			s.note("%s", n)
		}
	}
	s.describe(all[0].Model, all[0].Machine.ORT)
	s.report.Machine.Peers = all[0].Machine.Peers
	s.report.Sections = append(s.report.Sections, joined(all)...)
	return nil
}

// report answers with what the suites of the question find in this process.
func (q *question) report(ctx context.Context, out io.Writer) error {
	rows, err := regexp.Compile(q.Rows)
	if err != nil {
		return err
	}
	r, err := Run(ctx, q.Path, Config{
		Model: q.model(), Suites: q.Suites, Rounds: q.Rounds, Contexts: q.Contexts, Prompt: q.Prompt, Sessions: q.Sessions, Clock: q.Clock, Rows: rows,
		Dictionaries: q.Dictionaries, Peers: q.Peers, PeerModels: q.PeerModels,
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

// joined has a row for each that a process reports: medians of the processes' figures, and as interval the least and the largest of their ratios.
func joined(all []*Report) (out []Section) {
	for i := range all[0].Sections {
		sec := all[0].Sections[i]
		rows := sec.Results
		sec.Results, sec.Processes = nil, len(all)
		for j := range rows {
			var same []*Result
			for _, r := range all {
				if x := r.find(&sec, rows[j].Name); x != nil {
					same = append(same, x)
				}
			}
			sec.Results = append(sec.Results, join(same))
		}
		out = append(out, sec)
	}
	return out
}

// join is one row of several processes.
func join(rows []*Result) Result {
	out := *rows[0]
	of := func(field func(*Result) float64, q float64) float64 {
		x := make([]float64, len(rows))
		for i, r := range rows {
			x[i] = field(r)
		}
		return quantile(x, q)
	}
	ratio := func(r *Result) float64 { return r.Ratio }
	beside := func(r *Result) float64 { return r.BesideOf }
	out.Median = of(func(r *Result) float64 { return r.Median }, 0.5)
	out.CPU = of(func(r *Result) float64 { return r.CPU }, 0.5)
	out.Ratio, out.Interval = of(ratio, 0.5), [2]float64{of(ratio, 0), of(ratio, 1)}
	out.Spread = [2]float64{of(func(r *Result) float64 { return r.Spread[0] }, 0.5), of(func(r *Result) float64 { return r.Spread[1] }, 0.5)}
	out.Bytes = of(func(r *Result) float64 { return r.Bytes }, 0.5)
	if out.Beside != "" {
		out.BesideOf, out.BesideFrom = of(beside, 0.5), [2]float64{of(beside, 0), of(beside, 1)}
	}
	out.AttachMS = of(func(r *Result) float64 { return r.AttachMS }, 0.5)
	out.NativeMB = of(func(r *Result) float64 { return r.NativeMB }, 0.5)
	return out
}
