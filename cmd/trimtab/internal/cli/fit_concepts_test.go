// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"io"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/gather"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering/concepts"
	"github.com/trimtab/trimtab/steering/dictionary"
	"github.com/trimtab/trimtab/steering/rules"
)

// conceptReference is concepts.json: what scikit-learn and SAELens made of the same sentences.
type conceptReference struct {
	Concepts map[string]struct {
		conceptTexts
		Original []int32   `json:"features_original_order"`
		Unique   []int32   `json:"features_unique_first"`
		Scores   []float64 `json:"scores"`
		Readers  map[string]struct {
			Features  []int32   `json:"features"`
			Weights   []float64 `json:"weights"`
			Threshold float64   `json:"threshold"`
			AUROC     float64   `json:"held_auroc"`
			Balanced  float64   `json:"held_balanced_accuracy"`
		} `json:"readers"`
		Top2 struct {
			Held []struct {
				Fired  []int   `json:"tokens_fired"`
				Global float64 `json:"global"`
			} `json:"held"`
		} `json:"code_top2"`
	} `json:"concepts"`
	Rules []struct{ Body, Head string } `json:"rules"`
	Texts []struct {
		IDs      []int32            `json:"ids"`
		Scores   map[string]float64 `json:"scores_multi5_max"`
		Detected []string           `json:"detected"`
		Closure  []string           `json:"closure"`
	} `json:"composed"`
}

func TestFitConceptsFindsWhatTheReferenceFound(t *testing.T) {
	if testing.Short() {
		t.Skip("runs some 400 sentences through a model in float32")
	}
	var ref conceptReference
	data, err := os.ReadFile(fixture.Path(t, "fixtures-dictionaries/concepts/concepts.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &ref); err != nil {
		t.Fatal(err)
	}
	m, err := runtime.Open(fixture.SmolLM2(t), runtime.Config{Quant: runtime.Float32, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	d, err := dictionary.Open(fixture.Path(t, "fixtures-dictionaries/smollm2-135m/topk-l14"), dictionary.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gather.New(m, d.Address.Site, d, false)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	list := readAll(t, g, &ref)
	fitted := compareReaders(t, &ref, list)
	compareTop2(t, &ref, list)
	compareTexts(t, &ref, g, fitted)
}

func readAll(t *testing.T, g *gather.Gatherer, ref *conceptReference) []concepts.Examples {
	t.Helper()
	v := &conceptsVerb{app: &app{err: io.Discard}, options: concepts.Defaults()}
	texts := map[string]conceptTexts{}
	for name, c := range ref.Concepts {
		texts[name] = c.conceptTexts
	}
	r := newConceptReader(v, g, texts)
	list, err := r.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// compareReaders fits all four readers of the reference and returns the one that its texts are detected by.
func compareReaders(t *testing.T, ref *conceptReference, list []concepts.Examples) []concepts.Concept {
	t.Helper()
	var multi []concepts.Concept
	for name, o := range map[string]concepts.Options{
		"single_max": {Kind: concepts.Single, Aggregate: concepts.Max}, "single_mean": {Kind: concepts.Single, Aggregate: concepts.Mean},
		"multi5_max": {Kind: concepts.Multi, Aggregate: concepts.Max}, "multi5_mean": {Kind: concepts.Multi, Aggregate: concepts.Mean},
	} {
		all := concepts.Defaults()
		all.Kind, all.Aggregate = o.Kind, o.Aggregate
		found, err := concepts.Fit(list, all)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range found {
			want := ref.Concepts[c.Name]
			if got := features(c.Candidates); !slices.Equal(got, want.Original) {
				t.Errorf("%s: features %v, want %v", c.Name, got, want.Original)
			}
			r := want.Readers[name]
			if !slices.Equal(c.Reader.Features, r.Features) {
				t.Errorf("%s, %s: reads %v, want %v", c.Name, name, c.Reader.Features, r.Features)
			}
			// 1e-3 relative and 0.01 are the fixtures' tolerances.
			if off := math.Abs(c.Reader.Threshold/r.Threshold - 1); off > 1e-3 {
				t.Errorf("%s, %s: threshold %v, want %v", c.Name, name, c.Reader.Threshold, r.Threshold)
			}
			if math.Abs(c.Held.AUROC-r.AUROC) > 0.01 {
				t.Errorf("%s, %s: AUROC %v, want %v", c.Name, name, c.Held.AUROC, r.AUROC)
			}
		}
		if name == "multi5_max" {
			multi = found
		}
	}
	unique := concepts.Defaults()
	unique.Order = concepts.UniqueFirst
	found, err := concepts.Fit(list, unique)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found {
		if got, want := features(c.Candidates), ref.Concepts[c.Name].Unique; !slices.Equal(got, want) {
			t.Errorf("%s: features with unique ones first %v, want %v", c.Name, got, want)
		}
	}
	return multi
}

func features(list []concepts.Scored) (out []int32) {
	for _, s := range list {
		out = append(out, s.Feature)
	}
	return out
}

// compareTop2 holds detection by the two largest features of each token to the released code's.
func compareTop2(t *testing.T, ref *conceptReference, list []concepts.Examples) {
	t.Helper()
	for _, e := range list {
		want := ref.Concepts[e.Name]
		r := concepts.Reader{Kind: concepts.Single, Features: want.Original[:1], Weights: []float64{1}, Top: 2}
		held := slices.Concat(e.Positive[28:], e.Negative[28:])
		for i, w := range want.Top2.Held {
			var fired []int
			sum := 0.0
			for p, token := range held[i] {
				if v := r.Value(token.Code, nil); token.Mark != concepts.Skip && v > 0 {
					fired = append(fired, p-1) // the reference counts from behind the begin token
					sum += v
				}
			}
			if !slices.Equal(fired, w.Fired) {
				t.Errorf("%s, held text %d: fires at %v, want %v", e.Name, i, fired, w.Fired)
			}
			// 1e-3, as for thresholds.
			if got := sum / float64(len(held[i])-1); math.Abs(got-w.Global) > 1e-3*max(w.Global, 1) {
				t.Errorf("%s, held text %d: global %v, want %v", e.Name, i, got, w.Global)
			}
		}
	}
}

// compareTexts detects concepts in texts of two sentences and draws the reference's conclusions.
func compareTexts(t *testing.T, ref *conceptReference, g *gather.Gatherer, fitted []concepts.Concept) {
	t.Helper()
	src := ""
	for _, r := range ref.Rules {
		src += r.Body + " -> " + r.Head + "\n"
	}
	p, err := rules.Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	machine, err := p.Compile(p.World)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range ref.Texts {
		read, err := g.ReadIDs(t.Context(), text.IDs)
		if err != nil {
			t.Fatal(err)
		}
		var facts []rules.Literal
		var detected []string
		for j := range fitted {
			c := &fitted[j]
			score := c.Cases(&concepts.Examples{Positive: []concepts.Sample{read.Sample}})[0].Score
			// 1e-3 of a typical score, as for thresholds.
			if want := text.Scores[c.Name]; math.Abs(score-want) > 1e-3*max(want, 5) {
				t.Errorf("text %d: %s scores %v, want %v", i, c.Name, score, want)
			}
			if score >= c.Reader.Threshold {
				facts, detected = append(facts, rules.Is(c.Name)), append(detected, c.Name)
			}
		}
		slices.Sort(text.Detected)
		if !slices.Equal(detected, text.Detected) {
			t.Errorf("text %d: detected %v, want %v", i, detected, text.Detected)
		}
		closure := slices.Clone(detected)
		for _, l := range machine.Infer(facts...).Derived() {
			closure = append(closure, l.Name)
		}
		slices.Sort(closure)
		if !slices.Equal(closure, text.Closure) {
			t.Errorf("text %d: closure %v, want %v", i, closure, text.Closure)
		}
	}
}
