// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"strconv"
)

// table is a part of a report as text, for every format.
type table struct {
	title string
	head  []string
	rows  [][]string
	below []string
}

// tables lists the parts that a report has.
func (r *Report) tables() (out []table) {
	if r.Load != nil {
		out = append(out, r.Load.table())
	}
	sections := func(early bool) {
		for i := range r.Sections {
			if (r.Sections[i].Suite == SuiteLoad) == early {
				out = append(out, r.Sections[i].table())
			}
		}
	}
	sections(true)
	if len(r.Memory) > 0 {
		out = append(out, memoryTable(r.Memory))
	}
	sections(false)
	if len(r.Fidelity) > 0 {
		out = append(out, fidelityTable(r.Fidelity))
	}
	return out
}

func (l *Load) table() table {
	t := table{title: fmt.Sprintf("start of a process, medians (stored weights %.1f MB)", float64(l.FileBytes)/1e6)}
	t.head = []string{"", "open, ms", fmt.Sprintf("first token of %d, ms", firstPrompt), "first vector attached, ms", "its first token, ms", "read from a disk, MB"}
	for _, row := range []struct {
		name string
		Start
	}{{"warm file", l.Warm}, {"cold file", l.Cold}} {
		if row.OpenMS == 0 {
			continue
		}
		t.rows = append(t.rows, []string{row.name, number(row.OpenMS, 0), number(row.FirstTokenMS, 0), number(row.AttachMS, 1), number(row.SteeredMS, 1), number(row.ReadMB, 1)})
	}
	return t
}

func memoryTable(list []Footprint) table {
	t := table{title: "memory of a process behind a prompt, MB", head: []string{"", "resident", "anonymous", "native", "of files", "peak", "ratio"}}
	for _, f := range list {
		t.rows = append(t.rows, []string{f.Name, number(f.Resident, 1), number(f.Anonymous, 1), filled(f.Native, 1), number(f.File, 1), filled(f.Peak, 1), number(f.Ratio, 3)})
	}
	return t
}

// table has what is of interest in a section: columns that are empty in all rows are left out.
func (s *Section) table() table {
	t := table{title: fmt.Sprintf("%s (ratios of %s time)", s.Title, s.Clock)}
	interval := "95 %"
	if s.Processes > 1 {
		interval = fmt.Sprintf("%d processes", s.Processes)
	}
	t.head = []string{"", "ms/" + s.Unit, "quartiles", s.Unit + "s/s", "ratio", interval}
	inside := s.Suite != SuiteLoad // this process
	if inside {
		t.head = append(t.head, "Go bytes/"+s.Unit)
	}
	attached, beside := false, false
	for i := range s.Results {
		attached, beside = attached || s.Results[i].AttachMS > 0, beside || s.Results[i].Beside != ""
	}
	if attached {
		t.head = append(t.head, "attach, ms", "native, MB")
	}
	if beside {
		t.head = append(t.head, "to another", interval, "which")
	}
	n := float64(s.Tokens)
	for i := range s.Results {
		x := &s.Results[i]
		row := []string{x.Name, number(x.Median/n, 3), span(x.Spread[0]/n, x.Spread[1]/n), number(1000*n/x.Median, 1), number(x.Ratio, 3), span(x.Interval[0], x.Interval[1])}
		switch {
		case inside && x.Peer == "":
			row = append(row, number(x.Bytes/n, 0))
		case inside:
			row = append(row, "")
		}
		if attached {
			row = append(row, filled(x.AttachMS, 1), filled(x.NativeMB, 1))
		}
		if beside && x.Beside == "" {
			row = append(row, "", "", "")
		} else if beside {
			row = append(row, number(x.BesideOf, 3), span(x.BesideFrom[0], x.BesideFrom[1]), x.Beside)
		}
		t.rows = append(t.rows, row)
	}
	for _, p := range s.peers() {
		if b := s.best(p); b != nil && b != &s.Results[0] {
			t.below = append(t.below, fmt.Sprintf("%s takes %.3f (%s) times as long: %s", p, b.Ratio, span(b.Interval[0], b.Interval[1]), b.Name))
		}
	}
	return t
}

func fidelityTable(list []Fidelity) table {
	t := table{title: "what forms lose against exactly expanded weights", head: []string{"quant", "kernels", "kv", "positions", "top-1", "mean KL", "NLL"}}
	for _, f := range list {
		t.rows = append(t.rows, []string{
			string(f.Quant), string(f.Kernels), string(f.KV), strconv.Itoa(f.Positions), number(100*f.Agreement, 2) + "%", number(f.KL, 6), number(f.NLL, 4),
		})
	}
	return t
}

func number(x float64, digits int) string { return strconv.FormatFloat(x, 'f', digits, 64) }

// filled leaves a figure out that there is not.
func filled(x float64, digits int) string {
	if x == 0 {
		return ""
	}
	return number(x, digits)
}

func span(low, high float64) string { return number(low, 3) + "-" + number(high, 3) }
