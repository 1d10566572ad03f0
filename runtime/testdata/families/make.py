# SPDX-License-Identifier: Apache-2.0
"""Makes the small models beside this file and what Hugging Face transformers computes with them.

usage: python make.py [NAME...]    (made with transformers 5.23.0, torch 2.15.0, float32, eager attention, one thread)

Each folder is a model with random weights stored as float16 and reference.safetensors: one prompt of 13 ids without a cache, its logits, the output of every
block, router logits and chosen experts, and 8 greedy tokens. Names of tensors are those of trimtab's sites with the prefix p0.
"""
import os
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
TOKENS, GREEDY = 13, 8
BASE = dict(vocab_size=40, hidden_size=32, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False)
EXPERTS = dict(num_local_experts=5, num_experts_per_tok=2)
LATENT = dict(num_key_value_heads=4, kv_lora_rank=12, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=12, n_routed_experts=8, moe_intermediate_size=12,
              num_experts_per_tok=3, first_k_dense_replace=1)
GRANITE = dict(embedding_multiplier=6.0, logits_scaling=4.0, residual_multiplier=0.4, attention_multiplier=0.25)


def yarn(original, factor, **more):
    return dict(rope_type="yarn", rope_theta=10000.0, original_max_position_embeddings=original, factor=factor, **more)


CASES = {
    "gemma2": ("gemma2", dict(head_dim=16, query_pre_attn_scalar=20, sliding_window=5, tie_word_embeddings=True, attn_logit_softcapping=5.0,
                              final_logit_softcapping=20.0)),
    "olmo2": ("olmo2", {}),
    "stablelm": ("stablelm", dict(use_qkv_bias=True, qk_layernorm=True, partial_rotary_factor=0.5)),
    "stablelm_parallel": ("stablelm", dict(use_parallel_residual=True, partial_rotary_factor=0.5)),
    "phi": ("phi", dict(num_key_value_heads=4, qk_layernorm=True)),
    "granite": ("granite", dict(attention_bias=True, mlp_bias=True, **GRANITE)),
    "granitemoe": ("granitemoe", dict(**GRANITE, **EXPERTS)),
    "deepseek_v2": ("deepseek_v2", dict(LATENT, q_lora_rank=None, n_shared_experts=2, topk_method="group_limited_greedy", n_group=4, topk_group=2,
                                        routed_scaling_factor=2.0)),
    "deepseek_v3": ("deepseek_v3", dict(LATENT, q_lora_rank=16, n_shared_experts=1, n_group=4, topk_group=2,
                                        rope_parameters=yarn(16, 4.0, mscale=1.0, mscale_all_dim=1.0))),
    "gpt_oss": ("gpt_oss", dict(head_dim=8, sliding_window=6, rope_parameters=yarn(16, 4.0, truncate=False), **EXPERTS)),
    "phi3_long": ("phi3", dict(original_max_position_embeddings=16, rope_parameters=dict(
        rope_type="longrope", rope_theta=10000.0, original_max_position_embeddings=16,
        short_factor=[1.0, 1.1, 1.3, 1.4], long_factor=[1.5, 2.0, 3.0, 5.0]))),
    "llama_yarn": ("llama", dict(attention_bias=True, mlp_bias=True, rope_parameters=yarn(16, 4.0))),
}


def randomise(model, seed):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in list(model.named_parameters()) + [b for b in model.named_buffers() if "e_score" in b[0]]:
            spread = 0.3
            if p.dim() >= 2 and "norm" not in name:
                spread = 1.0 if "embed" in name else p.shape[-1] ** -0.5
            x = torch.randn(p.shape, generator=g) * spread
            if p.dim() == 1 and "norm" in name and name.endswith("weight"):
                x = 1 + x
            p.copy_(x.half().float())


def listen(model, into):
    base = getattr(model, "model", None)
    for i, layer in enumerate(base.layers):
        def block(module, args, kwargs, out, i=i):
            into[f"resid_post.{i}"] = (out[0] if isinstance(out, tuple) else out)[0]

        def router(module, args, out, i=i):
            logits, weights, ids = out
            weights, order = weights.sort(-1, descending=True)
            into[f"router_logits.{i}"], into[f"router_weights.{i}"], into[f"expert_ids.{i}"] = logits, weights, ids.gather(-1, order).long()

        layer.register_forward_hook(block, with_kwargs=True)
        for name, module in layer.named_modules():
            if type(module).__name__.endswith("TopKRouter") or type(module).__name__.endswith("TopkRouter"):
                module.register_forward_hook(router)


def make(name, kind, more):
    config = AutoConfig.for_model(kind, **{**BASE, **more})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float()
    seed = sum(map(ord, name))
    randomise(model, seed)
    folder = os.path.join(HERE, name)
    model.half().save_pretrained(folder)
    for extra in ("generation_config.json",):
        path = os.path.join(folder, extra)
        if os.path.exists(path):
            os.remove(path)
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    ids = torch.randint(3, config.vocab_size, (1, TOKENS), generator=torch.Generator().manual_seed(seed + 1))
    out = {}
    with torch.no_grad():
        current = ids
        for _ in range(GREEDY):
            best = model(current, use_cache=False).logits[0, -1].argmax()
            current = torch.cat([current, best.view(1, 1)], 1)
        listen(model, out)
        out["logits"] = model(ids, use_cache=False).logits[0]
    out["input_ids"], out["greedy"] = ids[0], current[0, TOKENS:]
    save_file({"p0." + k: v.contiguous().clone() for k, v in out.items()}, os.path.join(folder, "reference.safetensors"))
    print(name, flush=True)


torch.set_num_threads(1)
for name, (kind, more) in CASES.items():
    if len(sys.argv) < 2 or name in sys.argv[1:]:
        make(name, kind, more)
