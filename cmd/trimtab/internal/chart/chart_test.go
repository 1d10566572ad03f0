// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"image"
	_ "image/png" // reads what Save writes
	"os"
	"path/filepath"
	"testing"
)

func TestText(t *testing.T) {
	g := Grid{Rows: []string{"0", "12"}, Values: [][]float64{{0, 0.5, 1, -1}, {0.01, -0.5, 0.25}}}
	if got, want := g.Text(80), " 0 ·▄█h\n12 ·d▂·\n"; got != want {
		t.Errorf("Text(80) =\n%s, want\n%s", got, want)
	}
	// Two columns share a character: that of the value farther from 0.
	if got, want := g.Text(5), " 0 ▄█\n12 d▂\n"; got != want {
		t.Errorf("Text(5) =\n%s, want\n%s", got, want)
	}
	if got := (&Grid{Rows: []string{"0"}, Values: [][]float64{{0, 0}}}).Text(80); got != "0 ··\n" {
		t.Errorf("of zeros: %q", got)
	}
}

// TestSave looks for red where a value is above 0 and blue where one is below.
func TestSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "heat.png")
	g := Grid{Title: "t", Rows: []string{"0", "1"}, Values: [][]float64{{1, -1}, {-1, 1}}}
	if err := g.Save(path); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	red, blue := 0, 0
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			switch r, g, b, _ := picture.At(x, y).RGBA(); {
			case r > 2*g && r > 2*b:
				red++
			case b > 2*r && b > 2*g:
				blue++
			}
		}
	}
	if red < 1000 || blue < 1000 {
		t.Errorf("%d red and %d blue points, want thousands of both", red, blue)
	}
	if err := g.Save(filepath.Join(t.TempDir(), "heat.txt")); err == nil {
		t.Error("a format that there is not was written")
	}
}

func TestRates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rates.png")
	err := Rates(path, "t", []string{"none", "mask"}, []Series{{"a", []Rate{{1, 0.9, 1}, {0.2, 0.1, 0.3}}}, {"b", []Rate{{0, 0, 0.1}, {0.5, 0.4, 0.6}}}})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() < 1000 {
		t.Errorf("chart: %v, %v", info, err)
	}
}

// TestPanels looks for the colours of two curves, and for a picture that grows with its panels.
func TestPanels(t *testing.T) {
	curve := Curve{Name: "a", X: []float64{1, 2, 4}, Y: []float64{0, 1, 4}, Mark: 1}
	falling := Curve{Name: "b", X: []float64{1, 2, 4}, Y: []float64{4, 1, 0}, Mark: -1}
	heights := []int{}
	for n := 1; n <= 2; n++ {
		path := filepath.Join(t.TempDir(), "curves.png")
		panels := []Panel{{Title: "t", X: "x", Y: "y", Curves: []Curve{curve, falling}, Level: 2}, {Title: "u", Curves: []Curve{curve}}}
		if err := Panels(path, panels[:n]...); err != nil {
			t.Fatal(err)
		}
		red, blue, height := colours(t, path)
		if red < 50 || blue < 50 {
			t.Errorf("%d panels: %d red and %d blue points", n, red, blue)
		}
		heights = append(heights, height)
	}
	if d := heights[1] - 2*heights[0]; d < -1 || d > 1 { // points are rounded to pixels
		t.Errorf("heights %v, want the second twice the first", heights)
	}
	if err := Panels(filepath.Join(t.TempDir(), "curves.txt"), Panel{}); err == nil {
		t.Error("a format that there is not was written")
	}
}

// colours counts the points that are clearly red and clearly blue.
func colours(t *testing.T, path string) (red, blue, height int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			switch r, g, b, _ := picture.At(x, y).RGBA(); {
			case r > 2*g && r > 2*b:
				red++
			case b > 3*g/2 && b > 2*r:
				blue++
			}
		}
	}
	return red, blue, picture.Bounds().Dy()
}

func TestRatios(t *testing.T) {
	for _, name := range []string{"ratios.png", "ratios.svg"} {
		path := filepath.Join(t.TempDir(), name)
		if err := Ratios(path, "t", "time", []Ratio{{"none", 1, 1, 1}, {"vector", 1.02, 0.99, 1.05}}); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() < 1000 {
			t.Errorf("chart: %v, %v", info, err)
		}
	}
	if Ratios(filepath.Join(t.TempDir(), "ratios.txt"), "t", "time", []Ratio{{"none", 1, 1, 1}}) == nil {
		t.Error("a format that there is not was written")
	}
	for _, tick := range hundredths(0.95, 1.35) {
		if len(tick.Label) != 0 && len(tick.Label) != 4 {
			t.Errorf("label %q", tick.Label)
		}
	}
}
