// SPDX-License-Identifier: Apache-2.0

package fit

import (
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// fill makes n pairs of rows around a shared offset: the positive ones lie step further along the first axis, and pairs differ by noise.
func fill(t *testing.T, s *Samples, n int, step float64) (positive, negative [][]float64) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 5))
	for range n {
		for _, side := range []Side{Positive, Negative} {
			var rows [][]float32
			wide := make([]float64, 0, s.Width())
			for site := range s.Sites() {
				row := make([]float32, s.Width())
				for i := range row {
					row[i] = float32(10*float64(i%3) + r.NormFloat64()*float64(1+i%2))
				}
				if side == Positive {
					row[0] += float32(step * float64(site+1))
				}
				rows = append(rows, row)
			}
			for _, x := range rows[0] {
				wide = append(wide, float64(x))
			}
			if side == Positive {
				positive = append(positive, wide)
			} else {
				negative = append(negative, wide)
			}
			if err := s.Add(side, rows); err != nil {
				t.Fatal(err)
			}
		}
	}
	return positive, negative
}

// TestComponentsAreThoseOfASingularValueDecomposition compares with gonum's, which sees the whole matrix.
func TestComponentsAreThoseOfASingularValueDecomposition(t *testing.T) {
	for _, n := range []int{2, 5, 40} {
		s := newSamples(2, 12, 100)
		positive, negative := fill(t, s, n, 2)
		for _, m := range []Method{PCA, PCACenter} {
			d := mat.NewDense(n, 12, nil)
			for i := range n {
				for j := range 12 {
					d.Set(i, j, positive[i][j]-negative[i][j])
				}
			}
			if m == PCA {
				for j := range 12 {
					mean := mat.Sum(d.ColView(j)) / float64(n)
					for i := range n {
						d.Set(i, j, d.At(i, j)-mean)
					}
				}
			}
			var svd mat.SVD
			if !svd.Factorize(d, mat.SVDThin) {
				t.Fatal("no decomposition")
			}
			var v mat.Dense
			svd.VTo(&v)
			got, err := Fit(s, 0, m)
			if err != nil {
				t.Fatal(err)
			}
			want := make([]float32, 12)
			for j := range want {
				want[j] = float32(v.At(j, 0))
			}
			// The iteration ends at a residual of 1e-8 of the eigenvalue; the vectors are rounded to single precision.
			if c := math.Abs(Cosine(got.Vector, want)); c < 1-1e-6 {
				t.Errorf("%s of %d pairs: cosine with the decomposition's = %.9f", m, n, c)
			}
			above := 0
			for i := range n {
				if along(positive[i], got.Vector) > along(negative[i], got.Vector) {
					above++
				}
			}
			if 2*above < n {
				t.Errorf("%s of %d pairs: the positive end is above in %d", m, n, above)
			}
		}
	}
}

func along(row []float64, v []float32) (sum float64) {
	for i, x := range row {
		sum += x * float64(v[i])
	}
	return sum
}

// TestLogisticIsAtTheMinimum holds that the derivative of the loss is 0 there, worked out from the definition on standardised rows.
func TestLogisticIsAtTheMinimum(t *testing.T) {
	const n, width = 30, 12
	s := newSamples(1, width, 7)
	defer s.Close()
	positive, negative := fill(t, s, n, 1)
	d, err := Fit(s, 0, Logistic)
	if err != nil {
		t.Fatal(err)
	}
	rows := append(positive, negative...)
	mean, deviation := make([]float64, width), make([]float64, width)
	for _, row := range rows {
		for j, x := range row {
			mean[j] += x / float64(len(rows))
		}
	}
	for _, row := range rows {
		for j, x := range row {
			deviation[j] += (x - mean[j]) * (x - mean[j]) / float64(len(rows))
		}
	}
	gradient, balance := make([]float64, width), 0.0
	for i, row := range rows {
		score := d.Bias * d.Weight
		for j, x := range row {
			score += x * float64(d.Vector[j]) * d.Weight
		}
		miss := 1 / (1 + math.Exp(-score))
		if i < n {
			miss--
		}
		balance += miss
		for j, x := range row {
			gradient[j] += miss * (x - mean[j]) / math.Sqrt(deviation[j])
		}
	}
	for j := range gradient {
		gradient[j] += penalty * float64(d.Vector[j]) * d.Weight * math.Sqrt(deviation[j])
	}
	// The search ends at 1e-6 of the first gradient, whose entries are below 30; the vector is rounded to single precision.
	if g := length(gradient); g > 1e-3 || math.Abs(balance) > 1e-3 {
		t.Errorf("derivative at the minimum = %g, by the bias %g, want 0", g, balance)
	}
}

// TestSpilledRowsAreTheSame has blocks of three rows in a file and one block in memory: every method must see the same numbers.
func TestSpilledRowsAreTheSame(t *testing.T) {
	small, large := newSamples(3, 12, 3), newSamples(3, 12, 1000)
	fill(t, small, 20, 2)
	fill(t, large, 20, 2)
	if small.sides[Positive].file == nil || large.sides[Positive].file != nil {
		t.Fatal("want rows in a file on one side alone")
	}
	name := small.sides[Positive].file.Name()
	for _, m := range Methods() {
		for site := range 3 {
			a, err := Fit(small, site, m)
			if err != nil {
				t.Fatal(err)
			}
			b, err := Fit(large, site, m)
			if err != nil {
				t.Fatal(err)
			}
			for i := range a.Vector {
				if a.Vector[i] != b.Vector[i] {
					t.Fatalf("%s at site %d: number %d is %g from a file, %g from memory", m, site, i, a.Vector[i], b.Vector[i])
				}
			}
		}
	}
	if err := small.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); err == nil {
		t.Errorf("%s is left behind", name)
	}
}

func TestLayers(t *testing.T) {
	s := newSamples(3, 12, 100)
	fill(t, s, 40, 1.5)
	list, err := Layers(t.Context(), s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range list {
		if l.Site != i || len(l.Found) != 4 || !(l.Residual > 30) {
			t.Fatalf("layer %d: %+v", i, l)
		}
		mean := l.Of(DiffMean)
		if math.Abs(mean.Mean-1) > 1e-9 || math.IsNaN(mean.Next) != (i == 2) {
			t.Errorf("layer %d: cosine with itself %g, with the next %g", i, mean.Mean, mean.Next)
		}
		// The kinds lie 1.5, 3 and 4.5 deviations apart; of a normal distribution 86, 98 and 99.9 % of pairs are in order, less what the fit misses.
		if least := []float64{0.75, 0.93, 0.98}[i]; mean.AUROC < least || mean.AUROC > 1 {
			t.Errorf("layer %d: held-out AUROC = %g, want at least %g", i, mean.AUROC, least)
		}
	}
	same := newSamples(1, 12, 100)
	fill(t, same, 40, 0)
	if list, err = Layers(t.Context(), same, Options{Methods: []Method{DiffMean}}); err != nil {
		t.Fatal(err)
	}
	apart := list[0].Of(DiffMean).AUROC
	if apart > 0.6 { // a half, and what chance adds with 16 pairs of texts a fold
		t.Errorf("held-out AUROC of texts that do not differ = %g, want about a half", apart)
	}
	if list, err = Layers(t.Context(), same, Options{Methods: []Method{DiffMean}, Held: same}); err != nil || list[0].Of(DiffMean).AUROC <= apart {
		t.Errorf("AUROC on the texts themselves = %g, %v, want more than the %g on others", list[0].Of(DiffMean).AUROC, err, apart)
	}
}

func TestRefuses(t *testing.T) {
	s := newSamples(1, 2, 10)
	for _, c := range []struct {
		rows [][]float32
		say  string
	}{
		{[][]float32{{1, 2}, {3, 4}}, "want rows of 1 sites"}, {[][]float32{{1}}, "want 2 numbers"}, {[][]float32{{1, float32(math.NaN())}}, "finite"},
	} {
		if err := s.Add(Positive, c.rows); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("Add(%v) = %v, want it to say %q", c.rows, err, c.say)
		}
	}
	if _, err := Layers(t.Context(), s, Options{}); err == nil || !strings.Contains(err.Error(), "found 0 positive") {
		t.Errorf("without texts: %v", err)
	}
	for range 2 {
		if err := s.Add(Positive, [][]float32{{1, 2}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Add(Negative, [][]float32{{1, 2}}); err != nil {
		t.Fatal(err)
	}
	if _, err := Fit(s, 0, PCA); err == nil || !strings.Contains(err.Error(), "at least 2 texts") {
		t.Errorf("pca of one negative text: %v", err)
	}
	if err := s.Add(Negative, [][]float32{{1, 2}}); err != nil {
		t.Fatal(err)
	}
	for _, m := range []Method{PCA, PCACenter, Logistic} {
		if _, err := Fit(s, 0, m); err == nil {
			t.Errorf("%s of equal texts: want an error, found none", m)
		}
	}
	if _, err := Fit(s, 0, "ica"); err == nil || !strings.Contains(err.Error(), "want a method of") {
		t.Errorf("an unknown method: %v", err)
	}
}

func TestSuggest(t *testing.T) {
	layers := func(auroc, next []float64) (out []Layer) {
		for i := range auroc {
			out = append(out, Layer{Site: i, Found: []Found{{Method: DiffMean, AUROC: auroc[i], Next: next[i]}}})
		}
		return out
	}
	all := func(x float64) []float64 { return []float64{x, x, x, x, x, x, x, x, x, x} }
	for _, c := range []struct {
		name        string
		auroc, next []float64
		first, last int
		say         string
	}{
		{"a run", []float64{.5, .6, .7, .88, .9, .9, .87, .6, .99, .99}, all(.9), 3, 6, "0.90 at layer 4"},
		{"neighbours that point elsewhere", []float64{.5, .6, .7, .88, .9, .9, .87, .6, .99, .99}, []float64{.9, .9, .9, .9, .3, .9, .9, .9, .9, .9}, 3, 4, "0.88"},
		{"one layer", []float64{.5, .6, .7, .7, .9, .7, .7, .6, .99, .99}, all(.9), 4, 4, "neighbours"},
		{"chance", all(.55), all(.9), -1, -1, "not likely to steer"},
		{"nothing held out", all(math.NaN()), all(.9), -1, -1, "nothing was held out"},
	} {
		r := Suggest(layers(c.auroc, c.next), DiffMean, func(i int) int { return i }, 10)
		if r.First != c.first || r.Last != c.last || !strings.Contains(r.Reason, c.say) {
			t.Errorf("%s: %+v, want layers %d to %d and %q", c.name, r, c.first, c.last, c.say)
		}
	}
}
