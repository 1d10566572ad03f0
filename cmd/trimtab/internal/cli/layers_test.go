// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/safetensors"
)

// perturbed copies a model with noise on every matrix, a share of its own standard deviation.
func perturbed(t *testing.T, model string, seed uint64, share float64) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"} {
		text, err := os.ReadFile(filepath.Join(model, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := safetensors.Open(filepath.Join(model, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(seed, 9))
	var out []safetensors.Tensor
	for _, tensor := range f.Tensors {
		values, err := tensor.AppendFloat32(nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(tensor.Shape) == 2 {
			square := 0.0
			for _, v := range values {
				square += float64(v) * float64(v)
			}
			deviation := share * math.Sqrt(square/float64(len(values)))
			for i := range values {
				values[i] += float32(deviation * r.NormFloat64())
			}
		}
		out = append(out, safetensors.Float32Tensor(tensor.Name, values, tensor.Shape...))
	}
	if err := safetensors.Write(filepath.Join(dir, "model.safetensors"), out, f.Metadata); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestLayerMatching is the experiment of arXiv 2505.17769, section 5, on models that differ by noise in place of a seed: how often the most similar place of a
// model is the same place of its perturbed twin, by each measure. The figures are printed;
// what is held is that the Jaccard index finds places at all: here the measures on activations find more of them.
func TestLayerMatching(t *testing.T) {
	needRuntime(t)
	if testing.Short() {
		t.Skip("runs a model over some thousand tokens, several times")
	}
	model := fixture.Path(t, "organism/model")
	const sites = "resid_mid.*,resid_post.*"
	fit := func(model string) string {
		dir := t.TempDir()
		ok(t, "", "fit", "itda", model, "--site", sites, "--text", organismTexts(t), "--sequences", "250", "--threshold", "cos:0.9", "-k", "8", "-o", dir)
		return dir
	}
	plain := fit(model)
	var names []string
	report, least := "", 0.0
	for _, share := range []float64{0.2, 0.4, 0.6} {
		twin := perturbed(t, model, 1, share)
		var c compared
		text := ok(t, "", "compare", plain, fit(twin), "--json", "--models", model+","+twin, "--text", organismTexts(t), "--sequences", "60")
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		names = names[:0]
		report += fmt.Sprintf("\nnoise %.1f:", share)
		for _, r := range c.Results {
			names = append(names, r.Measure)
			report += fmt.Sprintf("  %s %.2f", r.Measure, r.Matched)
		}
		if share == 0.2 {
			least = c.Results[0].Matched
		}
	}
	t.Logf("share of the eight places found:%s", report)
	if least < 0.5 { // by chance one in eight
		t.Errorf("the Jaccard index finds %.2f of the places under little noise, want at least half", least)
	}
	if len(names) != 5 || !strings.HasPrefix(names[0], "ITDA") {
		t.Errorf("measures %v, want five", names)
	}
}
