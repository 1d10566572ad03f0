// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
)

// exportManifest is what the fixtures say of an export: which value is each residual, and how far its logits are from the reference.
type exportManifest struct {
	Model     string
	Reference string
	Greedy    map[string]int `json:"greedy_leading_same_of_16"`
	Logits    map[string]struct {
		Max float64 `json:"max_err_over_std"`
	} `json:"logits_error"`
	Points      map[string]struct{ Value *string } `json:"hook_points"`
	Dequantised map[string]json.RawMessage         `json:"int4_against_dequantised"`
}

// exportCase is an export with the values to hold it against.
type exportCase struct {
	name, path string
	manifest   exportManifest
	ref        reference
	limit      float64 // of the deviation, in standard deviations
}

func exportCases(t *testing.T) []exportCase {
	t.Helper()
	var out []exportCase
	for _, path := range glob(t, filepath.Join(fixture.Path(t, "fixtures/onnx"), "*", "model.onnx")) {
		dir := filepath.Dir(path)
		c := exportCase{name: filepath.Base(dir), path: dir}
		data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &c.manifest); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(c.name, "int4") {
			c.ref = openReference(t, filepath.Join(dir, "dequantised.safetensors"))
			// Activations are rounded to 8 bits: what the fixtures' README measured against the same weights (0.197 at most), and a quarter more for another order of sums.
			c.limit = 0.25
		} else {
			c.ref = openReference(t, fixture.Path(t, "fixtures/models/"+c.manifest.Model+"/reference.safetensors"))
			// Float32 in another order: the fixtures' own limit for these models is 1e-4.
			c.limit = 1e-4
		}
		out = append(out, c)
	}
	return out
}

func TestExportsMatchTransformers(t *testing.T) {
	for _, c := range exportCases(t) {
		t.Run(c.name, func(t *testing.T) {
			m := open(t, c.path, Config{})
			for _, p := range []string{"p0.", "p1."} {
				var sites []hooks.Site
				for _, x := range c.ref.file.Tensors {
					name, ok := strings.CutPrefix(x.Name, p)
					if s, err := hooks.ParseSite(name); ok && err == nil {
						sites = append(sites, s)
					}
				}
				for point := range c.manifest.Points {
					s, err := hooks.ParseSite(point)
					if err != nil || m.shape.Widths[s] == 0 {
						t.Errorf("%s is in the manifest and was not found: %v", point, m.shape.Missing[s])
					}
				}
				got, err := m.Trace(t.Context(), c.ref.ids(p+"input_ids"), TraceOptions{Sites: sites})
				if err != nil {
					t.Fatal(err)
				}
				worst := 0.0
				for _, x := range got {
					d := deviation(x.Data, c.ref.floats(p+x.Site.String()))
					if !(d <= c.limit) {
						t.Errorf("%s%s is %.2e standard deviations off, want at most %.1e", p, x.Site, d, c.limit)
					}
					worst = max(worst, d)
				}
				t.Logf("%s%d sites, at most %.1e off", p, len(sites), worst)
				if c.limit < 1e-3 {
					compareGreedy(t, m, c.ref, p)
				}
			}
		})
	}
}

var (
	_ = errors.Is
	_ = math.Abs
	_ = slices.Equal[[]int]
)
