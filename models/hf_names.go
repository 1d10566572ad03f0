// SPDX-License-Identifier: Apache-2.0

package models

import (
	"fmt"
	"regexp"
	"strings"
)

// hfParts gives the GGUF name of what Hugging Face folders call parts of a block, without .weight and .bias. Families that mean something else say so in their row.
func hfParts() map[string]string {
	return map[string]string{
		"input_layernorm": "attn_norm", "ln_1": "attn_norm",
		"post_attention_layernorm": "ffn_norm", "ln_2": "ffn_norm",

		"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
		"self_attn.qkv_proj": "attn_qkv", "attn.c_attn": "attn_qkv", "attention.query_key_value": "attn_qkv",
		"self_attn.o_proj": "attn_output", "self_attn.dense": "attn_output", "attn.c_proj": "attn_output", "attention.dense": "attn_output",
		"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
		"self_attn.q_layernorm": "attn_q_norm", "self_attn.k_layernorm": "attn_k_norm",
		"self_attn.sinks":    "attn_sinks",
		"self_attn.q_a_proj": "attn_q_a", "self_attn.q_a_layernorm": "attn_q_a_norm", "self_attn.q_b_proj": "attn_q_b",
		"self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa", "self_attn.kv_a_layernorm": "attn_kv_a_norm", "self_attn.kv_b_proj": "attn_kv_b",

		"mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate_up_proj": "ffn_up",
		"mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
		"mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down",

		"block_sparse_moe.gate": "ffn_gate_inp", "block_sparse_moe.router.layer": "ffn_gate_inp", "block_sparse_moe.router": "ffn_gate_inp",
		"mlp.gate": "ffn_gate_inp", "mlp.router": "ffn_gate_inp", "mlp.gate.e_score_correction_bias": "exp_probs_b",
		"mlp.shared_expert_gate": "ffn_gate_inp_shexp",
	}
}

// hfOnce gives the GGUF name of what stands once a model.
func hfOnce() map[string]string {
	return map[string]string{
		"embed_tokens": "token_embd", "wte": "token_embd", "embed_in": "token_embd", "wpe": "position_embd",
		"norm": "output_norm", "ln_f": "output_norm", "final_layer_norm": "output_norm", "final_layernorm": "output_norm",
		"lm_head": "output", "embed_out": "output",
	}
}

// hfLinear gives the GGUF name of an expert's three layers.
func hfLinear() map[string]string {
	return map[string]string{"gate_proj": "gate", "up_proj": "up", "down_proj": "down", "w1": "gate", "w3": "up", "w2": "down"}
}

// hfPlace is where a stored tensor belongs.
type hfPlace struct {
	name   string // in GGUF, without .weight and .bias; "" for tensors that nothing reads
	kind   string // weight or bias
	layer  int    // -1 for what stands once
	stack  string // gate_up or down where all experts of a block stand in one tensor
	head   int    // of a norm that has one weight by head; -1 otherwise
	ignore bool
}

// hfNames understands the names of one family.
type hfNames struct {
	parts, once, linear map[string]string
	block, expert, head *regexp.Regexp
}

func newHFNames(f hfFamily) hfNames {
	n := hfNames{
		parts: hfParts(), once: hfOnce(), linear: hfLinear(),
		block:  regexp.MustCompile(`^(?:layers|h)\.(\d{1,5})\.(.+)$`),
		expert: regexp.MustCompile(`^(?:mlp|block_sparse_moe)\.(?:experts\.(\d{1,5})|shared_experts?)\.(\w+)$`),
		head:   regexp.MustCompile(`^(self_attn\.[qk]_layernorm)\.norms\.(\d{1,5})$`),
	}
	for from, to := range f.parts {
		n.parts[from] = to
	}
	return n
}

// prefixes that some files have and others lack, the longer ones first.
func prefixes() []string {
	return []string{"language_model.model.", "model.language_model.", "language_model.", "model.", "transformer.", "gpt_neox."}
}

// place finds where a tensor belongs; false says that the name means nothing here.
func (n hfNames) place(name string) (hfPlace, bool) {
	rest := name
	for _, p := range prefixes() {
		if s, ok := strings.CutPrefix(rest, p); ok {
			rest = s
			break
		}
	}
	p := hfPlace{kind: "weight", layer: -1, head: -1}
	if s, ok := strings.CutSuffix(rest, ".weight"); ok {
		rest = s
	} else if s, ok := strings.CutSuffix(rest, ".bias"); ok {
		rest, p.kind = s, "bias"
	}
	m := n.block.FindStringSubmatch(rest)
	if m == nil {
		p.name = n.once[rest]
		p.ignore = strings.HasPrefix(rest, "vision_tower.") || strings.HasPrefix(rest, "multi_modal_projector.") || strings.HasSuffix(name, "rotary_emb.inv_freq")
		return p, p.name != "" || p.ignore
	}
	fmt.Sscan(m[1], &p.layer)
	return n.inBlock(p, m[2])
}

func (n hfNames) inBlock(p hfPlace, part string) (hfPlace, bool) {
	set := func(format string, args ...any) (hfPlace, bool) {
		p.name = fmt.Sprintf("blk.%d.", p.layer) + fmt.Sprintf(format, args...)
		return p, true
	}
	if to, ok := n.parts[part]; ok {
		if to == "exp_probs_b" {
			p.kind = "bias"
		}
		return set("%s", to)
	}
	switch part {
	case "attn", "attn.masked_bias", "attention", "attention.masked_bias", "attention.rotary_emb.inv_freq", "self_attn.rotary_emb.inv_freq":
		p.ignore = true // masks and frequencies that older files keep: attn.bias and so on
		return p, true
	case "mlp.experts.gate_up_proj", "block_sparse_moe.input_linear", "block_sparse_moe.experts.gate_up_proj":
		p.stack = "gate_up"
		return p, true
	case "mlp.experts.down_proj", "block_sparse_moe.output_linear", "block_sparse_moe.experts.down_proj":
		p.stack = "down"
		return p, true
	case "mlp.experts.gate_up_proj_bias":
		p.stack, p.kind = "gate_up", "bias"
		return p, true
	case "mlp.experts.down_proj_bias":
		p.stack, p.kind = "down", "bias"
		return p, true
	}
	if m := n.expert.FindStringSubmatch(part); m != nil && n.linear[m[2]] != "" {
		if m[1] == "" {
			return set("ffn_%s_shexp", n.linear[m[2]])
		}
		return set("ffn_%s.%s", n.linear[m[2]], m[1])
	}
	if m := n.head.FindStringSubmatch(part); m != nil {
		fmt.Sscan(m[2], &p.head)
		return set("%s", n.parts[m[1]])
	}
	return p, false
}
