// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Ratio is a named ratio with the bounds of its interval.
type Ratio struct {
	Name             string
	Value, Low, High float64
}

// Ratios draws a point with its interval for each row, the first one on top, beside a line at 1, into a file whose ending names the format.
func Ratios(path, title, across string, rows []Ratio) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text = title, across
	points, bounds := make(plotter.XYs, len(rows)), horizontal{}
	ticks := make([]plot.Tick, len(rows))
	for i, r := range rows {
		y := float64(len(rows) - 1 - i)
		points[i] = plotter.XY{X: r.Value, Y: y}
		bounds.XYs = append(bounds.XYs, points[i])
		bounds.XErrors = append(bounds.XErrors, struct{ Low, High float64 }{r.Value - r.Low, r.High - r.Value})
		ticks[i] = plot.Tick{Value: y, Label: r.Name}
	}
	dots, err := plotter.NewScatter(points)
	if err != nil {
		return fmt.Errorf("chart: %s: %w", path, err)
	}
	dots.Shape, dots.Color, dots.Radius = draw.CircleGlyph{}, shade(0), 3
	bars, err := plotter.NewXErrorBars(bounds)
	if err != nil {
		return fmt.Errorf("chart: %s: %w", path, err)
	}
	one, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.5}, {X: 1, Y: float64(len(rows)) - 0.5}})
	if err != nil {
		return fmt.Errorf("chart: %s: %w", path, err)
	}
	one.Color = shade(3)
	p.Add(plotter.NewGrid(), one, bars, dots)
	p.X.Tick.Marker = plot.TickerFunc(hundredths)
	p.Y.Tick.Marker = plot.ConstantTicks(ticks)
	if err := p.Save(700, max(vg.Length(len(rows))*18+90, 160), path); err != nil {
		return fmt.Errorf("chart: %s: %w", path, err)
	}
	return nil
}

// horizontal is points with errors across.
type horizontal struct {
	plotter.XYs
	plotter.XErrors
}

// hundredths are gonum's ticks with labels that have two digits behind the point.
func hundredths(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = fmt.Sprintf("%.2f", ticks[i].Value)
		}
	}
	return ticks
}
