"""Square matrix products in PyTorch, driven like torch_step.py: what the machine can multiply at most."""

import json
import os
import resource
import sys
import time

task = json.loads(sys.stdin.readline())
os.environ["OMP_NUM_THREADS"] = str(task["threads"])

import torch

torch.set_num_threads(task["threads"])
a, b = (torch.randn(task["size"], task["size"], dtype=getattr(torch, task["dtype"])) for _ in range(2))
print(json.dumps({"version": torch.__version__}), flush=True)
for line in sys.stdin:
    times = []
    for _ in range(int(line.split()[1])):
        start = time.perf_counter()
        torch.mm(a, b)
        times.append(1000 * (time.perf_counter() - start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"ms": times, "peakBytes": peak}), flush=True)
