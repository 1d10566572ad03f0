// SPDX-License-Identifier: Apache-2.0

package models

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/models/decoder"
)

// describeHF reads config.json as transformers 4 and 5 write it: version 5 gathers what concerns rotary embedding in rope_parameters, version 4 spreads it.
func describeHF(s settings) (decoder.Description, hfFamily, error) {
	kind := s.textOr("", "model_type")
	if kind == "gemma3" && s.has("text_config") { // pictures and text: the part that reads text
		s = s.object("text_config")
		kind = "gemma3_text"
	}
	family, ok := hfFamilies()[kind]
	if !ok {
		return decoder.Description{}, family, &FamilyError{Family: kind, Known: slices.Sorted(maps.Keys(hfFamilies()))}
	}
	s.refuseUnknown(family)
	s.fill(family.absent)
	d := decoder.Description{
		Family:    kind,
		Name:      s.textOr("", "_name_or_path"),
		Layers:    s.count("num_hidden_layers", "n_layer"),
		Width:     s.count("hidden_size", "n_embd"),
		Vocab:     s.count("vocab_size"),
		Context:   s.count("max_position_embeddings", "n_positions", "n_ctx"),
		Heads:     s.count("num_attention_heads", "n_head"),
		Norm:      family.norm,
		NormEps:   float32(s.eps(family.norm)),
		NoPreNorm: family.noPreNorm,
		Parallel:  s.parallel(family.parallel),
		Gated:     family.gated,
		ClipQKV:   float32(s.numberOr(0, "clip_qkv")),
	}
	d.Activation = s.activation(family.activation)
	d.KVHeads = s.countOr(d.Heads, "num_key_value_heads")
	d.HeadDim = s.countOr(d.Width/max(d.Heads, 1), "head_dim")
	d.MLPWidth = s.countOr(4*d.Width, "intermediate_size", "n_inner")
	if *s.err != nil || d.Layers < 1 || d.Layers > 1<<12 || d.HeadDim < 1 || d.HeadDim > 1<<14 {
		return d, family, first(*s.err, d.Check())
	}
	s.scales(&d, family)
	s.latent(&d, family)
	d.Windows = s.windows(family.windows, d.Layers)
	s.ropes(&d, family)
	d.Experts = s.experts(family.experts, d.MLPWidth)
	return d, family, first(*s.err, d.Check())
}

// fill adds the fields that are not there.
func (s settings) fill(absent string) {
	var values map[string]json.RawMessage
	if absent == "" {
		return
	}
	if err := json.Unmarshal([]byte(absent), &values); err != nil {
		s.fail("fields that may be absent", "an object", err.Error())
	}
	for name, v := range values {
		if _, there := s.values[name]; !there {
			s.values[name] = v
		}
	}
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// refuseUnknown names the fields that change what a model computes in ways that no description has.
func (s settings) refuseUnknown(f hfFamily) {
	s.refuse("quantization_config")
	s.refuse("is_encoder_decoder", "false")
	s.refuse("add_cross_attention", "false")
	s.refuse("use_bidirectional_attention", "false")
	s.refuse("scale_attn_by_inverse_layer_idx", "false")
	s.refuse("alibi", "false")
	s.refuse("position_embedding_type", `"absolute"`, `"rope"`)
	s.refuse("moe_layer_freq", "1")
	if !f.attnCap {
		s.refuse("attn_logit_softcapping")
	}
	if !f.logitCap {
		s.refuse("final_logit_softcapping")
	}
	if !f.scales {
		for _, name := range []string{"embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling"} {
			s.refuse(name, "1.0", "1")
		}
	}
	if !f.windows.on {
		s.refuse("sliding_window")
	}
	if !f.experts.on {
		s.refuse("num_local_experts", "0")
		s.refuse("num_experts", "0")
	}
}

func (s settings) eps(kind decoder.NormKind) float64 {
	names := []string{"rms_norm_eps"}
	if kind == decoder.LayerNorm {
		names = []string{"layer_norm_eps", "layer_norm_epsilon"}
	}
	eps := s.numberOr(0, names...)
	if !(eps > 0) {
		s.fail(names[0], "more than 0", fmt.Sprint(eps))
	}
	return eps
}

func (s settings) parallel(rule parallelRule) bool {
	switch rule {
	case parallel:
		return true
	case parallelFlag:
		return s.flagOr(true, "use_parallel_residual")
	case serialFlag:
		return s.flagOr(false, "use_parallel_residual")
	}
	return false
}

// activations by the names that transformers gives them (ACT2FN).
func activations() map[string]decoder.Activation {
	return map[string]decoder.Activation{
		"silu": decoder.SiLU, "swish": decoder.SiLU, "gelu": decoder.GELU, "relu": decoder.ReLU,
		"gelu_new": decoder.GELUTanh, "gelu_pytorch_tanh": decoder.GELUTanh, "gelu_fast": decoder.GELUTanh, "gelu_python_tanh": decoder.GELUTanh,
	}
}

func (s settings) activation(absent string) decoder.Activation {
	names := []string{"hidden_activation", "hidden_act", "activation_function"}
	text := s.textOr(absent, names...)
	a, ok := activations()[text]
	if !ok {
		name, _ := s.find(names...)
		s.fail(name, "one of "+strings.Join(slices.Sorted(maps.Keys(activations())), ", "), text)
	}
	return a
}

// scales reads the numbers that multiply embeddings, attention, residuals and logits.
func (s settings) scales(d *decoder.Description, f hfFamily) {
	if f.embedSqrt {
		d.EmbedScale = float32(math.Sqrt(float64(d.Width)))
	}
	if f.attnCap {
		d.AttnCap = float32(s.numberOr(0, "attn_logit_softcapping"))
	}
	d.LogitCap = float32(s.numberOr(0, "final_logit_softcapping"))
	if f.queryScale {
		d.AttnScale = float32(1 / math.Sqrt(s.numberOr(256, "query_pre_attn_scalar")))
	}
	if f.scales {
		d.EmbedScale = float32(s.numberOr(1, "embedding_multiplier"))
		d.AttnScale = float32(s.numberOr(1, "attention_multiplier"))
		d.ResidualScale = float32(s.numberOr(1, "residual_multiplier"))
		d.LogitScale = float32(1 / s.numberOr(1, "logits_scaling"))
		s.positive("embedding_multiplier", d.EmbedScale)
		s.positive("attention_multiplier", d.AttnScale)
		s.positive("residual_multiplier", d.ResidualScale)
		s.positive("logits_scaling", d.LogitScale)
	}
	if !s.flagOr(true, "scale_attn_weights") {
		d.AttnScale = 1
	}
}

// positive refuses 0, which a description means otherwise, and what is no number.
func (s settings) positive(field string, x float32) {
	if !(x > 0) || math.IsInf(float64(x), 0) {
		s.fail(field, "more than 0", fmt.Sprint(x))
	}
}

// windows returns the window of every block, or nil where none has one.
func (s settings) windows(rule windowRule, layers int) []int {
	w := s.countOr(0, "sliding_window")
	if !rule.on || w <= 0 || rule.asked && !s.flagOr(false, "use_sliding_window") {
		return nil
	}
	if types := s.texts("layer_types"); rule.typed && types != nil {
		return s.typedWindows(types, w, layers)
	}
	every := rule.fullEvery
	if every > 0 {
		every = s.countOr(every, "sliding_window_pattern")
	}
	edge := s.countOr(layers, "max_window_layers")
	out := make([]int, layers)
	for i := range out {
		full := every > 0 && (i+1)%every == 0 || rule.from && i < edge || rule.below && i >= edge
		if !full {
			out[i] = w
		}
	}
	return out
}

func (s settings) typedWindows(types []string, w, layers int) []int {
	if len(types) != layers {
		s.fail("layer_types", fmt.Sprintf("%d", layers), fmt.Sprint(len(types)))
		return nil
	}
	out := make([]int, layers)
	for i, t := range types {
		switch t {
		case "sliding_attention":
			out[i] = w
		case "full_attention":
		default:
			s.fail("layer_types", "full_attention or sliding_attention", t)
		}
	}
	return out
}

// latent reads the widths of latent attention, DeepSeek's: head_dim has another meaning there.
func (s settings) latent(d *decoder.Description, f hfFamily) {
	if !f.latent {
		s.refuse("kv_lora_rank")
		return
	}
	d.Latent = decoder.Latent{
		Rank:     s.count("kv_lora_rank"),
		QRank:    s.countOr(0, "q_lora_rank"),
		ValueDim: s.count("v_head_dim"),
		NormEps:  1e-6, // rms_norm_eps is not for these norms
	}
	d.HeadDim = s.count("qk_nope_head_dim") + s.count("qk_rope_head_dim")
	d.KVHeads = d.Heads
}

// experts reads how tokens find their experts.
func (s settings) experts(rule expertRule, dense int) decoder.Experts {
	if !rule.on {
		return decoder.Experts{}
	}
	e := decoder.Experts{
		Count: s.count("num_experts", "num_local_experts", "n_routed_experts"),
		Used:  s.count("num_experts_per_tok"),
		Width: s.countOr(dense, "moe_intermediate_size"),
		Score: rule.score,
		Scale: float32(s.numberOr(1, "routed_scaling_factor")),
	}
	s.positive("routed_scaling_factor", e.Scale)
	s.refuse("scoring_func", map[decoder.Score]string{decoder.Softmax: `"softmax"`, decoder.Sigmoid: `"sigmoid"`}[rule.score])
	switch rule.normalise {
	case "always":
		e.Normalise = true
	case "true", "false":
		e.Normalise = s.flagOr(rule.normalise == "true", "norm_topk_prob")
	}
	if rule.shared {
		e.SharedWidth = s.countOr(e.Width*s.countOr(0, "n_shared_experts"), "shared_expert_intermediate_size")
	}
	if rule.swiglu {
		e.Alpha, e.Limit, e.Offset = float32(s.numberOr(1.702, "swiglu_alpha")), float32(s.numberOr(7, "swiglu_limit")), 1
	}
	s.groups(&e, rule)
	return e
}

func (s settings) groups(e *decoder.Experts, rule expertRule) {
	switch method := s.textOr("", "topk_method"); {
	case rule.groupTop == 0 || method == "greedy" || method == "" && rule.groupTop == 1:
		return
	case method != "" && method != map[int]string{1: "group_limited_greedy", 2: "noaux_tc"}[rule.groupTop]:
		s.fail("topk_method", "greedy, group_limited_greedy or noaux_tc as the family has it", method)
	}
	e.Groups, e.GroupsUsed, e.GroupTop = s.countOr(1, "n_group"), s.countOr(1, "topk_group"), rule.groupTop
}
