// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/trimtab/trimtab/models/safetensors"
)

// randomMixture writes a model with random weights, so many experts a block of which a token uses two, and returns its folder.
func randomMixture(tb testing.TB, experts int) string {
	tb.Helper()
	const layers, width, heads, dim, hidden, vocab = 2, 256, 4, 64, 192, 256
	dir := tb.TempDir()
	config := map[string]any{
		"model_type": "qwen3_moe", "vocab_size": vocab, "hidden_size": width, "intermediate_size": hidden, "moe_intermediate_size": hidden,
		"num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": heads, "head_dim": dim, "num_experts": experts,
		"num_experts_per_tok": 2, "norm_topk_prob": true, "rms_norm_eps": 1e-6, "max_position_embeddings": 4096, "tie_word_embeddings": true,
	}
	data, err := json.Marshal(config)
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), data, 0o600); err != nil {
		tb.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	var list []safetensors.Tensor
	add := func(scale float64, name string, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64() * scale)
		}
		list = append(list, safetensors.Float32Tensor(name, v, shape...))
	}
	add(1, "model.embed_tokens.weight", vocab, width)
	add(1, "model.norm.weight", width)
	for i := range layers {
		block := fmt.Sprintf("model.layers.%d.", i)
		add(1, block+"input_layernorm.weight", width)
		add(1, block+"post_attention_layernorm.weight", width)
		for _, p := range []string{"q", "k", "v", "o"} {
			add(0.06, block+"self_attn."+p+"_proj.weight", width, heads*dim)
		}
		add(1, block+"self_attn.q_norm.weight", dim)
		add(1, block+"self_attn.k_norm.weight", dim)
		add(0.06, block+"mlp.gate.weight", experts, width)
		for e := range experts {
			expert := fmt.Sprintf("%smlp.experts.%d.", block, e)
			add(0.06, expert+"gate_proj.weight", hidden, width)
			add(0.06, expert+"up_proj.weight", hidden, width)
			add(0.04, expert+"down_proj.weight", width, hidden)
		}
	}
	if err := safetensors.Write(filepath.Join(dir, "model.safetensors"), list, nil); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// BenchmarkExperts decodes with 8 and with 64 experts of one size, of which a token uses two: both should take the same time.
func BenchmarkExperts(b *testing.B) {
	for _, experts := range []int{8, 64} {
		dir := randomMixture(b, experts)
		for _, q := range []Quant{Float32, Keep} {
			b.Run(fmt.Sprintf("experts=%d/quant=%s", experts, q), func(b *testing.B) {
				m := open(b, dir, Config{Quant: q, Threads: 1})
				prompt := []int32{1, 2, 3}
				const tokens = 200
				for b.Loop() {
					s := newSession(b, m)
					collect(b, s, prompt, Options{MaxTokens: tokens, IgnoreEOS: true, Sampling: Sampling{Temperature: 1, Seed: 1}})
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/tokens, "µs/token")
			})
		}
	}
}
