# SPDX-License-Identifier: Apache-2.0
# transformers in float32 on the processor; what steers is a forward hook on every block that adds to its output.
import os

import torch
import transformers


def load(o):
    torch.set_num_threads(o["threads"])
    torch.set_grad_enabled(False)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    folder, more = os.path.abspath(o["load"]), {}
    if folder.lower().endswith(".gguf"):
        folder, more["gguf_file"] = os.path.split(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True, **more).eval()
    if o["vector"]:
        steer(model)
    cache = [transformers.DynamicCache()]

    def run(ids, at, together):
        behind = cache[0].get_seq_length() - at
        if at == 0:
            cache[0] = transformers.DynamicCache()
        elif behind > 0:
            cache[0].crop(-behind)
        start = clocks()
        model(input_ids=torch.tensor([ids]), past_key_values=cache[0], use_cache=True, logits_to_keep=1)
        return since(start)

    return run


def steer(model):
    blocks = next(getattr(model.base_model, name) for name in ("layers", "h") if hasattr(model.base_model, name))
    vector = torch.full((model.config.hidden_size,), 0.001)

    def add(module, args, output):
        if isinstance(output, tuple):
            return (output[0] + vector,) + output[1:]
        return output + vector

    for block in blocks:
        block.register_forward_hook(add)


serve(transformers.__version__, load)
