// SPDX-License-Identifier: Apache-2.0

package dictionary

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
)

type pursuitResult struct {
	Codes        []float64
	ResidualNorm float64 `json:"residual_norm"`
	L0           int
}

type numericFile struct {
	Pursuit []struct {
		Name        string
		D           [][]float64
		X           []float64
		K           int
		Signed      pursuitResult `json:"mp_signed"`
		NonNegative pursuitResult `json:"mp_nonnegative"`
		OMP         pursuitResult `json:"omp_signed"`
		Gradient    pursuitResult `json:"gradient_pursuit_positive_resupport"`
		Keep        pursuitResult `json:"gradient_pursuit_positive_keep"`
	}
	MPSAE []struct {
		W, X    [][]float64
		K       int
		Plain   [][]float64 `json:"overcomplete_codes"`
		OMP     [][]float64 `json:"overcomplete_omp_k4_codes"`
		SAELens [][]float64 `json:"saelens_codes_threshold_0_3_maxiter_d_stop_on_same_support"`
	} `json:"mp_sae"`
	AbsTopK []struct {
		Enc   [][]float64 `json:"W_enc"`
		EncB  []float64   `json:"b_enc"`
		Dec   [][]float64 `json:"W_dec"`
		DecB  []float64   `json:"b_dec"`
		X     []float64
		K     int
		Codes []float64
		Recon []float64
	}
	TopAFA []struct {
		Enc   [][]float64 `json:"W_enc"`
		Dec   [][]float64 `json:"W_dec"`
		DecB  []float64   `json:"b_dec"`
		X     []float64
		Norm  bool `json:"input_unit_norm"`
		K     int
		Codes []float64
		Recon []float64
	} `json:"top_afa"`
}

func readNumeric(t *testing.T) (n numericFile) {
	t.Helper()
	text, err := os.ReadFile(fixture.Path(t, "fixtures-dictionaries/numeric/numeric.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &n); err != nil {
		t.Fatal(err)
	}
	if len(n.Pursuit) == 0 || len(n.MPSAE) == 0 || len(n.AbsTopK) == 0 || len(n.TopAFA) == 0 {
		t.Fatal("a table is empty")
	}
	return n
}

func narrow(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x)
	}
	return out
}

func flat(m [][]float64) []float32 {
	var out []float32
	for _, row := range m {
		out = append(out, narrow(row)...)
	}
	return out
}

// numericTolerance: the reference is in double precision, the dictionary holds its numbers in single precision (6e-8), and a
// pursuit of a few rounds on values up to 8 carries that on.
const numericTolerance = 1e-5

func checkCode(t *testing.T, what string, code []Feature, n int, want []float64) {
	t.Helper()
	got := dense(code, n)
	for i, w := range want {
		if math.Abs(float64(got[i])-w) > numericTolerance {
			t.Errorf("%s: feature %d = %v, want %v", what, i, got[i], w)
		}
		// A weight of 1e-12 in the reference is rounding, not support.
		if (got[i] == 0) != (math.Abs(w) < 1e-9) || float64(got[i])*w < 0 {
			t.Errorf("%s: feature %d = %v, want the support and sign of %v", what, i, got[i], w)
		}
	}
}

func pursue(t *testing.T, rows [][]float64, rule PursuitRule) *Dictionary {
	t.Helper()
	n, d := len(rows), len(rows[0])
	dict, err := New(&Form{In: d, Out: d, N: n, Dec: flat(rows), Act: Activation{Kind: Pursuit, Pursuit: rule}})
	if err != nil {
		t.Fatal(err)
	}
	return dict
}

func TestPursuits(t *testing.T) {
	for _, c := range readNumeric(t).Pursuit {
		for _, m := range []struct {
			method Method
			want   pursuitResult
		}{
			{Matching, c.Signed},
			{NonNegativeMatching, c.NonNegative},
			{Orthogonal, c.OMP},
			{Gradient, c.Gradient},
			{GradientKeep, c.Keep},
		} {
			d := pursue(t, c.D, PursuitRule{Method: m.method, K: c.K})
			code := d.NewCoder().Encode(nil, narrow(c.X))
			what := c.Name + " " + m.method.String()
			checkCode(t, what, code, len(c.D), m.want.Codes)
			out := make([]float32, len(c.X))
			d.Decode(out, code, nil)
			sum := 0.0
			for i, x := range c.X {
				sum += (x - float64(out[i])) * (x - float64(out[i]))
			}
			if r := math.Sqrt(sum); math.Abs(r-m.want.ResidualNorm) > numericTolerance {
				t.Errorf("%s: residual %g, want %g", what, r, m.want.ResidualNorm)
			}
			p, err := d.NewPursuer(d.Form.Act.Pursuit)
			if err != nil {
				t.Fatal(err)
			}
			if again := p.Pursue(nil, narrow(c.X), 0); !slices.Equal(again, code) {
				t.Errorf("%s: a Pursuer gives %v, a Coder %v", what, again, code)
			}
		}
	}
}

func TestMatchingPursuitSAE(t *testing.T) {
	negative := false
	for _, c := range readNumeric(t).MPSAE {
		for i, x := range c.X {
			plain := pursue(t, c.W, PursuitRule{Method: PlainMatching, K: c.K}).NewCoder().Encode(nil, narrow(x))
			checkCode(t, "plain", plain, len(c.W), c.Plain[i])
			for _, f := range plain {
				negative = negative || f.Value < 0
			}
			omp := pursue(t, c.W, PursuitRule{Method: NonNegativeOrthogonal, K: 4})
			checkCode(t, "omp", omp.NewCoder().Encode(nil, narrow(x)), len(c.W), c.OMP[i])
			stop := pursue(t, c.W, PursuitRule{Method: NonNegativeMatching, K: len(x), Tolerance: 0.3, StopOnSameSupport: true})
			checkCode(t, "saelens", stop.NewCoder().Encode(nil, narrow(x)), len(c.W), c.SAELens[i])
		}
	}
	if !negative {
		t.Error("no case where the plain maximum is negative")
	}
}

func TestAbsTopK(t *testing.T) {
	for _, c := range readNumeric(t).AbsTopK {
		n, d := len(c.Dec), len(c.X)
		dict, err := New(&Form{
			In: d, Out: d, N: n, Enc: transpose(flat(c.Enc), d, n), EncBias: narrow(c.EncB), Dec: flat(c.Dec), DecBias: narrow(c.DecB),
			Act: Activation{Kind: AbsTopK, K: c.K},
		})
		if err != nil {
			t.Fatal(err)
		}
		checkDecoded(t, dict, c.X, c.Codes, c.Recon)
	}
}

func TestTopAFA(t *testing.T) {
	norms := 0
	for _, c := range readNumeric(t).TopAFA {
		n, d := len(c.Dec), len(c.X)
		form := &Form{
			In: d, Out: d, N: n, Enc: transpose(flat(c.Enc), d, n), Dec: flat(c.Dec), DecBias: narrow(c.DecB), PreSub: narrow(c.DecB),
			Act: Activation{Kind: TopAFA},
		}
		if c.Norm {
			form.Norm = LayerNorm
			norms++
		}
		dict, err := New(form)
		if err != nil {
			t.Fatal(err)
		}
		checkDecoded(t, dict, c.X, c.Codes, c.Recon)
	}
	if norms == 0 {
		t.Error("no case with input_unit_norm")
	}
}

func checkDecoded(t *testing.T, d *Dictionary, x, codes, recon []float64) {
	t.Helper()
	code := d.NewCoder().Encode(nil, narrow(x))
	checkCode(t, d.Form.Act.Kind.String(), code, d.Form.N, codes)
	out := make([]float32, d.Form.Out)
	d.Decode(out, code, narrow(x))
	for i, w := range recon {
		if math.Abs(float64(out[i])-w) > numericTolerance {
			t.Errorf("%s: reconstruction %d = %v, want %v", d.Form.Act.Kind, i, out[i], w)
		}
	}
}

// TestAnytime holds that fewer rounds are the beginning of more: what more rounds add is the code of what fewer left over.
func TestAnytime(t *testing.T) {
	rows := unitDictionary(7, 40, 12)
	x := randomVector(8, 12)
	for _, method := range []Method{Matching, NonNegativeMatching, PlainMatching} {
		for k := 1; k < 12; k++ {
			short := pursueFlat(t, rows, 12, PursuitRule{Method: method, K: k}).NewCoder().Encode(nil, x)
			whole := pursueFlat(t, rows, 12, PursuitRule{Method: method, K: 12})
			p, err := whole.NewPursuer(whole.Form.Act.Pursuit)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Pursue(nil, x, k); !slices.Equal(got, short) {
				t.Errorf("%s: %d of 12 rounds = %v, want %v", method, k, got, short)
			}
		}
	}
}
