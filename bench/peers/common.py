# SPDX-License-Identifier: Apache-2.0
"""What the peers' scripts share; it stands in front of each of them.

Commands come as JSON lines on standard input, answers go as JSON lines to standard output:
{"load": FILE, "threads": N, "flash": bool, "context": N, "sequences": N, "vector": bool}  ->  {"version": ...}
{"run": [ids], "at": N, "together": bool}  ->  {"wall": ns, "cpu": ns}
{"since": true}   ->  the times since the script had imported what it needs
{"memory": true}  ->  {"now": {...}, "before": {...}}, kB now and before the model was loaded
"at" is the position of the first id; what is cached behind it is forgotten. Ids that run together are one of each sequence. "vector" steers all layers.
"""
import json
import sys
import time


def clocks():
    return time.perf_counter_ns(), time.process_time_ns()


def since(start):
    wall, cpu = clocks()
    return {"wall": wall - start[0], "cpu": cpu - start[1]}


def memory():
    kinds = {"Rss:": "resident", "Anonymous:": "anonymous"}
    try:
        with open("/proc/self/smaps_rollup") as f:
            lines = [line.split() for line in f]
    except OSError:
        return {}
    return {kinds[w[0]]: int(w[1]) for w in lines if w[0] in kinds}


def serve(version, load):
    """load(command) returns run(ids, at, together)."""
    born, before, run = clocks(), memory(), None
    for line in sys.stdin:
        o = json.loads(line)
        if "load" in o:
            run = load(o)
            answer = {"version": version}
        elif "since" in o:
            answer = since(born)
        elif "memory" in o:
            answer = {"now": memory(), "before": before}
        else:
            answer = run(o["run"], o["at"], o["together"])
        print(json.dumps(answer), flush=True)
