// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"math"
	"testing"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/runtime"
)

// TestFidelityOfOnePosition holds the sums against two distributions over three tokens, worked out by hand: p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4).
func TestFidelityOfOnePosition(t *testing.T) {
	log := func(x float64) float32 { return float32(math.Log(x)) }
	var f Fidelity
	f.add([]float32{log(2), 0, 0}, []float32{0, log(2), 0})
	f.add([]float32{3, 1, 2}, []float32{13, 11, 12}) // logits have no origin
	if want := 0.25 * math.Log(2); math.Abs(f.KL-want) > 1e-7 || f.Agreement != 1 || f.Positions != 2 {
		t.Errorf("%+v, want a KL divergence of %v and one of two tokens the same", f, want)
	}
}

func TestFidelity(t *testing.T) {
	tiny(t) // skips where ONNX Runtime is absent
	path := fixture.Path(t, "fixtures/gguf/llama/f32.gguf")
	config := FidelityConfig{
		Model: runtime.Config{Threads: 1}, Quants: []runtime.Quant{runtime.Keep, runtime.Q8, runtime.Q4}, Kernels: []runtime.Kernels{runtime.Own, runtime.ORT},
		KVs: []runtime.KV{runtime.KVFull, runtime.KVInt8}, Window: 8, Tokens: 20,
	}
	for i := range int32(30) {
		config.IDs = append(config.IDs, (i*7+3)%97)
	}
	rows, err := MeasureFidelity(t.Context(), path, config)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1+3*3 {
		t.Fatalf("%d rows, want f32, and for three forms of the weights two caches of ours and one of ONNX Runtime", len(rows))
	}
	for _, r := range rows {
		if r.Positions != 20 || r.NLL < 1 {
			t.Errorf("%+v: want 20 positions and a likelihood", r)
		}
		exact := r.Quant == runtime.Float32 || r.Quant == runtime.Keep && r.KV == runtime.KVFull
		// The file is f32: kept as it is, only the order of sums differs, 1e-5 standard deviations of logits.
		if exact != (r.KL < 1e-8) || exact && r.Agreement != 1 {
			t.Errorf("%s %s %s: KL divergence %v, agreement %v", r.Quant, r.Kernels, r.KV, r.KL, r.Agreement)
		}
	}
	config.Kernels, config.KVs = []runtime.Kernels{runtime.ORT}, []runtime.KV{runtime.KVInt8}
	if _, err := MeasureFidelity(t.Context(), path, config); err == nil {
		t.Error("forms that do not go together: want an error")
	}
}
