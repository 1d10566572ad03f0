// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Curve is values over a rising quantity.
type Curve struct {
	Name string
	X, Y []float64
	Mark int // a point to be marked; -1 is none
}

// Panel is one set of axes.
type Panel struct {
	Title, X, Y string
	Curves      []Curve
	Level       float64 // a line across, 0 is none
}

// Panels draws panels above each other into a file whose ending names the format.
func Panels(path string, panels ...Panel) error {
	const width, height = vg.Length(480), vg.Length(280)
	format := strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), ".")
	canvas, err := draw.NewFormattedCanvas(width, height*vg.Length(len(panels)), format)
	if err != nil {
		return fmt.Errorf("chart: %s: %w", path, err)
	}
	plots := make([][]*plot.Plot, len(panels))
	for i := range panels {
		p, err := panels[i].plot()
		if err != nil {
			return fmt.Errorf("chart: %s: %w", path, err)
		}
		plots[i] = []*plot.Plot{p}
	}
	tiles := draw.Tiles{Rows: len(panels), Cols: 1, PadY: 8, PadRight: 8}
	for i, row := range plot.Align(plots, tiles, draw.New(canvas)) {
		plots[i][0].Draw(row[0])
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("chart: %w", err)
	}
	_, err = canvas.WriteTo(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("chart: %s: %w", path, err)
	}
	return nil
}

func (p *Panel) plot() (*plot.Plot, error) {
	out := plot.New()
	out.Title.Text, out.X.Label.Text, out.Y.Label.Text = p.Title, p.X, p.Y
	out.Legend.Top, out.Legend.Left = true, true
	for i := range p.Curves {
		c := &p.Curves[i]
		points := c.points()
		if len(points) == 0 {
			continue
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		line.Color, dots.Color, dots.Shape, dots.Radius = shade(i), shade(i), draw.CircleGlyph{}, 1.5
		out.Add(line, dots)
		out.Legend.Add(c.Name, line)
		if c.Mark >= 0 && c.Mark < len(c.X) {
			mark, err := plotter.NewScatter(plotter.XYs{{X: c.X[c.Mark], Y: c.Y[c.Mark]}})
			if err != nil {
				return nil, err
			}
			mark.Color, mark.Shape, mark.Radius = shade(i), draw.RingGlyph{}, 5
			out.Add(mark)
		}
	}
	if p.Level != 0 {
		level := plotter.NewFunction(func(float64) float64 { return p.Level })
		level.Dashes = []vg.Length{4, 4}
		out.Add(level)
	}
	return out, nil
}

// points leaves out what is no number.
func (c *Curve) points() plotter.XYs {
	var out plotter.XYs
	for i, x := range c.X {
		if y := c.Y[i]; !math.IsNaN(y) && !math.IsInf(y, 0) {
			out = append(out, plotter.XY{X: x, Y: y})
		}
	}
	return out
}
