"""The referee's side of tests that run in the program's own process: orders them and decides.

They run three times, each in a process of its own: as they are, then with one half of them altered (see altered_tests.py),
then with the other. What is altered has to fail. A process cannot tell which tests are, so that a program that has not
computed its answers is left to guess. Among the tests are decoys that cannot pass, with names, assertions and values
drawn anew each time: a program that answers in the tests' place, or has made assertions pass, lets a decoy pass too.
The tests reach the program's process only when it has been loaded, and an answer that does not carry the nonce of its
request counts for nothing.
"""

import ast
import re
import secrets


def judge(source, candidate_of, half, seed):
    """Raises AssertionError with the first reason why the program has not passed."""
    real = list(tests_of(ast.parse(source)))
    source, altered = with_alterations(source, half, seed)
    decoys = decoys_for(source, real)
    nonce = secrets.token_hex(16)
    echoed, outcomes, objections = answer_of(candidate_of("run_tests")(with_decoys(source, decoys), nonce))
    assert echoed == nonce, "an answer to another request"
    for name in sorted(outcomes, key=lambda name: (name in real, name)):  # what befell the whole class comes first
        outcome, words = outcomes[name]
        may_be_skipped = outcome == "skipped" and re.search(r"unittest\.skip|skipTest|SkipTest", source)
        assert name in decoys or name in altered or outcome == "passed" or may_be_skipped, "%s: %s" % (name, words if outcome == "failed" else outcome)
    assert objections == [], objections[0]
    assert altered or any(outcomes.get(name, ("", ""))[0] == "passed" for name in real), "no test ran"
    missing = [name for name in real if name not in outcomes]
    assert missing == [], "%s: did not run" % ", ".join(missing)
    assert all(outcomes[name][0] == "failed" for name in altered), "the program has not computed its answers: a test passes whatever it expects"
    for name, (assertion, _) in decoys.items():
        assert outcomes.get(name, ("", ""))[0] == "failed", "the program has bent the tests: %s passes what it should not" % assertion


def answer_of(reply):
    """Whatever the program's process says is data; here, that it has the form of an answer."""
    echoed, outcomes, objections = reply
    assert type(outcomes) is dict and type(objections) is list and all(type(name) is str for name in outcomes), "an answer of another form"
    return echoed, {name: (str(outcome)[:20], str(words)[:500]) for name, (outcome, words) in outcomes.items()}, [str(objection)[:500] for objection in objections]


# Statements that fail for every pair of different numbers a < b, by the assertion that they show to be honest.
DECOYS = {
    "assertEqual": "self.assertEqual({a}, {b})",
    "assertTrue": "self.assertTrue({a} == {b})",
    "assertRaises": "self.assertRaises(ValueError, int, '{a}')",
    "assertIsInstance": "self.assertIsInstance({a}, str)",
    "assertIn": "self.assertIn({a}, [{b}])",
    "assertAlmostEqual": "self.assertAlmostEqual({a}, {b})",
    "assertFalse": "self.assertFalse({a} < {b})",
    "assertListEqual": "self.assertListEqual([{a}], [{b}])",
    "assertNotEqual": "self.assertNotEqual({a}, {a})",
    "assertIsNone": "self.assertIsNone({a})",
    "assertNotIn": "self.assertNotIn({a}, [{a}])",
    "assertIsNotNone": "self.assertIsNotNone(None)",
    "assertGreater": "self.assertGreater({a}, {b})",
    "assertGreaterEqual": "self.assertGreaterEqual({a}, {b})",
    "assertLess": "self.assertLess({b}, {a})",
    "assertLessEqual": "self.assertLessEqual({b}, {a})",
    "assertDictEqual": "self.assertDictEqual({{{a}: 1}}, {{{b}: 1}})",
    "assertCountEqual": "self.assertCountEqual([{a}], [{b}])",
    "assertSetEqual": "self.assertSetEqual({{{a}}}, {{{b}}})",
    "assertTupleEqual": "self.assertTupleEqual(({a},), ({b},))",
    "assertRegex": "self.assertRegex('{a}', '^{b}$')",
    "assertIs": "self.assertIs({a}, None)",
    "assert_called": "__import__('unittest.mock').mock.Mock().assert_called_once_with({a})",
    "assert_frame_equal": "import pandas; pandas.testing.assert_frame_equal(pandas.DataFrame([{a}]), pandas.DataFrame([{b}]))",
    "assert_series_equal": "import pandas; pandas.testing.assert_series_equal(pandas.Series([{a}]), pandas.Series([{b}]))",
    "assert_array_equal": "import numpy; numpy.testing.assert_array_equal([{a}], [{b}])",
    "assert_array_almost_equal": "import numpy; numpy.testing.assert_array_almost_equal([{a}], [{b}])",
    "assert_allclose": "import numpy; numpy.testing.assert_allclose([{a}], [{b}])",
}


def decoys_for(source, real):
    """By name, an assertion and a statement that fails: those of the assertions that the tests use; among the names of the real tests, the last after all of them."""
    used = [name for name in DECOYS if re.search(r"\b%s\b" % name, source) or name in ("assertEqual", "assertTrue") or (name == "assert_called" and name in source)]
    decoys = {}
    for name in used:
        a, b = sorted((secrets.randbelow(10_000), 10_000 + secrets.randbelow(10_000)))
        likeness = max(real, default="test") if len(decoys) == 0 else secrets.choice(real or ["test"])
        while likeness in real or likeness in decoys:
            likeness += secrets.choice("_0123456789abcdefghijklmnopqrstuvwxyz")
        decoys[likeness] = name, DECOYS[name].format(a=a, b=b)
    return decoys


def with_decoys(source, decoys):
    methods = "".join("    def %s(self):\n        %s\n" % (name, statement) for name, (_, statement) in decoys.items())
    return "%s\n\n\nclass TestCases(TestCases):\n%s" % (source, methods)
