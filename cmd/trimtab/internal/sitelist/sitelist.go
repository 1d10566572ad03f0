// SPDX-License-Identifier: Apache-2.0

// Package sitelist prints which sites a model has, and why it lacks others, in one short table.
package sitelist

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/trimtab/trimtab/hooks"
)

// Row is what blocks have in common at one point: a width, or a reason why the site is missing.
type Row struct {
	Point   hooks.Point `json:"point"`
	Layers  string      `json:"layers,omitempty"` // such as 0-29; empty for a point that stands once a model
	Width   int         `json:"width,omitempty"`
	Missing string      `json:"missing,omitempty"`
}

// Rows lists every point in the order of the forward pass; a point whose blocks differ takes several rows.
func Rows(sh *hooks.Shape) []Row {
	var out []Row
	for _, p := range hooks.Points() {
		if !p.PerLayer() {
			out = append(out, row(sh, hooks.Once(p)))
			continue
		}
		out = append(out, perLayer(sh, p)...)
	}
	return out
}

// perLayer joins neighbouring blocks that are alike.
func perLayer(sh *hooks.Shape, p hooks.Point) []Row {
	var out []Row
	for from := 0; from < sh.Layers; {
		one, to := row(sh, hooks.At(p, from)), from+1
		for to < sh.Layers && row(sh, hooks.At(p, to)) == one {
			to++
		}
		one.Layers = fmt.Sprint(from)
		if to > from+1 {
			one.Layers = fmt.Sprintf("%d-%d", from, to-1)
		}
		out = append(out, one)
		from = to
	}
	return out
}

func row(sh *hooks.Shape, s hooks.Site) Row {
	if width, ok := sh.Widths[s]; ok {
		return Row{Point: s.Point, Width: width}
	}
	reason := sh.Missing[s]
	if reason == "" {
		reason = "the model has no such site"
	}
	return Row{Point: s.Point, Missing: reason}
}

// Table prints rows in columns.
func Table(rows []Row) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		site := string(r.Point)
		if r.Layers != "" {
			site += "." + r.Layers
		}
		what := fmt.Sprintf("width %d", r.Width)
		if r.Missing != "" {
			what = "missing: " + r.Missing
		}
		fmt.Fprintf(w, "%s\t%s\n", site, what)
	}
	_ = w.Flush() // into memory
	return b.String()
}
