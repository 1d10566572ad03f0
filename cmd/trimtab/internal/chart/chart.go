// SPDX-License-Identifier: Apache-2.0

// Package chart draws what the command measures: heat maps and rates as image files, and heat maps as text.
package chart

import (
	"fmt"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/palette/moreland"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// Grid is values by row and column; rows are named and may differ in length.
type Grid struct {
	Title, Across string // what it shows, and what its columns are
	Rows          []string
	Values        [][]float64
}

// Dims, Z, X and Y make a grid one of gonum's; the first row is drawn on top.
func (g *Grid) Dims() (c, r int) { return g.columns(), len(g.Values) }

// Z returns the value of a cell, NaN where its row is shorter.
func (g *Grid) Z(c, r int) float64 {
	row := g.Values[len(g.Values)-1-r]
	if c >= len(row) {
		return math.NaN()
	}
	return row[c]
}

// X returns the middle of a column.
func (g *Grid) X(c int) float64 { return float64(c) }

// Y returns the middle of a row, counted from below.
func (g *Grid) Y(r int) float64 { return float64(r) }

func (g *Grid) columns() int {
	n := 0
	for _, row := range g.Values {
		n = max(n, len(row))
	}
	return n
}

// farthest is the largest distance of a value from 0.
func (g *Grid) farthest() float64 {
	far := 0.0
	for _, row := range g.Values {
		for _, x := range row {
			far = max(far, math.Abs(x))
		}
	}
	return far
}

// Save draws the grid into a file whose ending names the format (.png, .svg, .pdf): blue below 0, red above.
func (g *Grid) Save(path string) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = g.Title, g.Across, "block"
	colours := moreland.SmoothBlueRed()
	far := g.farthest()
	if far == 0 {
		far = 1
	}
	colours.SetMin(-far)
	colours.SetMax(far)
	h := plotter.NewHeatMap(g, colours.Palette(255))
	h.Min, h.Max, h.NaN, h.Rasterized = -far, far, color.Transparent, g.columns()*len(g.Values) > 1<<14
	p.Add(h)
	step := 1 + len(g.Rows)/40
	var ticks []plot.Tick
	for i := 0; i < len(g.Rows); i += step {
		ticks = append(ticks, plot.Tick{Value: float64(len(g.Rows) - 1 - i), Label: g.Rows[i]})
	}
	p.Y.Tick.Marker = plot.ConstantTicks(ticks)
	width := min(max(vg.Length(g.columns())*12, 300), 1600)
	height := min(max(vg.Length(len(g.Rows))*12, 60)+80, 1600)
	if err := p.Save(width, height, path); err != nil {
		return fmt.Errorf("chart: %s: %w", path, err)
	}
	return nil
}

// Text draws the grid in characters for a screen of so many columns: bars above 0, the letters a to h in their place below 0. Where there are more columns than
// that, a character stands for the value of several that is farthest from 0.
func (g *Grid) Text(width int) string {
	label := 0
	for _, name := range g.Rows {
		label = max(label, len(name))
	}
	n := min(g.columns(), max(width-label-1, 1))
	far := g.farthest()
	var b strings.Builder
	for i, row := range g.Values {
		fmt.Fprintf(&b, "%*s ", label, g.Rows[i])
		for c := range n {
			b.WriteRune(mark(farthestOf(row, c*g.columns()/n, (c+1)*g.columns()/n), far))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func farthestOf(row []float64, from, to int) float64 {
	out := 0.0
	for _, x := range row[min(from, len(row)):min(to, len(row))] {
		if math.Abs(x) > math.Abs(out) {
			out = x
		}
	}
	return out
}

// mark is one of eight steps; what is below a sixteenth of the farthest value is a dot.
func mark(x, far float64) rune {
	const steps = 8
	level := int(math.Round(math.Abs(x) / max(far, math.SmallestNonzeroFloat64) * steps))
	switch {
	case level == 0 || math.IsNaN(x):
		return '·'
	case x < 0:
		return []rune("abcdefgh")[level-1]
	}
	return []rune("▁▂▃▄▅▆▇█")[level-1]
}
