"""Runs programs against tests, inside one bubblewrap: one JSON document a line from Node, one back.

For each job the zygote of candidates and that of referees fork a cell. This process hands the program to the one and the
tests to the other, watches time and output, and makes the verdict. It never runs either.
"""

import json
import os
import select
import signal
import socket
import sys
import time

from . import system_call_filter
from .candidate import run_candidate
from .cell import start_zygote
from .channel import receive, send_descriptors, written
from .referee import run_referee

# What programs import most, so that cells inherit it.
import bisect, copy, functools, heapq, itertools, math, operator, re, string, typing  # noqa: F401,E401

REFEREE_PROCESSES = 64
LEAST_REFEREE_MEMORY = 1 << 30  # a program's answers take room there too, 64 MiB of JSON at a time


def main():
    sys.path = [entry for entry in sys.path if entry.startswith("/usr")] + ["/packages"]
    if system_call_filter.PROGRAM is None:
        return say({"unavailable": "a processor other than " + " and ".join(system_call_filter.ARCHITECTURES)})
    zygotes = Zygotes()
    say(first_words(zygotes))
    for line in sys.stdin:
        say(run_job(zygotes, json.loads(line)))


def say(value):
    print(json.dumps(value), flush=True)


class Zygotes:
    def __init__(self):
        self.candidates = start_zygote(run_candidate, 4)
        self.referees = start_zygote(run_referee, 4)


def first_words(zygotes):
    """Proves that a test can be run at all, before anybody counts on it."""
    limits = {"wallMs": 10_000, "cpuSeconds": 5, "memoryBytes": 256 << 20, "processes": 4, "outputBytes": 1000}
    job = {"candidate": "def ready(): return 1", "checks": ["assert ready() == 1"], "entryPoints": ["ready"], "classes": [], "limits": limits}
    verdict = run_job(zygotes, job)
    return {"ready": sys.version.split()[0]} if verdict.get("status") == "passed" else {"unavailable": verdict.get("fault") or verdict.get("cause")}


def run_job(zygotes, job):
    limits = job["limits"]
    started = time.monotonic()
    candidate_calls, referee_calls = socket.socketpair()
    results, results_end = socket.socketpair()
    output, output_end = os.pipe()
    candidate = start_cell(zygotes.candidates, {"candidate": job["candidate"], "limits": limits}, [candidate_calls.detach(), output_end])
    referee_job = {"checks": job["checks"], "entryPoints": job["entryPoints"], "classes": job["classes"]}
    referee_limits = {"memoryBytes": max(limits["memoryBytes"], LEAST_REFEREE_MEMORY), "processes": REFEREE_PROCESSES, "cpuSeconds": limits["wallMs"] // 1000 + 2}
    referee = start_cell(zygotes.referees, {**referee_job, "limits": referee_limits}, [referee_calls.detach(), results_end.detach()])
    try:
        passed, failure, end = watch(limits, started + limits["wallMs"] / 1000, results, output)
        candidate_end, referee_end = end_cell(candidate), end_cell(referee)
    finally:
        for channel in (candidate, referee, results):
            channel.close()
        os.close(output)
    if "fault" in candidate_end or "fault" in referee_end:
        return {"fault": candidate_end.get("fault") or referee_end["fault"]}
    if "silent" in end:
        return {"fault": "a referee that ended with wait status %d" % referee_end["status"]}
    if "invalid" in end:
        return end
    status, cause = failure or end["verdict"]
    if status is None:
        status, cause = reason_of_end(candidate_end, limits)
    wall_ms = (time.monotonic() - started) * 1000
    return {"status": status, "cause": cause, "passed": passed, "wallMs": wall_ms, "cpuMs": candidate_end["cpuMs"]}


def start_cell(zygote, job, channels):
    """Returns the socket to the cell's supervisor. The descriptors go over to the cell."""
    control, control_end = socket.socketpair()
    descriptors = [control_end.detach(), written(job), *channels]
    send_descriptors(zygote, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    return control


def end_cell(control):
    """Kills what is left of the cell and returns its supervisor's report."""
    try:
        control.send(b"k")
    except OSError:
        pass  # it has ended and reported already
    return receive(control)


def watch(limits, deadline, results, output):
    """Collects outcomes until the last one or until a limit is reached: how many passed, the first that did not, the end."""
    passed, failure, written_bytes = 0, None, 0
    reading = [results, output]
    while True:
        ready, _, _ = select.select(reading, [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return passed, failure, {"verdict": ("timeout", "wall clock: %d ms" % limits["wallMs"])}
        if output in ready:  # first, as what was written before an answer counts
            part = os.read(output, 1 << 16)
            written_bytes += len(part)
            if not part:
                reading = [results]
            if written_bytes > limits["outputBytes"]:
                return passed, failure, {"verdict": ("output-limit", "wrote more than %d bytes" % limits["outputBytes"])}
            continue
        outcome = next_outcome(results)
        if "passed" in outcome:
            passed += 1
        elif "status" in outcome:
            failure = failure or (outcome["status"], outcome["cause"])
        else:
            return passed, failure, {"verdict": ("passed", "all checks passed"), **outcome}


def next_outcome(results):
    try:
        return receive(results)
    except EOFError:
        return {"silent": True}


def reason_of_end(end, limits):
    """Why the program's first process ended before the tests did."""
    if end["overMemory"]:
        return "memory", "more than %d bytes in all processes" % limits["memoryBytes"]
    if os.WIFEXITED(end["status"]):
        return "crashed", "exited with code %d" % os.WEXITSTATUS(end["status"])
    number = os.WTERMSIG(end["status"])
    # The limit counts whole ticks, the report does not: on a busy machine they are far apart.
    if number in (signal.SIGKILL, signal.SIGXCPU) and end["cpuMs"] >= limits["cpuSeconds"] * 500:
        return "timeout", "processor time: %d s" % limits["cpuSeconds"]
    return "crashed", signal.Signals(number).name


if __name__ == "__main__":
    main()
