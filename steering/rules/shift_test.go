// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"math"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
)

type numericFile struct {
	Weights []struct {
		Function  Weighting
		K         int
		Steering  []float64
		Detection []float64
	} `json:"ar_rank_weights"`
	Shifts []struct {
		H       []float64 `json:"h_last"`
		Rows    [][]float64
		Factor  float64
		Weights []float64
		Edit    []float64
	} `json:"ar_steering_sum_shift_norm2"`
}

func far(a, b []float64) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	worst := 0.0
	for i := range a {
		worst = max(worst, math.Abs(a[i]-b[i]))
	}
	return worst
}

func TestRankWeights(t *testing.T) {
	var file numericFile
	readJSON(t, fixture.Path(t, "fixtures-dictionaries/numeric/numeric.json"), &file)
	seen := map[Weighting]bool{}
	for _, c := range file.Weights {
		seen[c.Function] = true
		for mean, want := range map[float64][]float64{1 / float64(c.K): c.Steering, 1: c.Detection} {
			got, err := RankWeights(c.Function, c.K, mean)
			// Both sides compute in float64; the orders of summation differ.
			if err != nil || far(got, want) > 1e-12 {
				t.Errorf("RankWeights(%s, %d, %v) = %v, %v, want %v", c.Function, c.K, mean, got, err, want)
			}
		}
	}
	if len(seen) != len(Weightings()) {
		t.Errorf("the reference has %d weightings, the package %d", len(seen), len(Weightings()))
	}
	if _, err := RankWeights("steep", 3, 1); err == nil {
		t.Error("an unknown weighting has no error")
	}
	if got, err := RankWeights(Linear, 0, 1); err != nil || len(got) != 0 {
		t.Errorf("RankWeights(linear, 0) = %v, %v", got, err)
	}
}

func narrow(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}

func TestShift(t *testing.T) {
	var file numericFile
	readJSON(t, fixture.Path(t, "fixtures-dictionaries/numeric/numeric.json"), &file)
	if len(file.Shifts) == 0 {
		t.Fatal("no cases")
	}
	for i, c := range file.Shifts {
		w, err := RankWeights(LogDecay, len(c.Rows), 1/float64(len(c.Rows)))
		if err != nil || far(w, c.Weights) > 1e-12 {
			t.Errorf("case %d: weights = %v, %v, want %v", i, w, err, c.Weights)
		}
		got := make([]float64, len(c.H))
		for _, combine := range []Combine{Sum, Mean} { // the same after rescaling
			Shift(got, c.H, c.Rows, w, Steer{combine, 2, c.Factor})
			if d := far(got, c.Edit); d > 1e-12 {
				t.Errorf("case %d: Shift = %v, want %v", i, got, c.Edit)
			}
		}
		// float32 holds 24 bits; the values are below 16, so that one rounding is 5e-7 and a handful stay below 3e-6.
		var rows [][]float32
		for _, r := range c.Rows {
			rows = append(rows, narrow(r))
		}
		single := make([]float32, len(c.H))
		Shift(single, narrow(c.H), rows, w, Steer{Sum, 2, c.Factor})
		for j, v := range single {
			if math.Abs(float64(v)-c.Edit[j]) > 3e-6 {
				t.Errorf("case %d: Shift in float32 = %v, want %v", i, single, c.Edit)
				break
			}
		}
	}
}

func TestShiftByHand(t *testing.T) {
	h := []float64{3, -4}
	rows := [][]float64{{2, 0}, {0, -1}, {4, 4}}
	weights := []float64{0.5, 0.25, 0.25}
	s := math.Sqrt(0.5) / 4
	n := math.Hypot(0.5+s, s-0.25)
	top := math.Hypot(0.5, s)
	for _, tc := range []struct {
		name  string
		steer Steer
		want  []float64
	}{
		{"sum, 2", Steer{Sum, 2, 0.5}, []float64{2.5 * (0.5 + s) / n, 2.5 * (s - 0.25) / n}},
		{"suppress", Steer{Sum, 2, -0.5}, []float64{-2.5 * (0.5 + s) / n, -2.5 * (s - 0.25) / n}},
		{"max, 2", Steer{Max, 2, 1}, []float64{5 * 0.5 / top, 5 * s / top}},
		{"sum, 1", Steer{Sum, 1, 1}, []float64{7 * 0.625 / 0.75, 7 * -0.125 / 0.75}},
		{"sum, off", Steer{Sum, 0, 2}, []float64{4, 1.5}},
		{"mean, off", Steer{Mean, 0, 3}, []float64{2, 0.75}},
		{"factor 0", Steer{Sum, 2, 0}, []float64{0, 0}},
	} {
		got := []float64{9, 9}
		Shift(got, h, rows, weights, tc.steer)
		if far(got, tc.want) > 1e-12 {
			t.Errorf("%s: Shift = %v, want %v", tc.name, got, tc.want)
		}
		if p := tc.steer.Norm; p != 0 {
			if want := math.Abs(tc.steer.Factor) * norm(h, p); math.Abs(norm(got, p)-want) > 1e-12 {
				t.Errorf("%s: length %v, want %v", tc.name, norm(got, p), want)
			}
		}
	}
	got := []float64{9, 9}
	Shift(got, h, nil, nil, Steer{Sum, 2, 1})
	if far(got, []float64{0, 0}) != 0 {
		t.Errorf("Shift without rows = %v", got)
	}
	if n := testing.AllocsPerRun(10, func() { Shift(got, h, rows, weights, Steer{Max, 2, 1}) }); n != 0 {
		t.Errorf("Shift allocates %v times", n)
	}
}
