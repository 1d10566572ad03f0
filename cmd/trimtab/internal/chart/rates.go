// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// Rate is a share with the bounds of its interval, all between 0 and 1.
type Rate struct{ Value, Low, High float64 }

// Series is the rates of one thing under every name of a chart.
type Series struct {
	Name  string
	Rates []Rate
}

// Rates draws series as bars beside each other, with their intervals, into a file whose ending names the format.
func Rates(path, title string, names []string, series []Series) error {
	p := plot.New()
	p.Title.Text, p.Y.Label.Text = title, "share"
	p.Y.Min, p.Y.Max = 0, 1.25 // the legend stands above the bars
	p.Legend.Top = true
	for i, s := range series {
		values, bounds := make(plotter.Values, len(s.Rates)), intervals{}
		left := 0.8 / float64(len(series)) * (float64(i) - float64(len(series)-1)/2)
		for j, r := range s.Rates {
			values[j] = r.Value
			bounds.XYs = append(bounds.XYs, plotter.XY{X: float64(j) + left, Y: r.Value})
			bounds.YErrors = append(bounds.YErrors, struct{ Low, High float64 }{r.Value - r.Low, r.High - r.Value})
		}
		bars, err := plotter.NewBarChart(values, barWidth)
		if err != nil {
			return fmt.Errorf("chart: %s: %w", path, err)
		}
		bars.Color, bars.LineStyle.Width, bars.XMin = shade(i), 0, left
		marks, err := plotter.NewYErrorBars(bounds)
		if err != nil {
			return fmt.Errorf("chart: %s: %w", path, err)
		}
		p.Add(bars, marks)
		p.Legend.Add(s.Name, bars)
	}
	p.NominalX(names...)
	if err := p.Save(max(vg.Length(len(names)*len(series))*2*barWidth+150, 400), 300, path); err != nil {
		return fmt.Errorf("chart: %s: %w", path, err)
	}
	return nil
}

const barWidth = vg.Length(14)

type intervals struct {
	plotter.XYs
	plotter.YErrors
}

func shade(i int) color.Color {
	return []color.Color{
		color.RGBA{0xb4, 0x04, 0x26, 0xff}, color.RGBA{0x3b, 0x4c, 0xc0, 0xff}, color.RGBA{0x8d, 0xb0, 0xfe, 0xff}, color.RGBA{0x99, 0x99, 0x99, 0xff},
	}[i%4]
}
