// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"math"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/safetensors"
)

// open loads a model for a test; where ONNX Runtime is absent the test is skipped, unless native parts are required.
func open(tb testing.TB, path string, c Config) *Model {
	tb.Helper()
	native(tb)
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

func TestDebugLlama(t *testing.T) {
	ref, err := safetensors.Open(fixture.Path(t, "fixtures/models/llama/reference.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	m := open(t, fixture.Path(t, "fixtures/gguf/llama/f32.gguf"), Config{Quant: Float32})
	tt, _ := ref.Tensor("p1.input_ids")
	ids64, _ := tt.AppendInt64(nil)
	ids := make([]int32, len(ids64))
	for i, v := range ids64 {
		ids[i] = int32(v)
	}
	var sites []hooks.Site
	for s := range m.Shape().Widths {
		sites = append(sites, s)
	}
	got, err := m.Trace(t.Context(), ids, TraceOptions{Sites: sites})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range got {
		want, err := ref.Float32("p1." + c.Site.String())
		if err != nil {
			continue
		}
		var worst, sum, sq float64
		for i, w := range want {
			worst = math.Max(worst, math.Abs(float64(w)-float64(c.Data[i])))
			sum += float64(w)
			sq += float64(w) * float64(w)
		}
		n := float64(len(want))
		t.Logf("%-16s %.2e", c.Site, worst/math.Sqrt(sq/n-sum*sum/n/n))
	}
}

func native(tb testing.TB) {}
