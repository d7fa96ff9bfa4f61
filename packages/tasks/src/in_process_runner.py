"""Runs a benchmark's tests in the process of the program they test, since they exchange objects with it.

The program is trusted not to cheat: what it does to `unittest` or to this module decides its own verdict.
"""

import sys
import types
import unittest


def run_tests():
    """Number of tests that ran, and the first that did not pass, or an empty text."""
    module = types.ModuleType("__test__")
    sys.modules["__test__"] = module
    exec(PROGRAM, module.__dict__)
    try:
        exec(TEST, module.__dict__)
    except AssertionError as error:
        return 1, "assertion %s" % error
    cases = module.__dict__.get("TestCases")
    if cases is None:
        return 1, ""
    result = unittest.TestResult()
    result.failfast = True
    unittest.defaultTestLoader.loadTestsFromTestCase(cases).run(result)
    for test, trace in result.failures + result.errors:
        return result.testsRun, "%s: %s" % (test.id().split(".")[-1], trace.strip().splitlines()[-1])
    return result.testsRun - len(result.skipped), ""
