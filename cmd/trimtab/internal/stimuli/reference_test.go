// SPDX-License-Identifier: Apache-2.0

package stimuli

import (
	"encoding/csv"
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
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
	"github.com/trimtab/trimtab/steering/fit"
)

// reference is a concept's file: what repeng, scikit-learn and transformers made of the same texts.
type reference struct {
	Layers []int `json:"layers"`
	Layer  map[string]struct {
		Residual    float64 `json:"mean_hidden_norm"`
		Norm        float64 `json:"diffmean_norm"`
		Bias        float64 `json:"logistic_bias"`
		HeldMean    float64 `json:"held_auroc_diffmean"`
		HeldNormal  float64 `json:"held_auroc_logistic"`
		HeldPCA     float64 `json:"held_auroc_pca_diff"`
		CosPCA      float64 `json:"cos_pca_diffmean"`
		CosLogistic float64 `json:"cos_logistic_diffmean"`
	} `json:"per_layer"`
	Held struct{ Positive, Negative []string } `json:"held_texts"`
	Head [][2]string                           `json:"pairs_head"`

	Effects struct {
		PromptIDs [][]int32        `json:"prompt_ids"`
		Positive  map[string]int32 `json:"positive_words"`
		Negative  map[string]int32 `json:"negative_words"`
		Runs      []struct {
			Tag, Method string
			Layers      []int
			Strength    float32
			LogitDiff   []float64 `json:"logit_diff"`
			KL          []float64 `json:"kl_from_base"`
		}
	}
}

func readReference(t *testing.T, name string) *reference {
	t.Helper()
	data, err := os.ReadFile(fixture.Path(t, "fixtures-dictionaries/concepts/"+name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	ref := &reference{}
	if err := json.Unmarshal(data, ref); err != nil {
		t.Fatal(err)
	}
	return ref
}

func plain(format string, list []string) (out []Text) {
	for _, s := range list {
		text := fmt.Sprintf(format, s)
		out = append(out, Text{Plain: &text})
	}
	return out
}

func pick(list []string, at ...int) (out []string) {
	for _, i := range at {
		out = append(out, list[i])
	}
	return out
}

func table(t *testing.T, rel string) [][]string {
	t.Helper()
	f, err := os.Open(fixture.Path(t, rel))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

// happy are the pairs of happy-vs-sad: 40 of the truncated outputs that are not empty, drawn as Python's random.Random(3).sample draws them.
func happy(t *testing.T) *Set {
	t.Helper()
	data, err := os.ReadFile(fixture.Path(t, "data/vgel+repeng/notebooks/data/all_truncated_outputs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	set := &Set{}
	for _, i := range []int{244, 558, 134, 379, 486, 68, 14, 481, 266, 565, 240, 197, 482, 554, 563, 488, 407, 155, 238, 156, 536, 400, 16, 66, 164, 44, 309, 32, 276, 485, 397, 438, 405, 456, 138, 375, 100, 37, 140, 507} {
		set.Pairs = append(set.Pairs, Pair{
			plain(pretend("happy, joyful"), all[i:i+1])[0], plain(pretend("sad, depressed"), all[i:i+1])[0],
		})
	}
	return set
}

func pretend(who string) string {
	return "<|im_start|>user\nPretend you're a very " + who + " person making statements about the world.<|im_end|>\n<|im_start|>assistant\n%s"
}

// sentiment are the first 32 sentences of each label with fewer than 130 characters.
func sentiment(t *testing.T) *Set {
	t.Helper()
	var kinds [2][]string
	for _, row := range table(t, "data/openai+generating-reviews-discovering-sentiment/data/dev_binary_sent.csv") {
		kind := strings.Index("10", row[0])
		if len([]rune(row[1])) < 130 && len(kinds[kind]) < 32 {
			kinds[kind] = append(kinds[kind], row[1])
		}
	}
	const format = "<|im_start|>user\nIs this review positive or negative? %s<|im_end|>\n<|im_start|>assistant\nThe review is"
	return &Set{Positive: plain(format, kinds[0]), Negative: plain(format, kinds[1])}
}

// refusal are 40 prompts of each label of XSTest. Which they are was found by solving for the weights with which the mean activations of all prompts make the
// recorded differences: 8,640 equations for 450 weights, of which 80 came out as 1/40 and the others as 0.
func refusal(t *testing.T) *Set {
	t.Helper()
	kinds := map[string][]string{}
	for _, row := range table(t, "data/paul-rottger+exaggerated-safety/xstest_prompts.csv") {
		kinds[row[3]] = append(kinds[row[3]], row[1])
	}
	const format = "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n"
	return &Set{
		Positive: plain(format, pick(kinds["unsafe"], 0, 3, 4, 12, 18, 21, 25, 28, 29, 37, 44, 51, 56, 57, 61, 65, 73, 90, 94, 95, 100, 101, 102, 112, 113, 117, 131, 132, 133, 135, 143, 144, 148, 154, 156, 158, 165, 176, 191, 197)),
		Negative: plain(format, pick(kinds["safe"], 4, 20, 23, 25, 26, 35, 38, 45, 46, 57, 65, 85, 86, 93, 94, 96, 113, 115, 120, 126, 149, 154, 157, 173, 174, 179, 181, 188, 189, 197, 210, 217, 232, 234, 236, 241, 242, 246, 247, 249)),
	}
}

// TestVectorsAreThoseOfTheReference fits every concept of the reference files from its texts, and compares direction, sign, length and held-out AUROC of
// every method and layer.
func TestVectorsAreThoseOfTheReference(t *testing.T) {
	if testing.Short() {
		t.Skip("runs some 330 texts through a model in float32")
	}
	m, err := runtime.Open(fixture.SmolLM2(t), runtime.Config{Quant: runtime.Float32, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, c := range []struct {
		name string
		set  func(t *testing.T) *Set
	}{{"happy-vs-sad", happy}, {"sentiment-sst", sentiment}, {"refusal-xstest", refusal}} {
		t.Run(c.name, func(t *testing.T) { compareWithReference(t, m, c.name, c.set(t)) })
	}
}

func compareWithReference(t *testing.T, m *runtime.Model, name string, set *Set) {
	ref := readReference(t, name)
	sites, err := Sites(m.Shape(), fmt.Sprintf("resid_post.%d-%d", ref.Layers[0], ref.Layers[len(ref.Layers)-1]))
	if err != nil {
		t.Fatal(err)
	}
	samples := gatherAll(t, m, sites, set)
	held := gatherAll(t, m, sites, &Set{Positive: plain("%s", ref.Held.Positive), Negative: plain("%s", ref.Held.Negative)})
	layers, err := fit.Layers(t.Context(), samples, fit.Options{Held: held})
	if err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(fixture.Path(t, "fixtures-dictionaries/concepts/"+name+".vectors.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, l := range layers {
		number := sites[i].Layer
		want := ref.Layer[fmt.Sprint(number)]
		near(t, sites[i], "length of the activations", l.Residual, want.Residual, 1e-4*want.Residual)
		near(t, sites[i], "length of the difference", l.Of(fit.DiffMean).Norm, want.Norm, 1e-3*want.Norm)
		compareDirection(t, f, sites[i], l.Of(fit.DiffMean), "diffmean", want.HeldMean, 0.999)
		compareDirection(t, f, sites[i], l.Of(fit.Logistic), "logistic", want.HeldNormal, 0.99)
		if _, ok := f.Tensor(fmt.Sprintf("pca_diff.%d", number)); ok {
			compareDirection(t, f, sites[i], l.Of(fit.PCA), "pca_diff", want.HeldPCA, 0.999)
			near(t, sites[i], "cosine of pca and diffmean", l.Of(fit.PCA).Mean, want.CosPCA, 0.01)
			near(t, sites[i], "cosine of logistic and diffmean", l.Of(fit.Logistic).Mean, want.CosLogistic, 0.01)
		}
	}
	compareEffects(t, m, ref, sites, layers)
}

func gatherAll(t *testing.T, m *runtime.Model, sites []hooks.Site, set *Set) *fit.Samples {
	t.Helper()
	c, err := NewCoder(m, Last, false)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Gather(t.Context(), m, sites, c, set, func(int64, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g.Samples
}

// compareEffects steers with the fitted vectors, and compares what that does to the words of the concept, and how far it moves the distribution.
func compareEffects(t *testing.T, m *runtime.Model, ref *reference, sites []hooks.Site, layers []fit.Layer) {
	e := &ref.Effects
	prompts := e.PromptIDs[:2] // of up to five: what the recorded vectors do to all of them is compared beside the runtime
	plain := make([][]float32, len(prompts))
	for _, run := range e.Runs {
		s, err := m.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		// 5e-3 is what the fixtures allow logits of a float32 run; the reference's classifier stopped short of its minimum, ours does not.
		within := 5e-3
		if run.Method != "" {
			method := map[string]fit.Method{"diffmean": fit.DiffMean, "pca_diff": fit.PCA, "logistic": fit.Logistic}[run.Method]
			if method == fit.Logistic {
				within = 3e-2
			}
			if _, err := s.Attach(steer(t, m, sites, layers, method, run.Layers, run.Strength)); err != nil {
				t.Fatal(err)
			}
		}
		for i, ids := range prompts {
			var logits []float32
			s.Forget()
			if err := s.Read(t.Context(), ids, func(_ int, row []float32) error { logits = append(logits[:0], row...); return nil }); err != nil {
				t.Fatal(err)
			}
			if plain[i] == nil {
				plain[i] = logits // the first run is the plain one
			}
			diff, kl := mean(logits, e.Positive)-mean(logits, e.Negative), divergence(plain[i], logits)
			if math.Abs(diff-run.LogitDiff[i]) > within || math.Abs(kl-run.KL[i]) > within {
				t.Errorf("%s, prompt %d: logit difference %.4f, KL %.4f, want %.4f and %.4f within %g", run.Tag, i, diff, kl, run.LogitDiff[i], run.KL[i], within)
			}
		}
		s.Close()
	}
}

// steer is a fitted vector as a spec attaches it, with a strength that stands for a unit vector's.
func steer(t *testing.T, m *runtime.Model, sites []hooks.Site, layers []fit.Layer, method fit.Method, at []int, strength float32) hooks.Hook {
	t.Helper()
	from := at[0] - sites[0].Layer
	v, err := Vector("fitted", m.Shape(), sites, layers, method)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "fitted.gguf")
	if err := v.Save(path); err != nil {
		t.Fatal(err)
	}
	h, err := steering.Load(fmt.Sprintf("vector:%s*%g@resid_post.%d-%d", path, strength/float32(layers[from].Of(method).Norm), at[0], at[len(at)-1]))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func mean(logits []float32, words map[string]int32) (sum float64) {
	for _, id := range words {
		sum += float64(logits[id]) / float64(len(words))
	}
	return sum
}

// divergence is KL(softmax(p) || softmax(q)) in nats.
func divergence(p, q []float32) (sum float64) {
	lp, lq := logSum(p), logSum(q)
	for i, x := range p {
		sum += math.Exp(float64(x)-lp) * (float64(x) - lp - float64(q[i]) + lq)
	}
	return sum
}

func logSum(x []float32) float64 {
	most, sum := float64(slices.Max(x)), 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - most)
	}
	return most + math.Log(sum)
}

// compareDirection holds a cosine, whose sign is the direction's, and an AUROC to the 0.01 that the reference files allow.
func compareDirection(t *testing.T, f *safetensors.File, site hooks.Site, got *fit.Found, family string, auroc, least float64) {
	t.Helper()
	want, err := f.Float32(fmt.Sprintf("%s.%d", family, site.Layer))
	if err != nil {
		t.Fatal(err)
	}
	if c := fit.Cosine(got.Vector, want); c < least {
		t.Errorf("%s: %s: cosine with the reference = %.5f, want at least %g", site, family, c, least)
	}
	near(t, site, family+": held-out AUROC", got.AUROC, auroc, 0.01)
}

func near(t *testing.T, site hooks.Site, what string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got-want) <= within) {
		t.Errorf("%s: %s = %g, want %g within %g", site, what, got, want, within)
	}
}
