// Every alteration, on a class with one test that passes: it fails then, and nothing else is altered.
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";

const PROGRAM = `
import json, sys, unittest
from altered_tests import with_alterations

def failures(source):
    scope = {"__name__": "tests"}
    exec(source, scope)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(scope["TestCases"]).run(result)
    return sorted({getattr(test, "test_case", test).id().split(".")[-1] for test, _ in result.failures + result.errors})

source = json.load(sys.stdin)
halves = [with_alterations(source, half, "seed %d" % i) for i in range(5) for half in (0, 1)]
print(json.dumps([not failures(with_alterations(source, None, "seed")[0]), [[names, not failures(text), failures(text)] for text, names in halves]]))
`;

type Halves = [names: string[], passes: boolean, failed: string[]][];

function alter(source: string): [passes: boolean, halves: Halves] {
  return JSON.parse(execFileSync("/usr/bin/python3", ["-c", PROGRAM], { input: JSON.stringify(source), cwd: import.meta.dirname, env: { PYTHONDONTWRITEBYTECODE: "1" } }).toString()) as [boolean, Halves];
}

const classOf = (...bodies: string[]): string =>
  `import unittest\nfrom contextlib import nullcontext, suppress\nclass TestCases(unittest.TestCase):\n${bodies.map((body, i) => `  def test_${i}(self):\n${body.replaceAll(/^/gm, "    ")}\n`).join("")}`;

test.each([
  "self.assertEqual(1 + 2, 3)",
  "self.assertEqual(3, 1 + 2, 'a message')",
  "self.assertEqual('aB1'[:], 'aB1')",
  "self.assertEqual('', ''.strip())",
  "self.assertEqual([1, {'a': (-2.5, True)}], [1, {'a': (-2.5, True)}])",
  "self.assertEqual(1e300, 1e300)",
  "self.assertEqual({1, 2} | set(), {1, 2})",
  "self.assertAlmostEqual(0.1 + 0.2, 0.3)",
  "self.assertAlmostEqual(10, 9, delta=5)",
  "self.assertCountEqual([2, 1], [1, 2])",
  "self.assertTrue(len('abc') == 3)",
  "self.assertTrue([1])",
  "self.assertFalse([])",
  "self.assertIsInstance(1, int)",
  "self.assertIsNone(None)",
  "self.assertGreater(2, 1)",
  "x = [1]\nself.assertListEqual(x, x)",
  "assert len('abc') == 3",
  "assert [1]",
  "with self.assertRaises(ValueError):\n  int('x')",
  "with self.assertRaises(Exception) as caught:\n  int('x')\nprint(caught.exception, file=open('/dev/null', 'w'))",
  "self.assertRaises(ValueError, int, 'x')",
  "with nullcontext():\n  self.assertEqual(1 + 2, 3)",
  "self.assertEqual(1 + 2, 3)\nfor _ in []:\n  self.assertEqual(1, 1)",
  "def double(x): return 2 * x\nself.assertEqual(double(1), 2)",
])("%s", (body) => {
  const [passes, halves] = alter(classOf(body));
  expect(passes).toBe(true);
  expect(halves).toEqual(Array.from({ length: 5 }, () => [[["test_0"], false, ["test_0"]], [[], true, []]]).flat());
});

test.each([
  "for x in []:\n  self.assertEqual(x, 3)",
  "if False:\n  self.assertEqual(1, 3)",
  "with suppress(AssertionError):\n  self.assertEqual(1, 3)",
  "try: self.assertEqual(1, 3)\nexcept AssertionError: pass",
  "if True: return\nself.assertEqual(1, 3)",
  "if not hasattr(self, 'x'): self.skipTest('later')\nself.assertEqual(1, 3)",
  "self.fail if False else None",
])("what may not be reached, or not decide, is left as it is: %s", (body) => {
  expect(alter(classOf(body))[1]).toEqual(Array.from({ length: 10 }, () => [[], true, []]));
});

test("a test that is altered goes on behind its assertion, so that the next one finds all tidied up", () => {
  const tidied = (passes: string) => `TestCases.open = 1\nself.assertEqual(1, ${passes})\nTestCases.open = 0`;
  const [, halves] = alter(`${classOf(tidied("1"), "pass")}  def test_2(self):\n    for x in [self.open]: self.assertEqual(x, 0)\n`.replace("class TestCases(unittest.TestCase):", "class TestCases(unittest.TestCase):\n  open = 0"));
  for (const [names, , failed] of halves) expect(failed).toEqual(names);
});

test("of several tests each is altered in one half, and neither half is empty", () => {
  const [, halves] = alter(classOf(...Array.from({ length: 4 }, (_, i) => `self.assertEqual(${i}, ${i})`)));
  const divisions = new Set<string>();
  for (let i = 0; i < halves.length; i += 2) {
    const [[one], [other]] = [halves[i]!, halves[i + 1]!];
    expect([...one, ...other].sort()).toEqual(["test_0", "test_1", "test_2", "test_3"]);
    expect(Math.min(one.length, other.length)).toBeGreaterThan(0);
    divisions.add(one.toSorted().join());
  }
  expect(divisions.size).toBeGreaterThan(1);
});
