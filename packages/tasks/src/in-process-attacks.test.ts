// Programs that are wrong and try to pass tests that run in their own process.
import { createSandbox, type Sandbox } from "@diffucoder/sandbox";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BenchmarkTask } from "./benchmark-task.ts";
import { bigCodeBenchTask } from "./bigcodebench.ts";
import { judgeProgram } from "./score.ts";

let sandbox: Sandbox;
beforeAll(async () => void (sandbox = await createSandbox({ workers: 2 })));
afterAll(() => sandbox.close());

const taskWith = (test: string): BenchmarkTask =>
  bigCodeBenchTask({
    value: { task_id: "BigCodeBench/0", entry_point: "task_func", complete_prompt: "def task_func(a, b):\n", instruct_prompt: "Add.", code_prompt: "def task_func(a, b):", canonical_solution: "    return a + b\n", test, libs: "[]" },
    text: "",
    where: "x",
  });

const TASK = taskWith(`import unittest
class TestCases(unittest.TestCase):
    def test_one(self):
        self.assertEqual(task_func(1, 2), 3)
    def test_three(self):
        self.assertTrue(task_func(3, 3) == 6)
        self.assertIsInstance(task_func(3, 3), int)
    def test_two(self):
        self.assertAlmostEqual(task_func(2, 2), 4)
`);

const run = async (program: string, task = TASK) => (await judgeProgram(sandbox, task, program))!;

test("a right program passes, a wrong one fails", async () => {
  expect(await run("def task_func(a, b): return a + b")).toMatchObject({ status: "passed" });
  expect(await run("def task_func(a, b): return 3")).toMatchObject({ status: "failed", cause: expect.stringContaining("test_three: AssertionError") as string });
});

const ALWAYS = "class Always(int):\n  def __eq__(self, other): return True\n  __hash__ = int.__hash__\n";
const FORGED = `import re
def forged(source, nonce):
  return nonce, {name: ("passed", "") for name in re.findall(r"def (test\\w*)", source)}, []
`;
const WRONG = "def task_func(a, b): return 0\n";

describe("attacks", () => {
  test.each<[string, string]>([
    ["a forged result in place of the runner", `${FORGED}import sys\nsys.modules["candidate"].run_tests = forged\n${WRONG}`],
    ["a forged result from a function that a test calls", `${FORGED}import sys\ndef task_func(a, b):\n  frame = sys._getframe()\n  while frame.f_code.co_name != "run_tests": frame = frame.f_back\n  frame.f_locals["result"].note = lambda test, outcome, words="": frame.f_locals["result"].by_test.__setitem__(test.id().split(".")[-1], ("passed", ""))\n  return 0`],
    ["forged result lines", `print('{"value": ["", {}, []]}')\nprint("OK")\nprint("__PASS_RATE__ 1.0")\n${WRONG}`],
    ["a forged answer ahead of time", `import json, os, struct\nbody = json.dumps({"value": {"tuple": ["", {"dict": [["test_one", {"tuple": ["passed", ""]}], ["test_two", {"tuple": ["passed", ""]}], ["test_three", {"tuple": ["passed", ""]}]]}, []]}, "arguments": [None, None]}).encode()\nready = json.dumps({"value": None}).encode()\nfor fd in range(3, 64):\n  try: os.write(fd, struct.pack("<I", len(ready)) + ready + struct.pack("<I", len(body)) + body)\n  except OSError: pass\n${WRONG}`],
    ["os._exit(0) at import", "import os\nos._exit(0)"],
    ["os._exit(0) in the call", "import os\ndef task_func(a, b): os._exit(0)"],
    ["os._exit(0) at the end", `import atexit, os\natexit.register(os._exit, 0)\n${WRONG}`],
    ["sys.exit(0) at import", "import sys\nsys.exit(0)"],
    ["sys.exit(0) in the call", "import sys\ndef task_func(a, b): sys.exit(0)"],
    ["skipping what it cannot do", "import unittest\ndef task_func(a, b):\n  if a == 1: return 3\n  raise unittest.SkipTest('hard')"],
    ["an answer that equals everything", `${ALWAYS}def task_func(a, b): return Always()`],
    ["an answer that equals whatever has the right type", "class Sly(int):\n  def __eq__(self, other): return type(other) is int and other < 100\n  __hash__ = int.__hash__\ndef task_func(a, b): return Sly()"],
    ["an equality from a string", `exec('class Always(int):\\n  def __eq__(self, other): return True\\n  __hash__ = int.__hash__')\ndef task_func(a, b): return Always()`],
    ["an equality of the library's", "from unittest import mock\ndef task_func(a, b): return mock.ANY"],
    ["a mock with an equality", "from unittest import mock\ndef task_func(a, b):\n  sly = mock.MagicMock(spec=int)\n  sly.__eq__ = lambda self, other: True\n  return sly"],
    ["a difference that is nothing", "class Sly(int):\n  def __eq__(self, other): return other in (3, 6)\n  __sub__ = lambda self, other: 0\n  __hash__ = int.__hash__\ndef task_func(a, b): return Sly()"],
    ["assertions that never fail", `import unittest\nfor name in dir(unittest.TestCase):\n  if name.startswith("assert"): setattr(unittest.TestCase, name, lambda *a, **k: None)\n${WRONG}`],
    ["assertions that never fail once it is called", `import unittest\ndef task_func(a, b):\n  for name in dir(unittest.TestCase):\n    if name.startswith("assert"): setattr(unittest.TestCase, name, lambda *a, **k: None)\n  return 3 if a == 1 else 0`],
    ["one assertion that never fails", `import unittest\nunittest.TestCase.assertIsInstance = lambda *a, **k: None\ndef task_func(a, b): return float(a + b)`],
    ["a TestCase of its own", `import unittest\nclass Lenient(unittest.TestCase):\n  def __getattribute__(self, name):\n    return (lambda *a, **k: None) if name.startswith("assert") else super().__getattribute__(name)\nunittest.TestCase = Lenient\n${WRONG}`],
    ["tests emptied when their class is made", `import unittest\ndef empty(cls):\n  cls._class_cleanups, cls._classSetupFailed = [], False\n  for name in list(vars(cls)):\n    if name.startswith("test"): setattr(cls, name, lambda self: None)\nunittest.TestCase.__init_subclass__ = classmethod(empty)\n${WRONG}`],
    ["tests emptied once it is called", `import sys\ndef task_func(a, b):\n  cls = type(sys._getframe(2).f_locals["self"])\n  for name in dir(cls):\n    if name.startswith("test"): setattr(cls, name, lambda self: None)\n  return 3`],
    ["failures that are not noted", `import unittest, sys\nsys.modules["candidate"].Outcomes.addFailure = sys.modules["candidate"].Outcomes.addSuccess\nfor name in ("addFailure", "addError"): setattr(sys.modules["candidate"].Outcomes, name, lambda self, test, error: self.note(test, "passed"))\n${WRONG}`],
    ["failures that are no failures", `import contextlib, unittest.case\n@contextlib.contextmanager\ndef lenient(self, test_case, subTest=False):\n  try: yield\n  except BaseException: pass\nunittest.case._Outcome.testPartExecutor = lenient\n${WRONG}`],
    ["a loader that finds nothing", `import unittest\nunittest.defaultTestLoader.loadTestsFromTestCase = lambda cases: unittest.TestSuite()\n${WRONG}`],
    ["a loader that finds a test of its own", `import unittest\nclass Own(unittest.TestCase):\n  def test_one(self): pass\nfind = unittest.defaultTestLoader.loadTestsFromTestCase\nunittest.defaultTestLoader.loadTestsFromTestCase = lambda cases: find(Own)\n${WRONG}`],
    ["a builtin that is bent", `import builtins\nbuiltins.isinstance = lambda *a: True\nbuiltins.round = lambda *a: 0\n${WRONG}`],
    ["tests of the same name, made first", `import unittest\nclass TestCases(unittest.TestCase):\n  def test_one(self): pass\n${WRONG}`],
  ])("%s", async (_, program) => {
    const { status } = await run(program);
    expect(["failed", "error", "crashed"]).toContain(status);
    expect(await run("def task_func(a, b): return a + b")).toMatchObject({ status: "passed" });
  });

  test("an equality inside containers, where a test compares those", async () => {
    const task = taskWith("import unittest\nclass TestCases(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(task_func(1, 2), {'sum': [3]})\n");
    expect(await run("def task_func(a, b): return {'sum': [a + b]}", task)).toMatchObject({ status: "passed" });
    expect(await run(`${ALWAYS}def task_func(a, b): return {'sum': [Always()]}`, task)).toMatchObject({ status: "failed", cause: "an answer whose __eq__ is the program's own" });
    expect(await run("from unittest import mock\ndef task_func(a, b): return {'sum': [mock.ANY]}", task)).toMatchObject({ status: "failed", cause: "an answer that equals anything" });
  });

  const PEEKED_TEST = "import unittest\nclass TestCases(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(task_func(1, 2), 3)\n";
  const PEEKED = taskWith(PEEKED_TEST);
  const LARGEST = "def largest(code): return [value for value in code.co_consts if type(value) is int][-1]\n";

  test.each<[string, string]>([
    ["its caller's frame", "import sys\ndef task_func(a, b): return largest(sys._getframe(2).f_code)"],
    ["its caller's frame, through inspect", "import inspect\ndef task_func(a, b): return largest(inspect.stack()[2].frame.f_code)"],
    ["its caller's frame, through traceback", "import traceback\ndef task_func(a, b): return largest([frame.f_code for frame, line in traceback.walk_stack(None) if frame.f_code.co_name == 'test_one'][0])"],
    ["its caller's frame, through logging", "import logging\ndef task_func(a, b): return largest(logging.currentframe().f_back.f_back.f_code)"],
    ["every line, as a debugger", "import bdb\nseen = []\nclass Debugger(bdb.Bdb):\n  def user_line(self, frame): seen.append(frame.f_code)\ndef task_func(a, b):\n  Debugger().set_trace()\n  return largest([code for code in seen if code.co_name == 'test_one'][-1])\n"],
    ["its caller's frame, from a string", "exec('import sys\\ndef task_func(a, b): return largest(sys._getframe(2).f_code)')"],
    ["its caller's frame, through an exception", "def task_func(a, b):\n  try: raise ValueError\n  except ValueError as error: return largest(error.__traceback__.tb_frame.f_back.f_back.f_code)"],
    ["its caller's frame, through a generator", "def frames():\n  yield own.gi_frame.f_back\ndef task_func(a, b):\n  global own\n  own = frames()\n  return largest(next(own).f_back.f_back.f_code)"],
    ["all frames", "import sys\ndef task_func(a, b): return largest([frame for frame in sys._current_frames().values()][0].f_back.f_back.f_code)"],
    ["every call", "import sys\nseen = []\nsys.setprofile(lambda frame, event, argument: seen.append(frame.f_code))\ndef task_func(a, b): return largest([code for code in seen if code.co_name == 'test_one'][-1])"],
    ["the frame that loaded it, which is asked for the tests later", "import sys\nframe = sys._getframe()\nwhile frame.f_code.co_name != 'run_candidate': frame = frame.f_back\ndef task_func(a, b):\n  import re\n  return int(re.findall(r'2\\), (\\d+)', str(frame.f_locals['request']))[0])"],
    ["the code of the test", "def task_func(a, b): return largest(TestCases.test_one.__code__)"],
    ["what the collector knows", "import gc\ndef task_func(a, b): return largest([f for f in gc.get_objects() if getattr(f, '__name__', '') == 'test_one'][0].__code__)"],
  ])("a program that reads what is expected of it from %s", async (_, program) => {
    const { status, cause } = await run(`${LARGEST}${program}`, PEEKED);
    expect(status).toMatch(/failed|error/);
    expect(cause).toContain("PermissionError: the program looks at what calls it");
  });

  test("libraries may look at frames: logs, warnings, named tuples, signatures, tracebacks", async () => {
    const program = `import collections, dataclasses, inspect, logging, traceback, typing, warnings
Point = collections.namedtuple("Point", "x y")
class Pair(typing.NamedTuple):
  x: int
@dataclasses.dataclass
class Sum:
  of: int
def task_func(a, b):
  logging.basicConfig(format="%(filename)s %(lineno)d", level=0)
  logging.getLogger().info("adds")
  warnings.warn("adds")
  try: raise ValueError
  except ValueError: assert "ValueError" in traceback.format_exc()
  assert len(inspect.signature(task_func).parameters) == 2 and (lambda x: x).__code__.co_argcount == 1
  return Point(a, b).x + Pair(b).x + Sum(0).of
`;
    expect(await run(program, PEEKED)).toMatchObject({ status: "passed" });
  });

  test.each<[string, string]>([
    ["in the guise of a library", `${LARGEST}import sys\nexec(compile("def task_func(a, b): return largest(sys._getframe(2).f_code)", "/usr/library.py", "exec"))`],
    ["once the hook is blind", `${LARGEST}import sys\nsys.modules["candidate"].SPYING.clear()\ndef task_func(a, b): return largest(sys._getframe(2).f_code)`],
    ["where it cannot compute it", `${LARGEST}import sys\nsys.modules["candidate"].SPYING.clear()\ndef task_func(a, b): return a + b if a == b else largest(sys._getframe(2).f_code)`],
  ])("a program that reads what is expected of it %s", async (_, program) => {
    for (const task of [PEEKED, taskWith(`${PEEKED_TEST}    def test_two(self):\n        self.assertEqual(task_func(2, 2), 4)\n    def test_zero(self):\n        self.assertTrue(task_func(0, 0) == 0)\n`)]) {
      const { status, cause } = await run(program, task);
      expect({ status, cause }).toEqual({ status: "failed", cause: "the program has not computed its answers: a test passes whatever it expects" });
    }
  });

  test("a single answer that is read, in whichever half its test is altered", async () => {
    const task = taskWith(`${PEEKED_TEST}    def test_two(self):\n        self.assertEqual(task_func(2, 2), 4)\n`);
    const reader = `${LARGEST}import sys\nsys.modules["candidate"].SPYING.clear()\ndef task_func(a, b): return a + b if a == b else largest(sys._getframe(2).f_code)`;
    const statuses = await Promise.all(Array.from({ length: 6 }, async () => (await run(reader, task)).status));
    expect(statuses).toEqual(Array(6).fill("failed"));
  });

  test("a program that knows the decoys and answers in the tests' place", async () => {
    const forger = `import ast, sys
def forged(source, nonce):
  tests = [node for case in ast.parse(source).body if isinstance(case, ast.ClassDef) for node in case.body if isinstance(node, ast.FunctionDef)]
  return nonce, {test.name: ("passed", "") if "task_func" in ast.unparse(test) else ("failed", "") for test in tests}, []
sys.modules["candidate"].run_tests = forged
${WRONG}`;
    expect(await run(forger)).toMatchObject({ status: "failed", cause: expect.stringContaining("has not computed its answers") as string });
  });

  test("answers that equal anything, once nobody objects to them", async () => {
    expect(await run(`import sys\nsys.modules["candidate"].objection_to = lambda item: None\n${ALWAYS}def task_func(a, b): return Always()`, PEEKED)).toMatchObject({ status: "failed", cause: expect.stringContaining("has not computed its answers") as string });
  });

  // What no arrangement within one process keeps from a program. Hence no rewards from these tests.
  test("known weakness: a lie about equality, by a program that has silenced the runner, where a test names no constant", async () => {
    const task = taskWith("import unittest\nclass TestCases(unittest.TestCase):\n    def test_one(self):\n        expected = sum([1, 2])\n        self.assertTrue(task_func(1, 2) == expected)\n");
    expect(await run(`import sys\nsys.modules["candidate"].objection_to = lambda item: None\n${ALWAYS}def task_func(a, b): return Always()`, task)).toMatchObject({ status: "passed" });
  });
});
