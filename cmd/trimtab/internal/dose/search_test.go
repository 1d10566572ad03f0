// SPDX-License-Identifier: Apache-2.0

package dose

import (
	"math"
	"strings"
	"testing"
)

// TestCalibrate finds budgets on curves that are known.
func TestCalibrate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		search Search
		kl     func(c float64) float64
		want   float64 // strength; 0: cannot be met
		why    string
	}{
		{"a square", Search{Budget: 0.5, Start: 1, Sign: 1}, func(c float64) float64 { return 0.02 * c * c }, 5, ""},
		{"a square, from above", Search{Budget: 0.5, Start: 600, Sign: 1}, func(c float64) float64 { return 0.02 * c * c }, 5, ""},
		{"a small budget", Search{Budget: 1e-3, Start: 1, Sign: 1}, func(c float64) float64 { return 10 * c * c }, 0.01, ""},
		{"downwards", Search{Budget: 0.5, Start: 1, Sign: -1}, func(c float64) float64 { return 0.02 * c * c }, -5, ""},
		{"a bend", Search{Budget: 2, Start: 1, Sign: 1}, func(c float64) float64 { return 4 * (1 - math.Exp(-c*c/100)) }, 10 * math.Sqrt(math.Ln2), ""},
		{"a steep wall", Search{Budget: 0.5, Start: 1, Sign: 1}, func(c float64) float64 { return 1e-6 + 1/(1+math.Exp(-40*(c-7))) }, 7, ""},
		{"a share", Search{Budget: 0.25, Start: 1, Most: 1, Sign: 1}, func(c float64) float64 { return c * c }, 0.5, ""},
		{"a share that is too little", Search{Budget: 2, Start: 1, Most: 1, Sign: 1}, func(c float64) float64 { return c * c }, 0, "up to strength 1 the KL is at most 1"},
		{"an end", Search{Budget: 2, Start: 1, Sign: 1}, func(c float64) float64 { return 1 - math.Exp(-c) }, 0, "the KL is at most 1"},
		{"nothing", Search{Budget: 2, Start: 1, Sign: 1}, func(float64) float64 { return 0 }, 0, "the KL is at most 0"},
		{"a jump", Search{Budget: 0.5, Start: 1, Sign: 1}, func(c float64) float64 { return math.Floor(c / 3) }, 0, "jumps from 0 to 1 at strength 3"},
		{"a floor", Search{Budget: 0.5, Start: 1, Sign: 1}, func(float64) float64 { return 0.7 }, 0, "the KL is 0.7"},
		{"no numbers from 3 on", Search{Budget: 0.5, Start: 1, Sign: 1}, func(c float64) float64 { return map[bool]float64{true: 0.01, false: math.NaN()}[c < 3] }, 0, "jumps from 0.01 to NaN"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := 0
			r, err := Calibrate(tc.search, func(c float64) (Point, error) {
				n++
				return Point{Strength: c, KL: tc.kl(math.Abs(c))}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if r.Met != (tc.want != 0) || !strings.Contains(r.Why, tc.why) || n > mostMeasured {
				t.Errorf("met %v, %q after %d measurements; want %q", r.Met, r.Why, n, tc.why)
			}
			// The promise is a budget within 5 %; the steep wall lets a strength be off by far less.
			if r.Met && (math.Abs(r.At.KL/tc.search.Budget-1) > 0.05 || math.Abs(r.At.Strength/tc.want-1) > 0.03) {
				t.Errorf("strength %g with KL %g, want %g", r.At.Strength, r.At.KL, tc.want)
			}
		})
	}
	for _, budget := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if _, err := Calibrate(Search{Budget: budget}, nil); err == nil {
			t.Errorf("a budget of %g was looked for", budget)
		}
	}
}

func TestKnee(t *testing.T) {
	curve := func(effect func(kl float64) float64) (out []Point) {
		for i := range 8 {
			kl := 0.01 * math.Pow(2, float64(i))
			out = append(out, Point{KL: kl, Effect: effect(kl)})
		}
		return out
	}
	if k := knee(curve(func(kl float64) float64 { return 1 - math.Exp(-kl/0.08) })); k < 3 || k > 6 {
		t.Errorf("knee of a curve that flattens at 0.08 to 0.2: point %d", k)
	}
	if k := knee(curve(func(kl float64) float64 { return kl })); k != -1 {
		t.Errorf("knee of a straight line: point %d, want none", k)
	}
	if k := knee(curve(func(float64) float64 { return 0 })); k != -1 {
		t.Errorf("knee without effect: point %d, want none", k)
	}
}

func TestDivergence(t *testing.T) {
	p, q := []float32{0, float32(math.Log(3))}, []float32{float32(math.Log(3)), 0} // 1/4, 3/4 and 3/4, 1/4
	want := 0.5 * math.Log(3)
	if got := KL(p, q); math.Abs(got-want) > 1e-6 {
		t.Errorf("KL %g, want %g", got, want)
	}
	if got := KL(p, []float32{5, 5 + float32(math.Log(3))}); got > 1e-12 {
		t.Errorf("KL of the same distribution %g", got)
	}
	held := append([]float32(nil), q...)
	if share := holdBack(p, held, 0.1); share <= 0 || share >= 1 || math.Abs(KL(p, held)-0.1) > 1e-4 {
		t.Errorf("held back to %g with a share of %g, want 0.1", KL(p, held), share)
	}
	held = []float32{float32(math.NaN()), 1}
	if holdBack(p, held, 0.1); held[0] != p[0] || held[1] != p[1] {
		t.Errorf("of what is no number %v is left, want the plain logits", held)
	}
}

func TestDistinctPairs(t *testing.T) {
	for _, tc := range []struct {
		ids  []int32
		want float64
	}{{nil, 1}, {[]int32{1}, 1}, {[]int32{1, 2, 3}, 1}, {[]int32{1, 1, 1, 1, 1}, 0.25}, {[]int32{1, 2, 1, 2, 1}, 0.5}} {
		if got := distinctPairs(tc.ids); got != tc.want {
			t.Errorf("%v: %g, want %g", tc.ids, got, tc.want)
		}
	}
}
