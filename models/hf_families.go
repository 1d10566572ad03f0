// SPDX-License-Identifier: Apache-2.0

package models

import (
	"maps"

	"github.com/trimtab/trimtab/models/decoder"
)

// hfFamily is what a model_type of config.json means beyond the fields of that file: a row of the table below, no code of its own.
type hfFamily struct {
	norm       decoder.NormKind
	activation string // where the config names none
	gated      bool
	noPreNorm  bool
	parallel   parallelRule
	plusOne    bool // norm weights are stored less 1
	embedSqrt  bool // embeddings are multiplied by the square root of their width
	attnCap    bool // attn_logit_softcapping means something
	logitCap   bool // final_logit_softcapping means something
	scales     bool // embedding_, attention_, residual_multiplier and logits_scaling mean something
	queryScale bool // query_pre_attn_scalar means something
	transposed bool // linear layers of blocks are stored [in, out]
	columns    bool // the same of experts, and columns of gate and up take turns
	byHead     bool // rows of queries, keys and values stand together head by head

	learned     bool    // positions are learned, nothing turns
	absent      string  // what fields that are not there mean, as JSON; null in the config is null
	rotary      float64 // part of a head that turns, where partial_rotary_factor does not say; 0 is all of it, whatever that says
	theta       float64 // where the config does not say; 0 is 10000
	ropeAlias   map[string]string
	ropeDefault string // rope parameters as JSON, where the config has none
	localTheta  float64

	windows windowRule
	latent  bool
	experts expertRule
	parts   map[string]string // names of parts that differ from hfParts
}

type parallelRule uint8

const (
	serial       parallelRule = iota
	parallel                  // always
	parallelFlag              // use_parallel_residual says, and is true where it is absent
	serialFlag                // the same, and is false where it is absent
)

// windowRule says which blocks have the window that sliding_window gives.
type windowRule struct {
	on        bool
	asked     bool // only where use_sliding_window is true
	typed     bool // layer_types says, where it is there
	fullEvery int  // else all blocks but each so-manieth; sliding_window_pattern may give another number
	from      bool // else only blocks from max_window_layers on
	below     bool // else only blocks below max_window_layers
}

// expertRule says how experts are chosen where the config does not.
type expertRule struct {
	on        bool
	score     decoder.Score
	normalise string // "always", "never", or what norm_topk_prob means where it is absent: "true", "false"
	groupTop  int    // experts that rate a group; 0 is no groups
	shared    bool
	swiglu    bool // swiglu_alpha and swiglu_limit mean something
}

// hfFamilies names families as model_type does.
func hfFamilies() map[string]hfFamily {
	all := denseFamilies()
	maps.Copy(all, expertFamilies())
	return all
}

// like is a row with changes.
func like(f hfFamily, change func(f *hfFamily)) hfFamily {
	change(&f)
	return f
}

// hfLlama is the row that most families are variations of.
func hfLlama() hfFamily {
	return hfFamily{norm: decoder.RMSNorm, activation: "silu", gated: true}
}

// postNorms are the names of families that have norms behind attention and feed-forward layer.
func postNorms() map[string]string {
	return map[string]string{
		"post_attention_layernorm":   "post_attention_norm",
		"pre_feedforward_layernorm":  "ffn_norm",
		"post_feedforward_layernorm": "post_ffw_norm",
	}
}

func denseFamilies() map[string]hfFamily {
	const layer, tanh = decoder.LayerNorm, "gelu_pytorch_tanh"
	llama, everywhere := hfLlama(), windowRule{on: true}
	gemma := like(llama, func(f *hfFamily) { f.activation, f.plusOne, f.embedSqrt = tanh, true, true })
	gemma2 := like(gemma, func(f *hfFamily) {
		f.attnCap, f.logitCap, f.queryScale, f.parts = true, true, true, postNorms()
		f.windows = windowRule{on: true, typed: true, fullEvery: 2}
		f.absent = `{"attn_logit_softcapping": 50, "final_logit_softcapping": 30, "sliding_window": 4096, "num_key_value_heads": 4, "head_dim": 256}`
	})
	qwen := like(llama, func(f *hfFamily) { f.windows = windowRule{on: true, asked: true, typed: true, from: true} })
	return map[string]hfFamily{
		"llama": llama,
		"mistral": like(llama, func(f *hfFamily) {
			f.windows, f.absent = everywhere, `{"sliding_window": 4096, "num_key_value_heads": 8}`
		}),
		"qwen2":  qwen,
		"qwen3":  qwen,
		"gemma":  gemma,
		"gemma2": gemma2,
		"gemma3_text": like(gemma2, func(f *hfFamily) {
			f.attnCap = false // transformers has the field and does not use it
			// Published configs for pictures and text leave out whatever is as here.
			f.absent = `{"sliding_window": 4096, "vocab_size": 262208, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "rms_norm_eps": 1e-6,
				"max_position_embeddings": 131072, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26}`
			f.theta, f.localTheta, f.windows.fullEvery = 1e6, 10000, 6
		}),
		"phi3": like(llama, func(f *hfFamily) {
			f.windows, f.rotary, f.ropeAlias = everywhere, 1, map[string]string{"su": "longrope", "yarn": "longrope"}
		}),
		"olmo2":    like(llama, func(f *hfFamily) { f.noPreNorm, f.parts = true, postNorms() }),
		"granite":  like(llama, func(f *hfFamily) { f.scales = true }),
		"stablelm": {norm: layer, activation: "silu", gated: true, parallel: serialFlag, rotary: 0.25},
		"phi":      {norm: layer, activation: tanh, parallel: parallel, rotary: 0.5},
		"gpt2":     {norm: layer, activation: tanh, learned: true, transposed: true},
		"gpt_neox": {norm: layer, activation: "gelu", parallel: parallelFlag, rotary: 0.25, byHead: true},
	}
}

func expertFamilies() map[string]hfFamily {
	with := func(change func(f *hfFamily)) hfFamily { return like(hfLlama(), change) }
	return map[string]hfFamily{
		"mixtral": with(func(f *hfFamily) {
			f.theta, f.windows, f.experts = 1e6, windowRule{on: true}, expertRule{on: true, normalise: "always"}
		}),
		"granitemoe": with(func(f *hfFamily) { f.scales, f.experts = true, expertRule{on: true, normalise: "always"} }),
		"qwen2_moe": with(func(f *hfFamily) {
			f.windows = windowRule{on: true, asked: true, typed: true, fullEvery: 2, below: true}
			f.experts = expertRule{on: true, normalise: "false", shared: true}
		}),
		"qwen3_moe": with(func(f *hfFamily) {
			f.windows, f.experts = windowRule{on: true, asked: true}, expertRule{on: true, normalise: "false"}
		}),
		"olmoe": with(func(f *hfFamily) { f.experts = expertRule{on: true, normalise: "false"} }),
		"deepseek_v2": with(func(f *hfFamily) {
			f.latent, f.experts = true, expertRule{on: true, normalise: "never", groupTop: 1, shared: true}
		}),
		"deepseek_v3": with(func(f *hfFamily) {
			f.absent = `{"routed_scaling_factor": 2.5, "n_group": 8, "topk_group": 4, "num_experts_per_tok": 8, "n_shared_experts": 1}`
			f.latent, f.experts = true, expertRule{on: true, score: decoder.Sigmoid, normalise: "true", groupTop: 2, shared: true}
		}),
		"gpt_oss": with(func(f *hfFamily) {
			f.theta, f.columns, f.absent = 150000, true, `{"sliding_window": 128, "num_key_value_heads": 8, "head_dim": 64, "num_experts_per_tok": 4}`
			f.ropeDefault = `{"rope_type": "yarn", "factor": 32, "beta_fast": 32, "beta_slow": 1, "truncate": false, "original_max_position_embeddings": 4096}`
			f.windows = windowRule{on: true, typed: true, fullEvery: 2}
			f.experts = expertRule{on: true, normalise: "always", swiglu: true}
		}),
	}
}
