# SPDX-License-Identifier: Apache-2.0
# onnxruntime-genai, over a folder with its configuration.
import numpy as np
import onnxruntime_genai as og


def load(o):
    config = og.Config(o["load"])
    config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": o["threads"]}}}}))
    model = og.Model(config)
    params = og.GeneratorParams(model)
    params.set_search_options(max_length=o["context"], batch_size=1)
    generator = og.Generator(model, params)

    def run(ids, at, together):
        if generator.token_count() > at:
            generator.rewind_to(at)
        start = clocks()
        generator.append_tokens(np.array(ids, dtype=np.int32))
        generator.get_logits()
        return since(start)

    return run


serve(og.__version__, load)
