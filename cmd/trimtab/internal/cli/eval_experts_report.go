// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/chart"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/judge"
	"github.com/trimtab/trimtab/runtime"
)

// report prints the trials, and draws them where that was asked for.
func (v *evalExpertsVerb) report(m *runtime.Model, trials []*trial) error {
	rows := withMean(trials)
	if v.plot != "" {
		if err := v.draw(m, rows); err != nil {
			return err
		}
	}
	if v.json {
		return jsonTo(v.out).Encode(map[string]any{
			"model": m.Shape().Model, "prompts": len(v.trialPrompts), "benign": len(v.trialOther), "trials": trials,
		})
	}
	return v.table(rows)
}

// withMean puts the mean of random trials, if there are any, in their place; its interval is their range.
func withMean(trials []*trial) []*trial {
	if len(trials) < 3 {
		return trials
	}
	random := trials[2:]
	mean := &trial{Name: fmt.Sprintf("random, mean of %d", len(random)), Prompts: meanOutcome(random, false), Benign: meanOutcome(random, true)}
	mean.Loss = spread(random, func(t *trial) float64 { return t.Loss.Value })
	return append(trials[:2:2], mean)
}

func meanOutcome(trials []*trial, benign bool) outcome {
	of := func(t *trial) *outcome {
		if benign {
			return &t.Benign
		}
		return &t.Prompts
	}
	o := outcome{
		Classes:  map[judge.Class]int{},
		Refused:  spread(trials, func(t *trial) float64 { return of(t).Refused.Value }),
		Complete: spread(trials, func(t *trial) float64 { return of(t).Complete.Value }),
	}
	for _, t := range trials {
		for c, n := range of(t).Classes {
			o.Classes[c] += n
		}
		o.RefusedToAnswered += of(t).RefusedToAnswered
		o.AnsweredToRefused += of(t).AnsweredToRefused
	}
	for c := range o.Classes {
		o.Classes[c] /= len(trials)
	}
	o.RefusedToAnswered /= len(trials)
	o.AnsweredToRefused /= len(trials)
	return o
}

// spread is the mean of a number over trials, with the smallest and the largest.
func spread(trials []*trial, of func(*trial) float64) interval {
	out := interval{Low: of(trials[0]), High: of(trials[0])}
	for _, t := range trials {
		x := of(t)
		out.Value += x / float64(len(trials))
		out.Low, out.High = min(out.Low, x), max(out.High, x)
	}
	return out
}

func (v *evalExpertsVerb) table(rows []*trial) error {
	if len(rows) > 1 {
		fmt.Fprintf(v.out, "mask: %s\n\n", rows[1].Mask)
	}
	w := tabwriter.NewWriter(v.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%d prompts\trefused\t95 %%\tfragment\tright\tpartly\tother\trefused to answered\tanswered to refused\n", len(v.trialPrompts))
	for _, t := range rows {
		o := &t.Prompts
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", t.Name, percent(o.Refused), o.Classes[judge.Fragment], o.Classes[judge.Right], o.Classes[judge.Partly],
			o.Classes[judge.Other], o.RefusedToAnswered, o.AnsweredToRefused)
	}
	fmt.Fprintf(w, "\n%d benign\trefused\t95 %%\tall keywords\t95 %%\tanswered to refused\tloss\t95 %%\n", len(v.trialOther))
	for _, t := range rows {
		o := &t.Benign
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%.4f\t%.4f to %.4f\n", t.Name, percent(o.Refused), percent(o.Complete), o.AnsweredToRefused, t.Loss.Value, t.Loss.Low, t.Loss.High)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(rows) == 3 {
		fmt.Fprintln(v.out, "\nof random masks: mean, and smallest to largest in place of the interval")
	}
	return nil
}

// percent prints a share and, in the next column, its interval.
func percent(i interval) string {
	return fmt.Sprintf("%.1f %%\t%.1f to %.1f", 100*i.Value, 100*i.Low, 100*i.High)
}

func (v *evalExpertsVerb) draw(m *runtime.Model, rows []*trial) error {
	var names []string
	series := []chart.Series{{Name: "prompts refused"}, {Name: "benign with all keywords"}, {Name: "benign refused"}}
	for _, t := range rows {
		names = append(names, t.Name)
		for i, x := range []interval{t.Prompts.Refused, t.Benign.Complete, t.Benign.Refused} {
			series[i].Rates = append(series[i].Rates, chart.Rate{Value: x.Value, Low: x.Low, High: x.High})
		}
	}
	return chart.Rates(v.plot, m.Shape().Model, names, series)
}
