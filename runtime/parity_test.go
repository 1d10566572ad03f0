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

// tolerances reads the largest deviation that the fixture allows: 20 times the measured difference between float32 and float64, at least 1e-4.
func tolerances(t *testing.T, dir string) float64 {
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Tolerance map[string]any }
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	worst := 0.0
	for _, v := range m.Tolerance {
		if f, ok := v.(float64); ok {
			worst = max(worst, f)
		}
	}
	return worst
}

func TestModelsMatchTransformers(t *testing.T) {
	// Files of quantised weights are compared with transformers run on the dequantised weights.
	const llama, k256 = "fixtures/gguf/llama/", "fixtures/gguf/llama_k256/"
	for _, c := range []struct {
		file, reference, manifest string
	}{
		{llama + "f32.gguf", "fixtures/models/llama/reference.safetensors", "fixtures/models/llama"},
		{llama + "f16.gguf", llama + "f16.reference.safetensors", "fixtures/models/llama"},
		{llama + "q8_0.gguf", llama + "q8_0.reference.safetensors", "fixtures/models/llama"},
		{llama + "q5_1.gguf", llama + "q5_1.reference.safetensors", "fixtures/models/llama"},
		{llama + "q5_0.gguf", llama + "q5_0.reference.safetensors", "fixtures/models/llama"},
		{llama + "q4_1.gguf", llama + "q4_1.reference.safetensors", "fixtures/models/llama"},
		{llama + "q4_0.gguf", llama + "q4_0.reference.safetensors", "fixtures/models/llama"},
		{k256 + "q3_k_m.gguf", k256 + "q3_k_m.reference.safetensors", "fixtures/models/llama"},
		{k256 + "q4_k_m.gguf", k256 + "q4_k_m.reference.safetensors", "fixtures/models/llama"},
		{k256 + "q5_k_m.gguf", k256 + "q5_k_m.reference.safetensors", "fixtures/models/llama"},
		{k256 + "q6_k.gguf", k256 + "q6_k.reference.safetensors", "fixtures/models/llama"},
	} {
		t.Run(strings.TrimPrefix(c.file, "fixtures/gguf/"), func(t *testing.T) {
			ref := openReference(t, fixture.Path(t, c.reference))
			m := open(t, fixture.Path(t, c.file), Config{Quant: Float32})
			limit := tolerances(t, fixture.Path(t, c.manifest))
			for _, p := range []string{"p0.", "p1."} {
				compareSites(t, m, ref, p, limit)
				compareGreedy(t, m, ref, p)
			}
		})
	}
}

// compareSites holds every tensor of the reference that names a site against a trace.
func compareSites(t *testing.T, m *Model, ref reference, prefix string, limit float64) {
	t.Helper()
	var sites []hooks.Site
	for _, x := range ref.file.Tensors {
		name, ok := strings.CutPrefix(x.Name, prefix)
		if s, err := hooks.ParseSite(name); ok && err == nil && s.Point != hooks.ExpertIDs && s.Point != hooks.RouterWeights {
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
		if d := deviation(c.Data, ref.floats(prefix+c.Site.String())); !(d <= limit) {
			t.Errorf("%s%s is %.2e standard deviations off, want at most %.1e", prefix, c.Site, d, limit)
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
