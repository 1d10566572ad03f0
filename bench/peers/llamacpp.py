# SPDX-License-Identifier: Apache-2.0
"""Times llama.cpp through llama-cpp-python's low-level binding, one step a command, so that another process can interleave its own steps.

Commands come as JSON lines on standard input, answers go as JSON lines to standard output:
{"load": FILE, "threads": N, "flash": bool, "context": N}  ->  {"version": ...}
{"run": [ids], "at": N}                                    ->  {"wall": ns, "cpu": ns}
"at" is the position of the first id; what is cached behind it is forgotten.
"""
import ctypes
import json
import sys
import time

import llama_cpp as L


def load(o):
    L.llama_log_set(SILENT, ctypes.c_void_p(0))
    L.llama_backend_init()
    mp = L.llama_model_default_params()
    mp.n_gpu_layers = 0
    model = L.llama_model_load_from_file(o["load"].encode(), mp)
    if not model:
        raise SystemExit("llama.cpp cannot load the file")
    cp = L.llama_context_default_params()
    cp.n_ctx = o["context"]
    cp.n_batch, cp.n_ubatch = o["context"], 512
    cp.n_threads = cp.n_threads_batch = o["threads"]
    cp.flash_attn_type = 1 if o["flash"] else 0
    cp.no_perf = True
    ctx = L.llama_init_from_model(model, cp)
    return model, ctx


def run(ctx, ids, at):
    memory = L.llama_get_memory(ctx)
    L.llama_memory_seq_rm(memory, 0, at, -1)
    array = (L.llama_token * len(ids))(*ids)
    batch = L.llama_batch_get_one(array, len(ids))
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    code = L.llama_decode(ctx, batch)
    logits = L.llama_get_logits_ith(ctx, -1)
    wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
    if code != 0 or not logits:
        raise SystemExit(f"llama_decode: {code}")
    return {"wall": wall, "cpu": cpu}


@L.llama_log_callback
def SILENT(level, text, data):
    pass


def main():
    ctx = None
    for line in sys.stdin:
        o = json.loads(line)
        if "load" in o:
            _, ctx = load(o)
            answer = {"version": L.__version__}
        else:
            answer = run(ctx, o["run"], o["at"])
        print(json.dumps(answer), flush=True)


main()
