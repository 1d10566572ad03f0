// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/quant"
)

// The values come from transformers run on the dequantised file in float32; see the fixtures' README for versions and tolerances.
const smollm2 = "fixtures/smollm2/"

func TestSmolLM2Exact(t *testing.T) {
	ref := openReference(t, fixture.Path(t, smollm2+"reference.safetensors"))
	m := open(t, fixture.SmolLM2(t), Config{Quant: Float32})
	layers := []int{0, 7, 14, 22, 29}
	for p := range 6 {
		prefix := fmt.Sprintf("p%d.", p)
		sites := []hooks.Site{hooks.Once(hooks.Logits)}
		for _, l := range layers {
			sites = append(sites, hooks.At(hooks.ResidPost, l))
		}
		got, err := m.Trace(t.Context(), ref.ids(prefix+"input_ids"), TraceOptions{Sites: sites})
		if err != nil {
			t.Fatal(err)
		}
		// 5e-4 and 2e-3 standard deviations are the fixtures' tolerances: 40 and 5 times the noise of float32 measured there.
		vocab := got[0].Width
		top, values := ref.ids(prefix+"top50_ids"), ref.floats(prefix+"top50_values")
		std := ref.floats(prefix + "logits_mean_std")
		for row, position := range ref.ids(prefix + "logit_positions") {
			logits := got[0].Data[int(position)*vocab:][:vocab]
			for k := range 50 {
				if d := math.Abs(float64(logits[top[row*50+k]]-values[row*50+k])) / float64(std[row*2+1]); !(d <= 5e-4) {
					t.Fatalf("%sposition %d, token %d: logit is %.1e standard deviations off", prefix, position, top[row*50+k], d)
				}
			}
		}
		for i, l := range layers {
			want := ref.floats(fmt.Sprintf("%sresid_post.%d", prefix, l))
			var rows []float32
			for _, position := range ref.ids(prefix + "resid_positions") {
				rows = append(rows, got[1+i].Data[int(position)*m.shape.Width:][:m.shape.Width]...)
			}
			if d := deviation(rows, want); !(d <= 2e-3) {
				t.Errorf("%sresid_post.%d is %.1e standard deviations off", prefix, l, d)
			}
		}
		greedyUpToTie(t, m, ref, prefix)
	}
}

// greedyUpToTie compares the continuation up to the first token whose two best logits are as close as the tolerance.
func greedyUpToTie(t *testing.T, m *Model, ref reference, prefix string) {
	t.Helper()
	want, gap := ref.ids(prefix+"greedy"), ref.floats(prefix+"greedy_gap")
	n := slices.IndexFunc(gap, func(g float32) bool { return g < 0.02 }) // 5e-4 of a standard deviation of logits (about 4), ten times over
	if n < 0 {
		n = len(want)
	}
	n = min(n, 24) // enough to see the cache at work; the rest costs time only
	got := collect(t, newSession(t, m), ref.ids(prefix+"input_ids"), Options{MaxTokens: n, IgnoreEOS: true})
	if !slices.Equal(got, want[:n]) {
		t.Errorf("%sgreedy = %v, want %v", prefix, got, want[:n])
	}
}

func TestSmolLM2Stored(t *testing.T) {
	ref := openReference(t, fixture.Path(t, smollm2+"reference.safetensors"))
	m := open(t, fixture.SmolLM2(t), Config{})
	same, rows, kl := 0, 0, 0.0
	for p := range 6 {
		prefix := fmt.Sprintf("p%d.", p)
		got, err := m.Trace(t.Context(), ref.ids(prefix+"input_ids"), TraceOptions{Sites: []hooks.Site{hooks.Once(hooks.Logits)}})
		if err != nil {
			t.Fatal(err)
		}
		vocab := got[0].Width
		want := halves(t, ref, prefix+"logits_f16")
		for row, position := range ref.ids(prefix + "logit_positions") {
			w, g := want[row*vocab:][:vocab], got[0].Data[int(position)*vocab:][:vocab]
			rows++
			if argmax(w) == argmax(g) {
				same++
			}
			kl += divergence(w, g)
		}
	}
	kl /= float64(rows)
	t.Logf("stored weights: same likeliest token at %d of %d, mean KL %.4f", same, rows, kl)
	// Activations rounded to 8 bits cost a KL of 0.003 here; 0.02 is what a user would not notice.
	if 10*same < 9*rows || kl > 0.02 {
		t.Errorf("same likeliest token at %d of %d, mean KL %.4f; want 9 of 10 and below 0.02", same, rows, kl)
	}
	if loss, want := nll(t, m, ref), 3.143813; math.Abs(loss-want) > 0.02 {
		t.Errorf("negative log-likelihood %.4f, want %.4f within 0.02", loss, want)
	}
}

func halves(t *testing.T, ref reference, name string) []float32 {
	t.Helper()
	x, ok := ref.file.Tensor(name)
	if !ok {
		t.Fatalf("reference has no %s", name)
	}
	out := make([]float32, x.Len())
	if err := quant.Dequantize(out, quant.F16, x.Data); err != nil {
		t.Fatal(err)
	}
	return out
}

// divergence is KL(softmax(p) || softmax(q)) in nats.
func divergence(p, q []float32) float64 {
	np, nq, sum := logSumExp(p), logSumExp(q), 0.0
	for i, x := range p {
		lp := float64(x) - np
		sum += math.Exp(lp) * (lp - (float64(q[i]) - nq))
	}
	return sum
}

// nll is the mean negative log-likelihood over the first of the fixture's windows of 512 tokens; the other two only cost time in a test.
func nll(t *testing.T, m *Model, ref reference) float64 {
	t.Helper()
	ids := ref.ids("nll.input_ids")
	sum, n := 0.0, 0
	for start := 0; start+512 <= len(ids); start += 512 {
		window := ids[start : start+512]
		got, err := m.Trace(t.Context(), window, TraceOptions{Sites: []hooks.Site{hooks.Once(hooks.Logits)}})
		if err != nil {
			t.Fatal(err)
		}
		for i, next := range window[1:] {
			row := got[0].Data[i*got[0].Width:][:got[0].Width]
			sum += logSumExp(row) - float64(row[next])
			n++
		}
	}
	return sum / float64(n)
}

// effects is the part of a concept file that says what vectors did to the model in transformers.
type effects struct {
	PromptIDs [][]int32        `json:"prompt_ids"`
	Positive  map[string]int32 `json:"positive_words"`
	Negative  map[string]int32 `json:"negative_words"`
	Runs      []struct {
		Method    string
		Layers    []int
		Strength  float32
		LogitDiff []float64   `json:"logit_diff"`
		KL        []float64   `json:"kl_from_base"`
		TopIDs    [][]int32   `json:"top5_ids"`
		TopLogits [][]float32 `json:"top5_logits"`
	}
}

func TestRecordedSteeringEffects(t *testing.T) {
	m := open(t, fixture.SmolLM2(t), Config{Quant: Float32})
	for _, name := range []string{"happy-vs-sad", "sentiment-sst", "refusal-xstest"} {
		if testing.Short() && name != "happy-vs-sad" {
			continue // three times as long for the same arithmetic
		}
		t.Run(name, func(t *testing.T) { compareEffects(t, m, "fixtures-dictionaries/concepts/"+name) })
	}
}

func compareEffects(t *testing.T, m *Model, base string) {
	data, err := os.ReadFile(fixture.Path(t, base+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Effects effects }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	e := file.Effects
	vectors := openReference(t, fixture.Path(t, base+".vectors.safetensors"))
	s := newSession(t, m)
	var plain [][]float32
	for _, ids := range e.PromptIDs {
		plain = append(plain, slices.Clone(next(t, s, ids)))
	}
	for _, run := range e.Runs {
		var p hooks.Plan
		for _, l := range run.Layers {
			p.Edits = append(p.Edits, hooks.Edit{
				Name: run.Method, Site: hooks.At(hooks.ResidPost, l), Strength: hooks.NewKnob(run.Strength),
				Directions: [][]float32{unit(vectors.floats(fmt.Sprintf("%s.%d", run.Method, l)))},
			})
		}
		a, err := s.Attach(plan(p))
		if err != nil {
			t.Fatal(err)
		}
		for i, ids := range e.PromptIDs {
			logits := next(t, s, ids)
			// 5e-3 absolute is the fixtures' tolerance for logits of a float32 run; a divergence of up to 3.6 nats moves by less.
			if d := mean(logits, e.Positive) - mean(logits, e.Negative) - run.LogitDiff[i]; !(math.Abs(d) <= 5e-3) {
				t.Errorf("%s %v at %g, prompt %d: logit difference is %.4f off", run.Method, run.Layers, run.Strength, i, d)
			}
			if d := divergence(plain[i], logits) - run.KL[i]; !(math.Abs(d) <= 5e-3) {
				t.Errorf("%s %v at %g, prompt %d: KL is %.4f off", run.Method, run.Layers, run.Strength, i, d)
			}
			for k, id := range run.TopIDs[i] {
				if d := logits[id] - run.TopLogits[i][k]; !(math.Abs(float64(d)) <= 5e-3) {
					t.Errorf("%s %v at %g, prompt %d: logit of %d is %.4f off", run.Method, run.Layers, run.Strength, i, id, d)
				}
			}
		}
		if err := s.Detach(a); err != nil {
			t.Fatal(err)
		}
	}
}

// next returns the logits behind a prompt.
func next(t *testing.T, s *Session, ids []int32) []float32 {
	t.Helper()
	logits, err := s.prefill(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	return logits
}

func mean(logits []float32, words map[string]int32) float64 {
	sum := 0.0
	for _, id := range words {
		sum += float64(logits[id])
	}
	return sum / float64(len(words))
}

func unit(v []float32) []float32 {
	n := norm(v)
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) / n)
	}
	return out
}
