// SPDX-License-Identifier: Apache-2.0

package fidelity

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/corpus"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering/dictionary"
)

func open(t *testing.T, path string, c runtime.Config) *runtime.Model {
	t.Helper()
	if _, err := runtime.FindLibrary(); err != nil && os.Getenv("TRIMTAB_REQUIRE_NATIVE") != "1" {
		t.Skip(err)
	}
	m, err := runtime.Open(path, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// mirror is a dictionary whose reconstruction is factor times the activation plus a bias: one feature for each sign of each number.
func mirror(t *testing.T, width int, factor float32, bias []float32) *dictionary.Dictionary {
	t.Helper()
	f := &dictionary.Form{In: width, Out: width, N: 2 * width, Enc: make([]float32, 2*width*width), Dec: make([]float32, 2*width*width), DecBias: bias}
	for i := range width {
		f.Enc[2*i*width+i], f.Enc[(2*i+1)*width+i] = 1, -1
		f.Dec[2*i*width+i], f.Dec[(2*i+1)*width+i] = factor, -factor
	}
	d, err := dictionary.New(f)
	if err != nil {
		t.Fatal(err)
	}
	d.Name = "mirror"
	d.Address.Site = hooks.At(hooks.ResidPost, 1)
	d.Address.Out = d.Address.Site
	return d
}

func texts(n, tokens, vocab int) *corpus.Corpus {
	c := &corpus.Corpus{Sources: n, Tokens: n * tokens}
	for i := range n {
		var ids []int32
		for j := range tokens {
			ids = append(ids, int32((i*i*31+j*j*7+3*j)%vocab))
		}
		c.Sequences = append(c.Sequences, corpus.Sequence{IDs: ids, Source: i})
	}
	return c
}

// TestKnownReconstructions has dictionaries of which everything is known: a perfect one, one that is the mean, and one that halves.
func TestKnownReconstructions(t *testing.T) {
	m := open(t, fixture.Path(t, "fixtures/gguf/llama/f32.gguf"), runtime.Config{Quant: runtime.Float32})
	width := m.Shape().Width
	c := texts(12, 20, m.Shape().Vocab)
	perfect := mirror(t, width, 1, nil)
	got, err := Run(t.Context(), m, []*dictionary.Dictionary{perfect, mirror(t, width, 0.5, nil)}, c, Options{Loss: true, Dark: true})
	if err != nil {
		t.Fatal(err)
	}
	whole, half := got[0], got[1]
	// Activations pass through an encoder in float32 and a sum of one number.
	if whole.FVU > 1e-9 || whole.Cosine < 1-1e-6 || whole.L0 != float64(width) || whole.Rows != 12*19 || whole.LeftOut != 12 {
		t.Errorf("a perfect dictionary: %+v, want an FVU of 0 and L0 %d on %d rows, 12 left out", whole, width, 12*19)
	}
	if l := whole.Loss; math.Abs(l.Spliced-l.Clean) > 1e-4 || math.Abs(l.Recovered-1) > 1e-2 || l.Tokens != 12*19 || l.Ablated == l.Clean {
		t.Errorf("a perfect dictionary: loss %+v, want it spliced as clean, and another ablated, on %d tokens", l, 12*19)
	}
	// Its error is half the activation: linear through and through, and what gradient pursuit finds is the activation itself.
	if s := half.Dark.Own; math.Abs(s.R2-1) > 1e-6 || math.Abs(s.Nonlinear) > 1e-9 || s.FVU < 0.25 || half.Dark.Learnt+s.Rows != 12*19 {
		t.Errorf("a dictionary that halves: %+v, want an error that is linear", s)
	}
	s, mean := perfect.NewFidelity(), make([]float32, width)
	for _, text := range c.Sequences {
		rows, err := m.Trace(t.Context(), text.IDs, runtime.TraceOptions{Sites: []hooks.Site{perfect.Address.Site}})
		if err != nil {
			t.Fatal(err)
		}
		for x := rows[0].Data[width:]; len(x) > 0; x = x[width:] {
			s.Add(nil, x[:width], x[:width])
		}
	}
	s.Mean(mean)
	got, err = Run(t.Context(), m, []*dictionary.Dictionary{mirror(t, width, 0, mean)}, c, Options{Loss: true})
	if err != nil {
		t.Fatal(err)
	}
	if l := got[0].Loss; math.Abs(l.Spliced-l.Ablated) > 1e-4 || math.Abs(got[0].FVU-1) > 1e-5 {
		t.Errorf("a dictionary of the mean: FVU %g, loss %+v, want 1, and it spliced as ablated", got[0].FVU, l)
	}
}

func TestRunRefuses(t *testing.T) {
	m := open(t, fixture.Path(t, "fixtures/gguf/llama/f32.gguf"), runtime.Config{})
	nowhere, wide, few := mirror(t, 4, 1, nil), mirror(t, 4, 1, nil), mirror(t, m.Shape().Width, 1, nil)
	nowhere.Address = dictionary.NoAddress()
	for _, c := range []struct {
		d    *dictionary.Dictionary
		want string
	}{{nowhere, "do not say where"}, {wide, "want a dictionary of the width of resid_post.1"}, {few, "want at least 64 rows"}} {
		_, err := Run(t.Context(), m, []*dictionary.Dictionary{c.d}, texts(2, 5, m.Shape().Vocab), Options{Dark: true})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Run = %v, want an error about %q", err, c.want)
		}
	}
}

// TestStatisticsOfRealDictionaries measures the SAEs of the fixtures on some of the sequences that lie beside them. Those of their stats.json are others of the
// same collection, hence the room: between sequences the loss differs by 0.2 and the FVU by 0.03.
func TestStatisticsOfRealDictionaries(t *testing.T) {
	if testing.Short() {
		t.Skip("runs 7,000 tokens of a model of 135 million weights")
	}
	root := fixture.Path(t, "fixtures-dictionaries/smollm2-135m")
	m := open(t, fixture.SmolLM2(t), runtime.Config{Quant: runtime.Float32})
	c, err := corpus.Load([]string{filepath.Join(root, "itda-l14/corpus_ids.safetensors")}, m, corpus.Options{Piece: 128, Dialogue: 128, Limit: 8})
	if err != nil {
		t.Fatal(err)
	}
	var dicts []*dictionary.Dictionary
	names := []string{"topk-l14", "matryoshka-l14", "topk-l22"}
	for _, name := range names {
		d, err := dictionary.Open(filepath.Join(root, name), dictionary.Options{})
		if err != nil {
			t.Fatal(err)
		}
		dicts = append(dicts, d)
	}
	got, err := Run(t.Context(), m, dicts, c, Options{Loss: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range got {
		var want struct {
			FVU       float64 `json:"f16_heldout_fvu"`
			L0        float64 `json:"f16_heldout_l0"`
			Cosine    float64 `json:"heldout_cosine"`
			Clean     float64 `json:"ce_clean"`
			Spliced   float64 `json:"ce_spliced"`
			Ablated   float64 `json:"ce_mean"`
			Recovered float64 `json:"ce_recovered_vs_mean"`
		}
		data, err := os.ReadFile(filepath.Join(root, names[i], "stats.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %+v, %+v", names[i], r.Quality, *r.Loss)
		for _, f := range []struct {
			name              string
			got, want, within float64
		}{
			{"FVU", r.FVU, want.FVU, 0.04},
			{"L0", r.L0, want.L0, 2},
			{"cosine", r.Cosine, want.Cosine, 0.012},
			{"spliced less clean", r.Loss.Spliced - r.Loss.Clean, want.Spliced - want.Clean, 0.13},
			{"ablated less clean", r.Loss.Ablated - r.Loss.Clean, want.Ablated - want.Clean, 0.8},
			{"recovered", r.Loss.Recovered, want.Recovered, 0.025},
		} {
			if math.Abs(f.got-f.want) > f.within {
				t.Errorf("%s: %s = %.4f, want %.4f within %g", names[i], f.name, f.got, f.want, f.within)
			}
		}
	}
}
