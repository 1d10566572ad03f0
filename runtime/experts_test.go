// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/internal/fixture"
	"github.com/trimtab/trimtab/models/safetensors"
	"github.com/trimtab/trimtab/steering/experts"
)

// mixtureSize is the size of a model with experts.
type mixtureSize struct{ layers, width, hidden, experts, used int }

// randomMixture writes a model with random weights and returns its folder.
func randomMixture(tb testing.TB, z mixtureSize) string {
	tb.Helper()
	const dim, vocab = 64, 256
	layers, width, hidden, experts, heads := z.layers, z.width, z.hidden, z.experts, z.width/dim
	dir := tb.TempDir()
	config := map[string]any{
		"model_type": "qwen3_moe", "vocab_size": vocab, "hidden_size": width, "intermediate_size": hidden, "moe_intermediate_size": hidden,
		"num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": heads, "head_dim": dim, "num_experts": experts,
		"num_experts_per_tok": z.used, "norm_topk_prob": true, "rms_norm_eps": 1e-6, "max_position_embeddings": 4096, "tie_word_embeddings": true,
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
		dir := randomMixture(b, mixtureSize{2, 256, 192, experts, 2})
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

// BenchmarkMasks decodes one token after the other in sessions that take turns: plain, with a mask on every block, and with the experts of every block watched.
// It reports the others' time as a ratio of the plain session's, by the fastest tenth of the tokens, since other work on
// the machine only ever adds time. A block of the large model reads 40 MB a token, as one of a
// mixture of 7 billion parameters with 4-bit weights does.
func BenchmarkMasks(b *testing.B) {
	for name, dir := range map[string]string{
		"organism": fixture.Path(b, "organism/model"),
		"large":    randomMixture(b, mixtureSize{4, 1024, 512, 16, 4}),
	} {
		b.Run(name, func(b *testing.B) {
			m := open(b, dir, Config{Threads: 1})
			benchmarkMasks(b, m)
		})
	}
}

func benchmarkMasks(b *testing.B, m *Model) {
	var edits []hooks.Edit
	for _, layer := range routers(m) {
		edits = append(edits, mask(m, layer, func(choice, before, _ []float32) { choice[1], before[2] = hooks.Closed, 0 }))
	}
	off := slices.Clone(edits)
	for i := range off {
		off[i].Strength = hooks.NewKnob(0)
	}
	watch := experts.Watch{}
	names := []string{"plain", "strength 0", "masked", "watched"}
	hooksOf := [][]hooks.Hook{nil, {plan(hooks.Plan{Edits: off})}, {plan(hooks.Plan{Edits: edits})}, {watch}}
	times := make([][]float64, len(names))
	const tokens = 60
	for b.Loop() {
		var next []func() (Token, error, bool)
		for _, list := range hooksOf {
			s := newSession(b, m)
			for _, h := range list {
				if _, err := s.Attach(h); err != nil {
					b.Fatal(err)
				}
			}
			pull, stop := iter.Pull2(s.Generate(b.Context(), promptOf(m), Options{MaxTokens: tokens, IgnoreEOS: true}))
			defer stop()
			next = append(next, pull)
		}
		for t := range tokens {
			for i := range next {
				i = (i + t) % len(next)
				start := time.Now()
				if _, err, ok := next[i](); err != nil || !ok {
					b.Fatal(err)
				}
				if t > 5 {
					times[i] = append(times[i], float64(time.Since(start)))
				}
			}
		}
	}
	for i := range times {
		slices.Sort(times[i])
		b.ReportMetric(times[i][len(times[i])/10]/times[0][len(times[0])/10], strings.ReplaceAll(names[i], " ", "-")+"/plain")
	}
	b.ReportMetric(times[0][len(times[0])/10]/1e3, "µs/token")
}
