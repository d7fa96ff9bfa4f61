"""Runs `unittest.TestCase` classes and lets their first failure out. Imported only where tests have imported unittest."""

import unittest

from .stand_ins import ChecksInvalid


class FirstFailure(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.failfast = True
        self.raised = []

    def addError(self, test, info):
        super().addError(test, info)
        self.raised.append(info[1])

    def addFailure(self, test, info):
        super().addFailure(test, info)
        self.raised.append(info[1])

    def addSubTest(self, test, subtest, info):
        super().addSubTest(test, subtest, info)
        if info is not None:
            self.raised.append(info[1])


def run_test_cases(module):
    cases = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, unittest.TestCase) and kind.__module__ == module.__name__]
    if not cases:
        return
    result = FirstFailure()
    unittest.TestSuite(map(unittest.defaultTestLoader.loadTestsFromTestCase, cases)).run(result)
    if result.raised:
        raise result.raised[0]
    if result.testsRun == len(result.skipped):
        raise ChecksInvalid("a TestCase that runs no test")
    if not result.wasSuccessful():
        raise AssertionError("a test that was expected to fail has passed")
