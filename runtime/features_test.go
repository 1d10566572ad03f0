// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/safetensors"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/dictionary"
)

func load(t testing.TB, spec string) steering.Hook {
	t.Helper()
	h, err := steering.Load(spec)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// logitsBehind runs ids alone under the given hooks and returns the last logits.
func logitsBehind(t testing.TB, m *Model, ids []int32, list ...hooks.Hook) []float32 {
	t.Helper()
	s := newSession(t, m)
	for _, h := range list {
		if _, err := s.Attach(h); err != nil {
			t.Fatal(err)
		}
	}
	var out []float32
	err := s.Read(t.Context(), ids, func(_ int, logits []float32) error {
		out = append(out[:0], logits...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// featureReference is reference.json of a dictionary trained on SmolLM2.
type featureReference struct {
	Edit struct {
		IDs  []int32 `json:"prompt_ids"`
		Runs []struct {
			Feature *int      `json:"feature"`
			Value   float32   `json:"value"`
			IDs     []int     `json:"top_ids"`
			Logits  []float32 `json:"top_logits"`
		}
	}
}

// TestFeatureEditsGiveTheRecordedLogits sets single features as transformers did. The reference edits every position but 0.
func TestFeatureEditsGiveTheRecordedLogits(t *testing.T) {
	m := open(t, fixture.SmolLM2(t), Config{Quant: Float32})
	for _, name := range []string{"topk-l14", "topk-l22", "matryoshka-l14"} {
		dir := fixture.Path(t, "fixtures-dictionaries/smollm2-135m/"+name)
		var ref featureReference
		readJSON(t, filepath.Join(dir, "reference.json"), &ref)
		for _, r := range ref.Edit.Runs {
			var list []hooks.Hook
			if r.Feature != nil {
				list = append(list, load(t, fmt.Sprintf("sae:%s#%d=%g", dir, *r.Feature, r.Value)))
			}
			got := logitsBehind(t, m, ref.Edit.IDs, list...)
			for i, id := range r.IDs {
				// 5e-3 is the fixtures' own tolerance for an f32 run.
				if off := math.Abs(float64(got[id] - r.Logits[i])); off > 5e-3 {
					t.Errorf("%s, run %v = %g: logit of token %d is %v, want %v", name, r.Feature, r.Value, id, got[id], r.Logits[i])
				}
			}
		}
	}
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// corpus returns rows of 128 token ids of real text.
func corpus(t testing.TB, rows int) [][]int32 {
	t.Helper()
	f, err := safetensors.Open(fixture.Path(t, "fixtures-dictionaries/smollm2-135m/itda-l14/corpus_ids.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, _ := f.Tensor("corpus_ids")
	out := make([][]int32, rows)
	for r := range out {
		for c := range 128 {
			out[r] = append(out[r], int32(binary.LittleEndian.Uint32(all.Data[4*(128*r+c):])))
		}
	}
	return out
}

// TestCodesBesideTheModelAreThePlainCodersOwn compares 1,000 rows of real activations, as the hook sees them beside the model, with the plain encoder.
func TestCodesBesideTheModelAreThePlainCodersOwn(t *testing.T) {
	m := open(t, fixture.SmolLM2(t), Config{})
	for _, c := range []struct {
		kind, name, site string
		texts            int
	}{{"sae:", "topk-l14", "", 8}, {"sae:", "topk-l22", "", 2}, {"sae:", "matryoshka-l14", "", 2}, {"itda:", "itda-l14", "@resid_post.14", 2}} {
		t.Run(c.name, func(t *testing.T) {
			compareCodes(t, m, load(t, c.kind+fixture.Path(t, "fixtures-dictionaries/smollm2-135m/"+c.name)+c.site).(*steering.Features), c.texts)
		})
	}
	t.Run("both topk side by side", func(t *testing.T) {
		f := sideBySide(t, "topk-l14", "topk-l22")
		if bits := f.Dictionary().Bits(); bits != 6 {
			t.Fatalf("the wide dictionary is rounded to %d bits, want 6", bits)
		}
		compareCodes(t, m, f, 8)
	})
}

// sideBySide is a real dictionary with the features of a second one behind its own.
func sideBySide(t *testing.T, first, second string) *steering.Features {
	t.Helper()
	var list [2]*dictionary.Dictionary
	for i, name := range []string{first, second} {
		list[i] = load(t, "sae:"+fixture.Path(t, "fixtures-dictionaries/smollm2-135m/"+name)).(*steering.Features).Dictionary()
	}
	a, b := *list[0].Form, list[1].Form
	a.N += b.N
	a.Enc, a.EncBias, a.Dec = slices.Concat(a.Enc, b.Enc), slices.Concat(a.EncBias, b.EncBias), slices.Concat(a.Dec, b.Dec)
	d, err := dictionary.New(&a)
	if err != nil {
		t.Fatal(err)
	}
	d.Address, d.Name = list[0].Address, first+"+"+second
	f, err := steering.NewFeatures(steering.Spec{Kind: steering.KindSAE}, d, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func compareCodes(t *testing.T, m *Model, f *steering.Features, texts int) {
	f.Top = 1 << 20
	s := newSession(t, m)
	var rows []float32
	places, err := f.Sites(&m.shape)
	if err != nil {
		t.Fatal(err)
	}
	watch := hooks.Tap{Name: "rows", Site: places[0].Site, ReadOnly: true, Func: func(a *hooks.Activation) error {
		rows = append(rows[:0], a.Data...)
		return nil
	}}
	for _, h := range []hooks.Hook{f, plan(hooks.Plan{Taps: []hooks.Tap{watch}})} {
		if _, err := s.Attach(h); err != nil {
			t.Fatal(err)
		}
	}
	coder, seen, flips := f.Dictionary().NewCoder(), 0, 0
	for _, ids := range corpus(t, texts) {
		s.Forget()
		if err := s.Read(t.Context(), ids, nil); err != nil {
			t.Fatal(err)
		}
		codes := map[int]map[int32]float32{}
		for _, r := range s.pass.wishes.readings {
			if r.Kind != hooks.Feature {
				continue
			}
			if codes[r.Position] == nil {
				codes[r.Position] = map[int32]float32{}
			}
			codes[r.Position][r.Index] = r.Value
		}
		for position, got := range codes {
			x := rows[position*m.shape.Width:][:m.shape.Width]
			seen++
			flips += compareCode(t, coder.Encode(nil, x), got)
		}
	}
	if seen < texts*115 {
		t.Errorf("%d rows of %d were compared", seen, 128*texts)
	}
	// Features whose pre-activations are within 1e-5 of each other may take each other's place.
	if flips > seen/200 {
		t.Errorf("%d of %d rows have another support", flips, seen)
	}
}

// compareCode returns 1 where the supports differ; values may differ by 1e-4, since products are summed in another order.
func compareCode(t *testing.T, want []dictionary.Feature, got map[int32]float32) int {
	t.Helper()
	if len(got) != len(want) {
		return 1
	}
	for _, z := range want {
		v, ok := got[z.Index]
		if !ok {
			return 1
		}
		if off := math.Abs(float64(v - z.Value)); off > 1e-4*math.Max(1, math.Abs(float64(z.Value))) {
			t.Errorf("feature %d is %v, want %v", z.Index, v, z.Value)
		}
	}
	return 0
}

// TestWatchingAndIdleEditsLeaveEveryBit: watching, strength 0, and setting features to the values that they have.
func TestWatchingAndIdleEditsLeaveEveryBit(t *testing.T) {
	m := open(t, fixture.SmolLM2(t), Config{})
	dir := fixture.Path(t, "fixtures-dictionaries/smollm2-135m/topk-l14")
	ids := corpus(t, 1)[0][:40]
	plain := logitsBehind(t, m, ids)
	off := load(t, "sae:"+dir+"#3548+=60")
	off.Strength().Set(0)
	for name, h := range map[string]hooks.Hook{
		"watching": load(t, "sae:"+dir), "strength 0": off, "scaled by 1": load(t, "sae:"+dir+"#3548*=1,12*=1"), "at least 0": load(t, "sae:"+dir+"#3548>=0"),
	} {
		if !sameBits(plain, logitsBehind(t, m, ids, h)) {
			t.Errorf("%s: the logits are not those of no hook", name)
		}
	}
	if sameBits(plain, logitsBehind(t, m, ids, load(t, "sae:"+dir+"#3548+=60"))) {
		t.Error("adding 60 to a feature changes nothing")
	}
}

// TestFeaturesRefused: what cannot work is refused at attach, by what was wanted and found.
func TestFeaturesRefused(t *testing.T) {
	m := tiny(t, Config{})
	s := newSession(t, m)
	dir := fixture.Path(t, "fixtures-dictionaries/smollm2-135m/topk-l14")
	for spec, want := range map[string]string{
		"sae:" + dir: "resid_post.14", "sae:" + dir + "@resid_post.1": "want a dictionary of the site's width", "sae:" + dir + "@resid_post.0-1": "want one site",
	} {
		if _, err := s.Attach(load(t, spec)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", spec, err, want)
		}
	}
	for spec, want := range map[string]string{
		"sae:" + dir + "#4608=1": "between 0 and 4607", "sae:" + dir + "#x=1": "whole number", "itda:" + dir: "dictionary of atoms", "sae:" + dir + "#3=": "finite number",
	} {
		if _, err := steering.Load(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", spec, err, want)
		}
	}
}

// randomForm is a dictionary with ReLU, so that a fixed share of its features is active.
func randomForm(in, out, n int, oneWay bool) *dictionary.Form {
	f := &dictionary.Form{In: in, Out: out, N: n, OneWay: oneWay, Enc: direction(n*in, 11), Dec: direction(n*out, 12), EncBias: direction(n, 13)}
	if oneWay {
		f.DecBias = direction(out, 14)
	}
	return f
}

// TestDictionariesAtEverySite: an edit changes the activation at the site that is written by what the plain coder says of the one that is read. A transcoder
// reads mlp_in and writes mlp_out of the same pass; an attention dictionary reads and writes the concatenated heads.
func TestDictionariesAtEverySite(t *testing.T) {
	m := tiny(t, Config{})
	for _, c := range []struct{ in, out hooks.Site }{
		{hooks.At(hooks.MLPIn, 1), hooks.At(hooks.MLPOut, 1)},
		{hooks.At(hooks.AttnZ, 1), hooks.At(hooks.AttnZ, 1)},
		{hooks.At(hooks.ResidMid, 0), hooks.At(hooks.ResidMid, 0)},
		{hooks.At(hooks.MLPIn, 0), hooks.At(hooks.MLPOut, 1)},
	} {
		t.Run(c.in.String()+" to "+c.out.String(), func(t *testing.T) {
			in, out := m.shape.Widths[c.in], m.shape.Widths[c.out]
			d, err := dictionary.New(randomForm(in, out, 70, c.in != c.out))
			if err != nil {
				t.Fatal(err)
			}
			d.Address.Site, d.Address.Out = c.in, c.out
			f, err := steering.NewFeatures(steering.Spec{Kind: steering.KindSAE, Text: "3=2.5,9+=1,40*=0", Massive: true}, d, nil)
			if err != nil {
				t.Fatal(err)
			}
			read, before, after := trace(t, m, c.in), trace(t, m, c.out), trace(t, m, c.out, f)
			edits, err := d.Edits(dictionary.Edit{Feature: 3, Op: dictionary.Set, Value: 2.5}, dictionary.Edit{Feature: 9, Op: dictionary.Add, Value: 1}, dictionary.Edit{Feature: 40, Op: dictionary.Scale})
			if err != nil {
				t.Fatal(err)
			}
			coder := d.NewCoder()
			for i := range prompt {
				x, want := read[i*in:][:in], slices.Clone(before[i*out:][:out])
				d.Edit(want, coder.Encode(nil, x), x, edits)
				for j, v := range after[i*out:][:out] {
					// The products of single rows are summed in another order.
					if off := math.Abs(float64(v - want[j])); off > 1e-4*(1+math.Abs(float64(want[j]))) {
						t.Fatalf("row %d, number %d is %v, want %v", i, j, v, want[j])
					}
				}
			}
		})
	}
}

// TestFeaturesWhere: edits of the prompt, of the answer and of special tokens alone reach those rows and no others.
func TestFeaturesWhere(t *testing.T) {
	m := open(t, fixture.SmolLM2(t), Config{})
	dir := fixture.Path(t, "fixtures-dictionaries/smollm2-135m/topk-l14")
	ids := []int32{1, 4093, 198, 31530, 549, 2, 198} // <|im_start|>user\nTell me<|im_end|>\n
	site := hooks.At(hooks.ResidPost, 14)
	run := func(list ...hooks.Hook) []float32 {
		got, err := m.Trace(t.Context(), ids, TraceOptions{Sites: []hooks.Site{site}, Hooks: list})
		if err != nil {
			t.Fatal(err)
		}
		return got[0].Data
	}
	plain, width := run(), m.shape.Width
	for spec, want := range map[string][]bool{
		"[special]":          {false, false, false, false, false, true, false},
		"[special,massive]":  {true, false, false, false, false, true, false},
		"[ordinary]":         {false, true, true, true, true, false, true},
		"[pos=2-3]":          {false, false, true, true, false, false, false},
		"[decode]":           {false, false, false, false, false, false, false},
		"[prefill,ordinary]": {false, true, true, true, true, false, true},
	} {
		got := run(load(t, "sae:"+dir+"#3548+=30"+spec))
		for i, changed := range want {
			if same := sameBits(got[i*width:][:width], plain[i*width:][:width]); same == changed {
				t.Errorf("%s: row %d changed: %t, want %t", spec, i, !same, changed)
			}
		}
	}
}

// TestSplicePutsTheReconstructionInPlace: with a strength of 1 the activation is the reconstruction, with 0.5 it is half way there.
func TestSplicePutsTheReconstructionInPlace(t *testing.T) {
	m := tiny(t, Config{})
	site := hooks.At(hooks.ResidPost, 0)
	width := m.shape.Widths[site]
	d, err := dictionary.New(randomForm(width, width, 70, false))
	if err != nil {
		t.Fatal(err)
	}
	d.Address.Site, d.Address.Out = site, site
	plain, coder, want := trace(t, m, site), d.NewCoder(), make([]float32, width)
	for _, share := range []float32{1, 0.5} {
		f, err := steering.NewFeatures(steering.Spec{Kind: steering.KindSAE, Text: "splice", Strength: &share, Massive: true}, d, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := trace(t, m, site, f)
		for i := range prompt {
			x := plain[i*width:][:width]
			d.Decode(want, coder.Encode(nil, x), x)
			for j, v := range got[i*width:][:width] {
				w := x[j] + share*(want[j]-x[j])
				if off := math.Abs(float64(v - w)); off > 1e-4*(1+math.Abs(float64(w))) {
					t.Fatalf("share %v, row %d, number %d is %v, want %v", share, i, j, v, w)
				}
			}
		}
	}
}
