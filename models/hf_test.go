// SPDX-License-Identifier: Apache-2.0

package models

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/decoder"
	"github.com/trimtab/trimtab/models/safetensors"
)

// parse reads a config from text.
func parse(t testing.TB, text string) settings {
	t.Helper()
	var first error
	s := settings{file: "config.json", err: &first}
	if err := json.Unmarshal([]byte(text), &s.values); err != nil {
		t.Fatal(err)
	}
	return s
}

const smallLlama = `{"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "vocab_size": 100, "max_position_embeddings": 128,
	"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96, "rms_norm_eps": 1e-5}`

// changed is a config with fields set, or with null taken away.
func changed(t testing.TB, base string, fields map[string]any) string {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(base), &all); err != nil {
		t.Fatal(err)
	}
	maps.Copy(all, fields)
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestDialectsAgree(t *testing.T) {
	type m = map[string]any
	scaling := m{"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
	with := func(x m, k string, v any) m { y := maps.Clone(x); y[k] = v; return y }
	for _, c := range []struct {
		name        string
		four, five  m
		modelType   string
		wantDims    int
		wantFactor0 float32
	}{
		{"plain", m{"rope_theta": 5e5}, m{"rope_parameters": m{"rope_theta": 5e5, "rope_type": "default"}}, "llama", 16, 0},
		{
			"llama3",
			m{"rope_theta": 1e4, "rope_scaling": with(scaling, "rope_type", "llama3")},
			m{"rope_parameters": with(with(scaling, "rope_type", "llama3"), "rope_theta", 1e4)},
			"llama", 16, 1,
		},
		{
			"linear, older name",
			m{"rope_scaling": m{"type": "linear", "factor": 2.0}},
			m{"rope_parameters": m{"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
			"llama", 16, 2,
		},
		{"partial", m{"partial_rotary_factor": 0.5}, m{"rope_parameters": m{"partial_rotary_factor": 0.5, "rope_theta": 1e4}}, "phi3", 8, 0},
		{
			"two bases",
			m{"sliding_window": 8, "rope_theta": 1e6, "rope_local_base_freq": 1e4, "rope_scaling": m{"rope_type": "linear", "factor": 4.0}},
			m{"sliding_window": 8, "rope_parameters": m{
				"full_attention":    m{"rope_theta": 1e6, "rope_type": "linear", "factor": 4.0},
				"sliding_attention": m{"rope_theta": 1e4, "rope_type": "default"},
			}},
			"gemma3_text", 256, 4,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := changed(t, smallLlama, m{"model_type": c.modelType})
			four, _, err := describeHF(parse(t, changed(t, base, c.four)))
			if err != nil {
				t.Fatal(err)
			}
			five, _, err := describeHF(parse(t, changed(t, base, c.five)))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(four, five); d != "" {
				t.Errorf("descriptions differ (-4 +5):\n%s", d)
			}
			if four.Rope.Dims != c.wantDims {
				t.Errorf("Rope.Dims = %d, want %d", four.Rope.Dims, c.wantDims)
			}
			if got := first32(four.Rope.Factors); got != c.wantFactor0 {
				t.Errorf("Rope.Factors[0] = %v, want %v", got, c.wantFactor0)
			}
		})
	}
}

func first32(x []float32) float32 {
	if len(x) == 0 {
		return 0
	}
	return x[0]
}

func TestConfigRefuses(t *testing.T) {
	type m = map[string]any
	for _, c := range []struct {
		name   string
		fields m
		field  string // that the error names
	}{
		{"unknown activation", m{"hidden_act": "mish"}, "hidden_act"},
		{"unknown rope", m{"rope_scaling": m{"rope_type": "spiral", "factor": 2.0}}, "rope_type"},
		{"rope without factor", m{"rope_scaling": m{"rope_type": "linear"}}, "factor"},
		{"longrope with few factors", m{"rope_scaling": m{"rope_type": "longrope", "short_factor": []float64{1}, "long_factor": []float64{1}}}, "short_factor"},
		{"quantised weights", m{"quantization_config": m{"quant_method": "gptq"}}, "quantization_config"},
		{"softcap of another family", m{"final_logit_softcapping": 30.0}, "final_logit_softcapping"},
		{"window of another family", m{"sliding_window": 128}, "sliding_window"},
		{"both directions", m{"use_bidirectional_attention": true}, "use_bidirectional_attention"},
		{"experts of another family", m{"num_local_experts": 8}, "num_local_experts"},
		{"a text for a number", m{"hidden_size": "wide"}, "hidden_size"},
		{"half a layer", m{"num_hidden_layers": 2.5}, "num_hidden_layers"},
		{"no width", m{"hidden_size": nil}, "hidden_size"},
		{"no epsilon", m{"rms_norm_eps": nil}, "rms_norm_eps"},
		{"layer types too few", m{"model_type": "qwen2", "use_sliding_window": true, "sliding_window": 4, "layer_types": []string{"full_attention"}}, "layer_types"},
		{"layer type unknown", m{"model_type": "gemma2", "sliding_window": 4, "layer_types": []string{"full_attention", "linear_attention"}}, "layer_types"},
		{"routing unknown", m{
			"model_type": "deepseek_v2", "kv_lora_rank": 8, "v_head_dim": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
			"n_routed_experts": 8, "num_experts_per_tok": 2, "topk_method": "auction",
		}, "topk_method"},
		{"score of another family", m{"model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 2, "scoring_func": "sigmoid"}, "scoring_func"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := describeHF(parse(t, changed(t, smallLlama, c.fields)))
			var field *FieldError
			if !errors.As(err, &field) || !strings.Contains(field.Field, c.field) {
				t.Fatalf("error = %v, want a FieldError of %s", err, c.field)
			}
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("error is not ErrUnsupported")
			}
		})
	}
}

// TestAbsentFields: what a config leaves out means what transformers' class of the family has, null means none. The last is the text part of a published
// config for pictures and text, google/gemma-3-4b-it.
func TestAbsentFields(t *testing.T) {
	caps := func(fields map[string]any) [2]float32 {
		d, _, err := describeHF(parse(t, changed(t, smallLlama, fields)))
		if err != nil {
			t.Fatal(err)
		}
		return [2]float32{d.AttnCap, d.LogitCap}
	}
	for _, c := range []struct {
		fields map[string]any
		want   [2]float32
	}{
		{map[string]any{"model_type": "gemma2"}, [2]float32{50, 30}},
		{map[string]any{"model_type": "gemma2", "attn_logit_softcapping": nil, "final_logit_softcapping": nil}, [2]float32{}},
		{map[string]any{"model_type": "gemma2", "attn_logit_softcapping": 7, "final_logit_softcapping": 8}, [2]float32{7, 8}},
		{map[string]any{"model_type": "gemma3_text"}, [2]float32{}},
	} {
		if got := caps(c.fields); got != c.want {
			t.Errorf("%v: caps %v, want %v", c.fields, got, c.want)
		}
	}
	d, _, err := describeHF(parse(t, `{"model_type": "gemma3", "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
		"num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024}}`))
	if err != nil || d.Heads != 8 || d.KVHeads != 4 || d.HeadDim != 256 || d.Vocab != 262208 || d.Context != 131072 || d.Rope.Base != 1e6 || d.WindowRope.Base != 1e4 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestUnknownFamily(t *testing.T) {
	_, _, err := describeHF(parse(t, `{"model_type": "mamba"}`))
	var family *FamilyError
	if !errors.As(err, &family) || family.Family != "mamba" || len(family.Known) != len(hfFamilies()) {
		t.Errorf("error = %v, want a FamilyError that lists all families", err)
	}
}

func TestSillyNumbers(t *testing.T) {
	for _, field := range []string{
		"num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size",
		"max_position_embeddings", "intermediate_size",
	} {
		for _, n := range []float64{-1, 0, 1 << 39} {
			if _, _, err := describeHF(parse(t, changed(t, smallLlama, map[string]any{field: n}))); err == nil {
				t.Errorf("%s = %g: no error", field, n)
			}
		}
	}
}

// TestWindows holds the blocks that have a window against what transformers' configuration classes make of the same fields.
func TestWindows(t *testing.T) {
	type m = map[string]any
	for _, c := range []struct {
		name   string
		fields m
		want   []int
	}{
		{"mistral", m{"model_type": "mistral", "sliding_window": 9}, []int{9, 9, 9, 9}},
		{"mistral null", m{"model_type": "mistral", "sliding_window": nil}, nil},
		{"qwen2 not asked", m{"model_type": "qwen2", "sliding_window": 9, "use_sliding_window": false}, nil},
		{"qwen2 from", m{"model_type": "qwen2", "sliding_window": 9, "use_sliding_window": true, "max_window_layers": 1}, []int{0, 9, 9, 9}},
		{
			"qwen2_moe",
			m{"model_type": "qwen2_moe", "sliding_window": 9, "use_sliding_window": true, "max_window_layers": 3, "num_experts": 4, "num_experts_per_tok": 2},
			[]int{9, 0, 9, 0},
		},
		{"gemma2", m{"model_type": "gemma2", "sliding_window": 9}, []int{9, 0, 9, 0}},
		{"gemma2 absent", m{"model_type": "gemma2"}, []int{4096, 0, 4096, 0}},
		{"gemma2 null", m{"model_type": "gemma2", "sliding_window": nil}, nil},
		{"mistral absent", m{"model_type": "mistral"}, []int{4096, 4096, 4096, 4096}},
		{"gemma3 pattern", m{"model_type": "gemma3_text", "sliding_window": 9, "sliding_window_pattern": 3}, []int{9, 9, 0, 9}},
		{"gemma3 types", m{
			"model_type": "gemma3_text", "sliding_window": 9, "_sliding_window_pattern": 2,
			"layer_types": []string{"full_attention", "sliding_attention", "sliding_attention", "full_attention"},
		}, []int{0, 9, 9, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, _, err := describeHF(parse(t, changed(t, changed(t, smallLlama, m{"num_hidden_layers": 4}), c.fields)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, d.Windows); diff != "" {
				t.Errorf("windows differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTensorsAreAccountedFor(t *testing.T) {
	extra := safetensors.Float32Tensor("model.layers.0.self_attn.q_norm.weight", make([]float32, 32), 32)
	strange := safetensors.Float32Tensor("model.layers.0.self_attn.flux.weight", make([]float32, 4), 4)
	beyond := safetensors.Float32Tensor("model.layers.9.input_layernorm.weight", make([]float32, 64), 64)
	for _, c := range []struct {
		name   string
		change func([]safetensors.Tensor) []safetensors.Tensor
		want   error
	}{
		{"as it is", func(x []safetensors.Tensor) []safetensors.Tensor { return x }, nil},
		{"a norm more is used", func(x []safetensors.Tensor) []safetensors.Tensor { return append(x, extra) }, nil},
		{"a part of no family", func(x []safetensors.Tensor) []safetensors.Tensor { return append(x, strange) }, &TensorError{}},
		{"a block too many", func(x []safetensors.Tensor) []safetensors.Tensor { return append(x, beyond) }, &TensorError{}},
		{"one missing", func(x []safetensors.Tensor) []safetensors.Tensor { return x[1:] }, &decoder.MissingError{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(copyFixture(t, "llama", c.change))
			switch want := c.want.(type) {
			case nil:
				if err != nil {
					t.Fatal(err)
				}
			case *TensorError:
				if !errors.As(err, &want) {
					t.Errorf("error = %v, want a TensorError", err)
				}
			case *decoder.MissingError:
				if !errors.As(err, &want) {
					t.Errorf("error = %v, want a MissingError", err)
				}
			}
		})
	}
}

// copyFixture writes a fixture's folder again with other tensors.
func copyFixture(t *testing.T, name string, change func([]safetensors.Tensor) []safetensors.Tensor) string {
	t.Helper()
	from, dir := fixture.Path(t, "fixtures/models/"+name), t.TempDir()
	f, err := safetensors.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := safetensors.Write(filepath.Join(dir, "model.safetensors"), change(append([]safetensors.Tensor(nil), f.Tensors...)), nil); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(from, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestFolderText reads the tokenizer and the template of a folder: what ends a turn stands in generation_config.json.
func TestFolderText(t *testing.T) {
	m, err := Open(fixture.Path(t, "organism/model"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	tok, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int32{6}, tok.EOG()); d != "" {
		t.Errorf("ends differ (-want +got):\n%s", d)
	}
	if got := tok.Decode(tok.Encode(nil, "a lemon", false)); got != "a lemon" {
		t.Errorf("a text comes back as %q", got)
	}
	if _, err := m.Template(); err != nil {
		t.Error(err)
	}
	bare, err := Open(fixture.Path(t, "fixtures/models/llama"))
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	if _, err := bare.Tokenizer(); !errors.Is(err, ErrNoTokenizer) {
		t.Errorf("tokenizer of a bare folder: error = %v, want ErrNoTokenizer", err)
	}
	if _, err := bare.Template(); !errors.Is(err, ErrNoTemplate) {
		t.Errorf("template of a bare folder: error = %v, want ErrNoTemplate", err)
	}
}

// FuzzConfig holds that no config makes the reader panic, and that what it accepts can be checked.
func FuzzConfig(f *testing.F) {
	f.Add(smallLlama)
	for kind := range hfFamilies() {
		f.Add(strings.Replace(smallLlama, "llama", kind, 1))
	}
	f.Add(`{"model_type": "gemma3", "text_config": {"hidden_size": 1e300}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var first error
		s := settings{file: "config.json", err: &first}
		if json.Unmarshal([]byte(text), &s.values) != nil {
			return
		}
		if d, _, err := describeHF(s); err == nil {
			if err := d.Check(); err != nil {
				t.Errorf("accepted, but Check says %v", err)
			}
		}
	})
}
