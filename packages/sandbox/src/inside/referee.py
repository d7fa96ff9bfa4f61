"""The referee's side: runs the tests, with stand-ins for what the program defines.

Requests to the candidate are {"do": "call", "of", "arguments", "keywords"}, {"do": "get", "of", "name"}, {"do": "set", "of",
"name", "value"} and {"do": "next", "of"}, where "of" is a name of the program or the number of an object. Replies are
{"value"} (after a call also "arguments": the mutable ones as the call left them, null for the others), {"end"} from an
iterator without more items, or {"raised", "message", "classes", "arguments"}. The first reply comes unasked, when
the program has been loaded; there {"syntax", "message"} is possible too. Whatever a reply holds is judged as data.
"""

import socket
import sys
import types

from .channel import send
from .stand_ins import Candidate, CheckEnded, ChecksInvalid


def run_referee(job, calls, results):
    results = socket.socket(fileno=results)
    try:
        for outcome in outcomes(job, Candidate(socket.socket(fileno=calls), job["classes"])):
            send(results, outcome)
    except ChecksInvalid as problem:
        send(results, {"invalid": str(problem)[:500]})


def outcomes(job, candidate):
    """For each check {"passed": true}, or status and cause; all run, also after one has failed. Then {"done"}."""
    checks = [compiled(check, number) for number, check in enumerate(job["checks"])]
    try:
        candidate.load()
        for check in checks:
            yield outcome(check, job["entryPoints"], candidate)
        if candidate.requests == 0:
            raise ChecksInvalid("none of them calls the program")
    except CheckEnded as failure:
        yield {"status": failure.args[0], "cause": failure.args[1]}
    yield {"done": True}


def outcome(check, entry_points, candidate):
    try:
        run_check(check, entry_points, candidate)
        return {"passed": True}
    except CheckEnded as failure:
        return {"status": failure.args[0], "cause": failure.args[1]}


def compiled(check, number):
    try:
        return compile(check, "check %d" % number, "exec")
    except (SyntaxError, ValueError) as error:
        raise ChecksInvalid("check %d does not compile: %s" % (number, error)) from None


def run_check(check, entry_points, candidate):
    """Returns when the check has passed; raises CheckEnded with the reason when it has not, and ChecksInvalid."""
    candidate.start_check()
    module = types.ModuleType("checks")
    sys.modules["checks"] = module
    module.__dict__["__candidate__"] = candidate.named
    for name in entry_points:
        module.__dict__[name] = candidate.named(name)
    try:
        exec(check, module.__dict__)
        if "unittest" in sys.modules:
            from .test_cases import run_test_cases

            run_test_cases(module)
    except (CheckEnded, ChecksInvalid):
        raise
    except BaseException as error:
        if candidate.ended is None:
            raise CheckEnded(*reason_of(error, candidate.given)) from None
    if candidate.ended is not None:  # the check may have caught it
        raise candidate.ended


def reason_of(error, given):
    """Status and cause, for an exception that a check let out."""
    try:
        return error.from_candidate
    except AttributeError:
        words = str(error)[:500]
        cause = (words or "assertion") if type(error) is AssertionError else "%s: %s" % (type(error).__name__, words)
        return "failed", cause + (" (the program returned a %s, which is not plain data)" % given[-1] if given else "")
