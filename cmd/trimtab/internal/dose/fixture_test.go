// SPDX-License-Identifier: Apache-2.0

package dose

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/dot"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

// effects is what transformers measured.
type effects struct {
	PromptIDs [][]int32        `json:"prompt_ids"`
	Positive  map[string]int32 `json:"positive_words"`
	Negative  map[string]int32 `json:"negative_words"`
	Runs      []struct {
		Tag      string    `json:"tag"`
		Method   string    `json:"method"`
		Layers   []int     `json:"layers"`
		Strength float64   `json:"strength"`
		Diff     []float64 `json:"logit_diff"`
		KL       []float64 `json:"kl_from_base"`
	} `json:"runs"`
}

func recorded(t *testing.T, name string) effects {
	t.Helper()
	data, err := os.ReadFile(fixture.Path(t, "fixtures-dictionaries/concepts/"+name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Effects effects }
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f.Effects
}

func smollm2(t *testing.T, c runtime.Config) *runtime.Model {
	t.Helper()
	path := fixture.SmolLM2(t)
	if _, err := runtime.FindLibrary(); err != nil {
		if os.Getenv("TRIMTAB_REQUIRE_NATIVE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	m, err := runtime.Open(path, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func words(t *testing.T, m *runtime.Model, e *effects) *Measure {
	t.Helper()
	measure, err := WordMeasure(m, keys(e.Positive), keys(e.Negative))
	if err != nil {
		t.Fatal(err)
	}
	return measure
}

func keys(m map[string]int32) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// TestRecordedEffects: with exactly expanded weights the logit differences and divergences are those that transformers had.
func TestRecordedEffects(t *testing.T) {
	m := smollm2(t, runtime.Config{Quant: runtime.Float32})
	for _, name := range []string{"happy-vs-sad", "sentiment-sst", "refusal-xstest"} {
		e := recorded(t, name)
		meter, err := NewMeter(t.Context(), m, e.PromptIDs, words(t, m, &e))
		if err != nil {
			t.Fatal(err)
		}
		path := fixture.Path(t, "fixtures-dictionaries/concepts/"+name+".vectors.safetensors")
		for i, run := range e.Runs {
			if run.Tag == "base" || (i%9 != 0 && len(run.Layers) == 1) { // a ninth of the runs, and those over many blocks
				continue
			}
			var blocks []string
			for _, l := range run.Layers {
				blocks = append(blocks, hooks.At(hooks.ResidPost, l).String())
			}
			h, err := steering.Load(fmt.Sprintf("vector:%s:%s@%s", path, run.Method, strings.Join(blocks, ",")))
			if err != nil {
				t.Fatal(err)
			}
			v, err := steering.ReadVector(steering.Source{Path: path, Family: run.Method})
			if err != nil {
				t.Fatal(err)
			}
			h.Strength().Set(float32(run.Strength / dot.Length(v.Direction(run.Layers[0])))) // of many blocks all are of unit length
			s, err := meter.Steer(h)
			if err != nil {
				t.Fatal(err)
			}
			p, err := s.At(t.Context(), run.Strength)
			s.Close()
			if err != nil {
				t.Fatal(err)
			}
			for k := range run.Diff {
				// Logits of a float32 run agree to 5e-3; a divergence of some tenths then to about as much.
				if math.Abs(p.Values[k]-run.Diff[k]) > 5e-3 || math.Abs(p.KLs[k]-run.KL[k]) > 5e-3 {
					t.Errorf("%s, %s, prompt %d: logit difference %.4f, KL %.4f; transformers %.4f, %.4f", name, run.Tag, k, p.Values[k], p.KLs[k], run.Diff[k], run.KL[k])
				}
			}
		}
	}
}

// TestFindOnRealVectors: budgets are met within 5 %, a larger one by a larger strength with a larger effect, and a vector that does the opposite of what it is
// for is said to.
func TestFindOnRealVectors(t *testing.T) {
	m := smollm2(t, runtime.Config{})
	for _, tc := range []struct {
		name, family, site string
		works              bool
	}{
		{"happy-vs-sad", "pca_diff", "resid_post.14", true},
		{"sentiment-sst", "diffmean", "resid_post.17", true},
		{"refusal-xstest", "diffmean", "resid_post.14", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := recorded(t, tc.name)
			meter, err := NewMeter(t.Context(), m, e.PromptIDs, words(t, m, &e))
			if err != nil {
				t.Fatal(err)
			}
			path := fixture.Path(t, "fixtures-dictionaries/concepts/"+tc.name+".vectors.safetensors")
			var before Point
			for _, budget := range []float64{0.05, 0.2, 0.5} {
				h, err := steering.Load("vector:" + path + ":" + tc.family + "@" + tc.site)
				if err != nil {
					t.Fatal(err)
				}
				d, err := meter.Find(t.Context(), h, budget, 0, nil)
				if err != nil {
					t.Fatal(err)
				}
				at := d.Result.At
				if !d.Result.Met || math.Abs(at.KL/budget-1) > 0.05 {
					t.Errorf("budget %g: met %v at strength %g, KL %g", budget, d.Result.Met, at.Strength, at.KL)
				}
				if at.Strength <= before.Strength || (tc.works && at.Effect <= before.Effect) || at.Ratio <= before.Ratio {
					t.Errorf("budget %g: strength %g, effect %g, ratio %g; of the smaller budget %g, %g, %g",
						budget, at.Strength, at.Effect, at.Ratio, before.Strength, before.Effect, before.Ratio)
				}
				if d.Works == nil || *d.Works != tc.works || strings.Contains(d.Verdict, "does not work") == tc.works {
					t.Errorf("budget %g: %s; want that it works: %v", budget, d.Verdict, tc.works)
				}
				before = at
			}
		})
	}
}

// TestFindSaysWhatBreaks: far beyond its dose a vector breaks the text, and a budget beyond what can be reached is said not to be met.
func TestFindSaysWhatBreaks(t *testing.T) {
	m := smollm2(t, runtime.Config{})
	e := recorded(t, "happy-vs-sad")
	meter, err := NewMeter(t.Context(), m, e.PromptIDs[:2], words(t, m, &e))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := meter.Write(t.Context(), 24)
	if err != nil {
		t.Fatal(err)
	}
	path := fixture.Path(t, "fixtures-dictionaries/concepts/happy-vs-sad.vectors.safetensors")
	for _, tc := range []struct {
		spec   string
		budget float64
		met    bool
		say    string
	}{
		{"vector:" + path + ":diffmean", 6, true, "the text"},
		{"project:" + path + ":diffmean@resid_post.14", 50, false, "the budget cannot be met: up to strength 1"},
	} {
		h, err := steering.Load(tc.spec)
		if err != nil {
			t.Fatal(err)
		}
		d, err := meter.Find(t.Context(), h, tc.budget, 24, plain)
		if err != nil {
			t.Fatal(err)
		}
		if d.Result.Met != tc.met || !strings.Contains(d.Verdict, tc.say) {
			t.Errorf("%s: met %v, %s; want %q\n%+v", tc.spec, d.Result.Met, d.Verdict, tc.say, d.Text)
		}
	}
}
