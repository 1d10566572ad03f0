// SPDX-License-Identifier: Apache-2.0

package models

import "github.com/trimtab/trimtab/models/decoder"

// ggufFamily is what a GGUF architecture means beyond its metadata: a row of the table below, no code of its own.
type ggufFamily struct {
	norm       decoder.NormKind
	activation decoder.Activation
	gated      bool
	noPreNorm  bool
	parallel   parallelRule // the flags are use_parallel_residual
	adjacent   bool         // rotary pairs stand next to each other: the converter permuted the rows of q and k
	learned    bool         // positions are learned, nothing turns
	embedSqrt  bool
	inverse    bool // logit_scale divides
	fullEvery  int  // of blocks with a window, each so-manieth has none; 0 is that all have it
	localTheta float64
	latent     bool
	normalise  bool              // the chosen experts' weights are divided by their sum, where the file does not say
	groupTop   int               // experts that rate a group
	swiglu     bool              // experts have the activation of gpt-oss
	fractions  bool              // bounds of YaRN are not rounded to whole pairs
	names      map[string]string // parts of blocks that the file calls otherwise than the decoder
	tall       int               // blocks of the variant whose queries are scaled by width and heads rather than by head
}

// ggufFamilies names architectures as llama.cpp's converter does (general.architecture). What files do not say is as llama.cpp has it (src/models), or where it
// approximates, as the family defines it: the GELU of gptneox is the one with erf.
func ggufFamilies() map[string]ggufFamily {
	const rms, layer = decoder.RMSNorm, decoder.LayerNorm
	llama := ggufFamily{norm: rms, activation: decoder.SiLU, gated: true, adjacent: true, normalise: true}
	granite := llama
	granite.inverse = true
	qwen := ggufFamily{norm: rms, activation: decoder.SiLU, gated: true}
	qwen3moe := qwen
	qwen3moe.normalise = true
	olmo2 := qwen
	olmo2.noPreNorm = true
	gemma := ggufFamily{norm: rms, activation: decoder.GELUTanh, gated: true, embedSqrt: true}
	gemma2, gemma3 := gemma, gemma
	gemma2.fullEvery, gemma2.tall = 2, 46
	gemma3.fullEvery, gemma3.tall, gemma3.localTheta = 6, 62, 10000
	return map[string]ggufFamily{
		"llama":      llama,
		"granite":    granite,
		"granitemoe": granite,
		"qwen2":      qwen,
		"qwen3":      qwen,
		"qwen2moe":   qwen,
		"qwen3moe":   qwen3moe,
		"olmoe":      qwen,
		"olmo2":      olmo2,
		"phi3":       qwen,
		"phi2":       {norm: layer, activation: decoder.GELUTanh, parallel: parallel},
		"gpt2":       {norm: layer, activation: decoder.GELUTanh, learned: true},
		"gptneox":    {norm: layer, activation: decoder.GELU, parallel: parallelFlag},
		"stablelm":   {norm: layer, activation: decoder.SiLU, gated: true, parallel: serialFlag},
		"gemma":      gemma,
		"gemma2":     gemma2,
		"gemma3":     gemma3,
		"deepseek2":  {norm: rms, activation: decoder.SiLU, gated: true, adjacent: true, latent: true, groupTop: 2},
		"gpt-oss": {
			norm: rms, activation: decoder.SiLU, gated: true, fullEvery: 2, normalise: true, swiglu: true, fractions: true,
			names: map[string]string{"ffn_norm": "post_attention_norm"},
		},
	}
}
