// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Print writes the report as tables for people.
func (r *Report) Print(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "%s\n%s, %d processors, %s, %s, ONNX Runtime %s, kernels %s", r.Model, m.CPU, m.CPUs, m.OS, m.Go, m.ORT, m.ISA)
	if len(m.Peers) > 0 {
		fmt.Fprintf(w, ", %s", strings.Join(m.Peers, ", "))
	}
	l := r.Load
	fmt.Fprintf(w, "\n\nload %.0f ms, then first token of 32 in %.0f ms; stored weights %.1f MB, resident %.1f MB, peak %.1f MB\n", l.OpenMS, l.FirstTokenMS, float64(l.FileBytes)/1e6, l.ResidentMB, l.PeakMB)
	fmt.Fprintf(w, "first vector attached in %.0f ms; resident memory then %+.1f MB\n", l.AttachMS, l.AttachMB)
	for _, s := range append(append([]Section(nil), r.Speed...), r.Hooks...) {
		s.print(w)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "\nnote: %s\n", n)
	}
}

func (s *Section) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s (ratios of %s time)\n", s.Title, s.Clock)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tms/token\tquartiles\ttokens/s\tratio\t95 %")
	n := float64(s.Tokens)
	for _, x := range s.Results {
		fmt.Fprintf(t, "%s\t%.3f\t%.3f-%.3f\t%.1f\t%.3f\t%.3f-%.3f\n", x.Name, x.Median/n, x.Spread[0]/n, x.Spread[1]/n, 1000*n/x.Median, x.Ratio, x.Interval[0], x.Interval[1])
	}
	t.Flush()
}

// PrintBenchmarks writes the report as lines that benchstat reads: https://pkg.go.dev/golang.org/x/perf/benchfmt
func (r *Report) PrintBenchmarks(w io.Writer) {
	fmt.Fprintf(w, "goos: %s\ncpu: %s\n", r.Machine.OS, r.Machine.CPU)
	for _, s := range append(append([]Section(nil), r.Speed...), r.Hooks...) {
		for _, x := range s.Results {
			fmt.Fprintf(w, "Benchmark%s/%s 1 %.0f ns/op %.4f ratio\n", word(s.Title), word(x.Name), x.Median*1e6, x.Ratio)
		}
	}
}

// word joins the words of a title, each with a capital.
func word(s string) string {
	var b strings.Builder
	for _, f := range strings.FieldsFunc(s, func(r rune) bool { return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9') }) {
		b.WriteString(strings.ToUpper(f[:1]) + f[1:])
	}
	return b.String()
}
