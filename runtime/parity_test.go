// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/safetensors"
)

// open loads a model for a test; where ONNX Runtime is absent the test is skipped, unless native parts are required.
func open(tb testing.TB, path string, c Config) *Model {
	tb.Helper()
	if _, err := FindLibrary(); err != nil {
		if os.Getenv("TRIMTAB_REQUIRE_NATIVE") == "1" {
			tb.Fatal(err)
		}
		tb.Skip(err)
	}
	if c.Threads == 0 {
		c.Threads = 2
	}
	m, err := Open(path, c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := m.Close(); err != nil {
			tb.Error(err)
		}
	})
	return m
}

func newSession(tb testing.TB, m *Model) *Session {
	tb.Helper()
	s, err := m.NewSession()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// reference is one file of values computed by Hugging Face transformers (versions in the fixtures' README).
type reference struct {
	tb   testing.TB
	file *safetensors.File
}

func openReference(tb testing.TB, path string) reference {
	tb.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	return reference{tb, f}
}

func (r reference) floats(name string) []float32 {
	r.tb.Helper()
	v, err := r.file.Float32(name)
	if err != nil {
		r.tb.Fatal(err)
	}
	return v
}

func (r reference) ids(name string) []int32 {
	r.tb.Helper()
	t, ok := r.file.Tensor(name)
	if !ok {
		r.tb.Fatalf("reference has no %s", name)
	}
	wide, err := t.AppendInt64(nil)
	if err != nil {
		r.tb.Fatal(err)
	}
	out := make([]int32, len(wide))
	for i, v := range wide {
		out[i] = int32(v)
	}
	return out
}

// deviation is max |got - want| in standard deviations of want.
func deviation(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var worst, sum, squares float64
	for i, w := range want {
		worst = max(worst, math.Abs(float64(got[i])-float64(w)))
		sum += float64(w)
		squares += float64(w) * float64(w)
	}
	n := float64(len(want))
	return worst / math.Sqrt(squares/n-sum*sum/n/n)
}

// manifest is what the fixtures say of a model: the largest deviation that each kind of tensor may have, 20 times the measured difference between float32 and float64
// and at least 1e-4, and whether the block is parallel, so that nothing stands at resid_mid.
type manifest struct {
	Tolerance map[string]any
	Residual  struct{ Parallel bool }
}

func readManifest(t *testing.T, dir string) manifest {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m manifest) limit() float64 {
	worst := 0.0
	for _, v := range m.Tolerance {
		if f, ok := v.(float64); ok {
			worst = max(worst, f)
		}
	}
	return worst
}

// fixtureModel is a model with the values that transformers computes with its weights, those of a quantised file dequantised.
type fixtureModel struct{ name, path, reference, manifest string }

// fixtureModels lists every model of the fixtures: folders, and GGUF files of the same weights.
func fixtureModels(t *testing.T) []fixtureModel {
	t.Helper()
	folders, files := fixture.Path(t, "fixtures/models"), fixture.Path(t, "fixtures/gguf")
	var out []fixtureModel
	for _, path := range glob(t, filepath.Join(folders, "*")) {
		out = append(out, fixtureModel{filepath.Base(path), path, filepath.Join(path, "reference.safetensors"), path})
	}
	for _, path := range glob(t, filepath.Join(files, "*", "*.gguf")) {
		family, kind := filepath.Base(filepath.Dir(path)), strings.TrimSuffix(filepath.Base(path), ".gguf")
		m := fixtureModel{"gguf/" + family + "/" + kind, path, strings.TrimSuffix(path, "gguf") + "reference.safetensors", filepath.Join(folders, family)}
		if kind == "f32" {
			m.reference = filepath.Join(m.manifest, "reference.safetensors")
		}
		if family == "llama_k256" {
			m.manifest = filepath.Join(folders, "llama")
		}
		out = append(out, m)
	}
	return out
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) < 10 {
		t.Fatalf("glob %s: %d paths, %v", pattern, len(paths), err)
	}
	return paths
}

func TestModelsMatchTransformers(t *testing.T) {
	for _, c := range fixtureModels(t) {
		t.Run(c.name, func(t *testing.T) {
			ref, about := openReference(t, c.reference), readManifest(t, c.manifest)
			// Weights that are not quantised run exactly in their stored form too, through the project's own operators.
			for _, config := range []Config{{Quant: Float32}, {Quant: Keep, KV: KVFull}} {
				if config.Quant == Keep && strings.HasPrefix(c.name, "gguf/") {
					continue
				}
				m := open(t, c.path, config)
				for _, p := range []string{"p0.", "p1."} {
					compareSites(t, m, ref, p, about)
					compareGreedy(t, m, ref, p)
				}
			}
		})
	}
}

// TestFamiliesMatchTransformers holds families that the shared fixtures lack against goldens of this package: testdata/families/make.py makes them. The limit is
// that of the fixtures for models of this size.
func TestFamiliesMatchTransformers(t *testing.T) {
	limit := manifest{Tolerance: map[string]any{"all": 2e-4}}
	for _, path := range glob(t, filepath.Join("testdata", "families", "*", "config.json")) {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			ref := openReference(t, filepath.Join(dir, "reference.safetensors"))
			for _, config := range []Config{{Quant: Float32}, {Quant: Float32, Kernels: Own, KV: KVFull}} {
				m := open(t, dir, config)
				compareSites(t, m, ref, "p0.", limit)
				compareGreedy(t, m, ref, "p0.")
			}
		})
	}
}

// compareSites holds every tensor of the reference that names a site against a trace.
func compareSites(t *testing.T, m *Model, ref reference, prefix string, about manifest) {
	t.Helper()
	var sites []hooks.Site
	for _, x := range ref.file.Tensors {
		name, ok := strings.CutPrefix(x.Name, prefix)
		if s, err := hooks.ParseSite(name); ok && err == nil && (s.Point != hooks.ResidMid || !about.Residual.Parallel) {
			sites = append(sites, s)
		}
	}
	if len(sites) < 3 {
		t.Fatalf("the reference has only %d sites", len(sites))
	}
	got, err := m.Trace(t.Context(), ref.ids(prefix+"input_ids"), TraceOptions{Sites: sites})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range got {
		name := prefix + c.Site.String()
		if c.Site.Point == hooks.ExpertIDs {
			compareExperts(t, name, c, ref.ids(name))
			continue
		}
		if d := deviation(c.Data, ref.floats(name)); !(d <= about.limit()) {
			t.Errorf("%s is %.2e standard deviations off, want at most %.1e", name, d, about.limit())
		}
	}
}

// compareExperts wants the same experts in every row, in the same order but where two weights are all but equal.
func compareExperts(t *testing.T, name string, got Captured, want []int32) {
	t.Helper()
	for row := range len(want) / got.Width {
		w := slices.Sorted(slices.Values(want[row*got.Width:][:got.Width]))
		g := make([]int32, got.Width)
		for i, x := range got.Data[row*got.Width:][:got.Width] {
			g[i] = int32(x)
		}
		slices.Sort(g)
		if !slices.Equal(g, w) {
			t.Errorf("%s row %d = %v, want %v", name, row, g, w)
		}
	}
}

// TestOrganismMatchesReference runs the trained mixture-of-experts model over recorded conversations. The reference is float32 too: the limit is that of the
// fixtures for its family.
func TestOrganismMatchesReference(t *testing.T) {
	const limit = 2e-4
	ref := openReference(t, fixture.Path(t, "organism/prompts/reference.safetensors"))
	m := open(t, fixture.Path(t, "organism/model"), Config{Quant: Float32})
	for _, p := range []string{"p0.", "p1.", "p2.", "p3."} {
		ids := ref.ids(p + "input_ids")
		for point, name := range map[hooks.Point]string{
			hooks.RouterLogits: "router_logits", hooks.ExpertIDs: "topk_ids", hooks.RouterWeights: "gates", hooks.ResidPost: "resid_post",
		} {
			sites := make([]hooks.Site, m.Shape().Layers)
			for i := range sites {
				sites[i] = hooks.At(point, i)
			}
			got, err := m.Trace(t.Context(), ids, TraceOptions{Sites: sites})
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range got {
				n := len(ids) * c.Width
				if point == hooks.ExpertIDs {
					compareExperts(t, p+c.Site.String(), c, ref.ids(p + name)[i*n:][:n])
				} else if d := deviation(c.Data, ref.floats(p + name)[i*n:][:n]); !(d <= limit) {
					t.Errorf("%s%s is %.2e standard deviations off, want at most %.1e", p, c.Site, d, limit)
				}
			}
		}
		logits, err := m.Trace(t.Context(), ids, TraceOptions{Sites: []hooks.Site{hooks.Once(hooks.Logits)}})
		if err != nil {
			t.Fatal(err)
		}
		if d := deviation(logits[0].Data, ref.floats(p+"logits")); !(d <= limit) {
			t.Errorf("%slogits are %.2e standard deviations off, want at most %.1e", p, d, limit)
		}
	}
}

func compareGreedy(t *testing.T, m *Model, ref reference, prefix string) {
	t.Helper()
	want := ref.ids(prefix + "greedy")
	got := collect(t, newSession(t, m), ref.ids(prefix+"input_ids"), Options{MaxTokens: len(want), IgnoreEOS: true})
	if !slices.Equal(got, want) {
		t.Errorf("%sgreedy = %v, want %v", prefix, got, want)
	}
}

// collect generates and returns the ids.
func collect(tb testing.TB, s *Session, prompt []int32, o Options) []int32 {
	tb.Helper()
	var ids []int32
	for tok, err := range s.Generate(tb.Context(), prompt, o) {
		if err != nil {
			tb.Fatal(err)
		}
		ids = append(ids, tok.ID)
	}
	return ids
}
