// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
)

// stretched is the phi3 fixture with a rotary embedding that has factors by pair, and others in sequences of more than so many tokens.
func stretched(t *testing.T, original int) string {
	t.Helper()
	source, dir := fixture.Path(t, "fixtures/models/phi3"), t.TempDir()
	var config map[string]any
	data, err := os.ReadFile(filepath.Join(source, "config.json"))
	if err == nil {
		err = json.Unmarshal(data, &config)
	}
	if err != nil {
		t.Fatal(err)
	}
	config["original_max_position_embeddings"] = original
	config["rope_parameters"] = map[string]any{
		"rope_type": "longrope", "rope_theta": 10000, "partial_rotary_factor": 0.5,
		"short_factor": []float64{1, 1.1, 1.3, 1.7}, "long_factor": []float64{1.5, 2.5, 4, 7},
	}
	if data, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "config.json"), data, 0o600),
		os.Symlink(filepath.Join(source, "model.safetensors"), filepath.Join(dir, "model.safetensors")),
	); err != nil {
		t.Fatal(err)
	}
	return dir
}

// lastRow is a hook that keeps the logits of the last row that ran.
func lastRow(into *[]float32) hooks.Hook {
	return plan(hooks.Plan{Taps: []hooks.Tap{{Name: "last", Site: hooks.Once(hooks.Logits), ReadOnly: true, Func: func(a *hooks.Activation) error {
		*into = append((*into)[:0], a.Data[len(a.Data)-a.Width:]...)
		return nil
	}}}})
}

// TestLongFactors: a sequence that grows beyond the length where the factors change gives the logits that it gives when it is run as one prompt, as
// transformers does it (Phi3ForCausalLM.prepare_inputs_for_generation empties the cache there). The same numbers in other passes: 1e-5 of their deviation is
// about a hundred roundings.
func TestLongFactors(t *testing.T) {
	const original = 20
	path := stretched(t, original)
	for name, c := range map[string]Config{"ort": {Quant: Float32}, "own": {KV: KVFull}, "chunks": {Quant: Float32, Chunk: 3}, "shared": {KV: KVFull, Batch: 2}} {
		t.Run(name, func(t *testing.T) {
			m, whole := open(t, path, c), open(t, path, Config{Quant: Float32})
			// What acts at prefill acts on the prompt alone, in tokens that run again too.
			v := direction(m.shape.Width, 3)
			byPhase := hooks.Edit{Name: "v", Site: hooks.At(hooks.ResidPost, 0), Directions: [][]float32{v}, Where: hooks.Where{Phases: hooks.Prefill}}
			byRow := byPhase
			byRow.Where = hooks.Where{To: len(prompt)}
			var got, want []float32
			s := newSession(t, m)
			for _, h := range []hooks.Hook{plan(hooks.Plan{Edits: []hooks.Edit{byPhase}}), lastRow(&got)} {
				if _, err := s.Attach(h); err != nil {
					t.Fatal(err)
				}
			}
			ids := slices.Clone(prompt)
			for tok, err := range s.Generate(t.Context(), prompt, Options{MaxTokens: original, IgnoreEOS: true}) {
				if err != nil {
					t.Fatal(err)
				}
				fresh := newSession(t, whole)
				for _, h := range []hooks.Hook{plan(hooks.Plan{Edits: []hooks.Edit{byRow}}), lastRow(&want)} {
					if _, err := fresh.Attach(h); err != nil {
						t.Fatal(err)
					}
				}
				collect(t, fresh, ids, Options{MaxTokens: 1})
				if d := deviation(got, want); !(d <= 1e-5) {
					t.Errorf("%d tokens: logits are %.1e standard deviations from those of one prompt", len(ids), d)
				}
				ids = append(ids, tok.ID)
			}
			if len(ids) <= original {
				t.Fatalf("%d tokens do not cross %d", len(ids), original)
			}
			// A shorter prompt turns back.
			collect(t, s, prompt, Options{MaxTokens: 1})
			first := slices.Clone(got)
			s.Forget()
			collect(t, s, prompt, Options{MaxTokens: 1})
			if d := deviation(first, got); !(d <= 1e-5) {
				t.Errorf("back at %d tokens: logits are %.1e standard deviations from those of an empty session", len(prompt), d)
			}
		})
	}
	short, long := traceOf(t, open(t, path, Config{Quant: Float32}), prompt), traceOf(t, open(t, stretched(t, len(prompt)-1), Config{Quant: Float32}), prompt)
	if d := deviation(short, long); d < 1e-2 {
		t.Errorf("the other factors change logits by %.1e standard deviations only", d)
	}
}

// TestContextIsUsedWhole: every token of the model's context can be used and none beyond, and memory is taken as tokens come.
func TestContextIsUsedWhole(t *testing.T) {
	path := fixture.Path(t, "fixtures/models/llama") // 512 tokens
	m := open(t, path, Config{})
	most := m.config.Context
	if _, err := Open(path, Config{Context: most + 1}); err == nil {
		t.Errorf("a context of %d tokens is accepted where the model was made for %d", most+1, most)
	}
	s := newSession(t, m)
	collect(t, s, prompt, Options{MaxTokens: 1})
	before := s.cache.bytes(s.cache.capacity)
	collect(t, s, long(most), Options{MaxTokens: 1, IgnoreEOS: true})
	if after := s.cache.bytes(s.cache.capacity); s.cache.capacity != most || before*2 > after {
		t.Errorf("room for %d tokens of %d in %d bytes, %d before", s.cache.capacity, most, after, before)
	}
	var err error
	for _, e := range s.Generate(t.Context(), long(most), Options{MaxTokens: 2, IgnoreEOS: true}) {
		err = errors.Join(err, e)
	}
	if !errors.Is(err, ErrContextFull) {
		t.Errorf("%v, want %v", err, ErrContextFull)
	}
}
