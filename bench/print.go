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
	fmt.Fprintf(w, "%s\n%s\n", r.Model, r.Machine.line())
	for _, t := range r.tables() {
		fmt.Fprintf(w, "\n%s\n", t.title)
		lines := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(lines, strings.Join(t.head, "\t"))
		for _, row := range t.rows {
			fmt.Fprintln(lines, strings.Join(row, "\t"))
		}
		lines.Flush()
		for _, line := range t.below {
			fmt.Fprintln(w, line)
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "\nnote: %s\n", n)
	}
}

// Markdown writes the report as tables of Markdown.
func (r *Report) Markdown(w io.Writer) {
	fmt.Fprintf(w, "%s; %s\n", r.Model, r.Machine.line())
	for _, t := range r.tables() {
		fmt.Fprintf(w, "\n%s:\n\n", t.title)
		fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(t.head, " | "), strings.Repeat("---|", len(t.head)))
		for _, row := range t.rows {
			fmt.Fprintf(w, "| %s |\n", cells(row))
		}
		for _, line := range t.below {
			fmt.Fprintf(w, "\n%s\n", line)
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "\nNote: %s\n", n)
	}
}

// line is the machine in words.
func (m *Machine) line() string {
	out := fmt.Sprintf("%s, %d processors, %s", m.CPU, m.CPUs, m.OS)
	if m.Kernel != "" {
		out += " " + m.Kernel
	}
	out += fmt.Sprintf(", %s, ONNX Runtime %s, kernels %s", m.Go, m.ORT, m.ISA)
	if m.Trimtab != "" {
		out += ", trimtab " + m.Trimtab
	}
	for _, p := range m.Peers {
		out += ", " + p
	}
	return out
}

// PrintBenchmarks writes every counted step as a line that benchstat reads, https://pkg.go.dev/golang.org/x/perf/benchfmt: the time of a token and what it
// allocated. Of a report that was read from a file, which has no steps, it writes medians.
func (r *Report) PrintBenchmarks(w io.Writer) {
	fmt.Fprintf(w, "goos: %s\ncpu: %s\n", r.Machine.OS, r.Machine.CPU)
	for i := range r.Sections {
		s := &r.Sections[i]
		n := float64(s.Tokens)
		line := func(x *Result, wall, cpu, bytes float64) {
			fmt.Fprintf(w, "Benchmark%s/%s %d %.0f ns/op %.0f cpu-ns/op %.0f B/op\n", word(s.Title), word(x.Name), s.Tokens, wall*1e6/n, cpu*1e6/n, bytes/n)
		}
		for j := range s.Results {
			x := &s.Results[j]
			for _, one := range x.samples {
				line(x, ms(one.Wall), ms(one.CPU), float64(one.Bytes))
			}
			if len(x.samples) == 0 {
				line(x, x.Median, x.CPU, x.Bytes)
			}
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

// cells joins a row of a table of Markdown.
func cells(row []string) string {
	out := make([]string, len(row))
	for i, c := range row {
		out[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	return strings.Join(out, " | ")
}
