# SPDX-License-Identifier: Apache-2.0
# llama.cpp through llama-cpp-python's low-level binding.
import ctypes

import llama_cpp as L


@L.llama_log_callback
def SILENT(level, text, data):
    pass


class Context:
    def __init__(self, o):
        L.llama_log_set(SILENT, ctypes.c_void_p(0))
        L.llama_backend_init()
        mp = L.llama_model_default_params()
        mp.n_gpu_layers = 0
        self.model = L.llama_model_load_from_file(o["load"].encode(), mp)
        if not self.model:
            raise SystemExit("llama.cpp cannot load the file")
        self.sequences = o["sequences"]
        cp = L.llama_context_default_params()
        cp.n_ctx = o["context"] * self.sequences
        cp.n_batch, cp.n_ubatch, cp.n_seq_max = o["context"], 512, self.sequences
        cp.n_threads = cp.n_threads_batch = o["threads"]
        cp.flash_attn_type = 1 if o["flash"] else 0
        cp.no_perf = True
        self.ctx = L.llama_init_from_model(self.model, cp)
        if not self.ctx:
            raise SystemExit("llama.cpp cannot make a context of that size")
        self.batch = L.llama_batch_init(self.sequences, 0, 1) if self.sequences > 1 else None
        if o["vector"]:
            self.steer()

    def steer(self):
        width, layers = L.llama_model_n_embd(self.model), L.llama_model_n_layer(self.model)
        values = (ctypes.c_float * (width * layers))(*[0.001 * (i % 7 - 3) for i in range(width * layers)])
        apply = getattr(L, "llama_set_adapter_cvec", None) or L.llama_apply_adapter_cvec
        if apply(self.ctx, values, len(values), width, 1, layers) != 0:
            raise SystemExit("llama.cpp refuses the control vector")

    def run(self, ids, at, together):
        cache = L.llama_get_memory(self.ctx)
        together = together and self.batch is not None
        for s in range(self.sequences if together else 1):
            L.llama_memory_seq_rm(cache, s, at, -1)
        if together:
            batch = self.one_of_each(ids, at)
        else:
            tokens = (L.llama_token * len(ids))(*ids)  # the batch keeps only its address
            batch = L.llama_batch_get_one(tokens, len(ids))
        start = clocks()
        code = L.llama_decode(self.ctx, batch)
        logits = L.llama_get_logits_ith(self.ctx, -1)
        times = since(start)
        if code != 0 or not logits:
            raise SystemExit(f"llama_decode: {code}")
        for s in range(1, 1 if together else self.sequences):  # the others read what the first one has read
            L.llama_memory_seq_rm(cache, s, -1, -1)
            L.llama_memory_seq_cp(cache, 0, s, -1, -1)
        return times

    def one_of_each(self, ids, at):
        b = self.batch
        b.n_tokens = len(ids)
        for i, token in enumerate(ids):
            b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = token, at, 1, 1
            b.seq_id[i][0] = i
        return b


serve(L.__version__, lambda o: Context(o).run)
