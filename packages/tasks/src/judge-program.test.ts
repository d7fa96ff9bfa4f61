// Programs against tasks of each benchmark, in the sandbox.
import { createSandbox, type Sandbox } from "@diffucoder/sandbox";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { temporaryFile } from "../test/temporary-file.ts";
import { readBenchmark, type BenchmarkName } from "./benchmark.ts";
import type { BenchmarkTask } from "./benchmark-task.ts";
import { judgeProgram, missingLibraries, type Judgement } from "./score.ts";

let sandbox: Sandbox;
beforeAll(async () => void (sandbox = await createSandbox({ workers: 2 })));
afterAll(() => sandbox.close());

async function taskOf(name: BenchmarkName, row: object | string): Promise<BenchmarkTask> {
  return (await readBenchmark(name, await temporaryFile("row.jsonl", typeof row === "string" ? row : JSON.stringify(row)))).tasks[0]!;
}

const verdictOf = async (task: BenchmarkTask, program: string) => (await judgeProgram(sandbox, task, program)) as Judgement;

describe("EvalPlus", () => {
  const row = (changes: object = {}) => ({
    task_id: "HumanEval/0",
    prompt: "def f(x):\n",
    entry_point: "f",
    canonical_solution: "    return x + 1\n",
    base_input: [[1], [2]],
    plus_input: [[-1]],
    atol: 0,
    ...changes,
  });
  const mbpp = (number: number, name: string, solution: string, inputs: unknown) => row({ task_id: `Mbpp/${number}`, prompt: '"""Words."""\n', entry_point: name, canonical_solution: solution, base_input: inputs, plus_input: {} });

  test("a program passes by both sets of inputs, each with a verdict of its own", async () => {
    const task = await taskOf("humaneval+", row());
    const passed = { status: "passed", cause: "all checks passed" };
    expect(await verdictOf(task, task.solution)).toEqual({ ...passed, suites: { base: passed, plus: passed } });
    const failed = { status: "failed", cause: "plus input 0: expected 0, found 2" };
    expect(await verdictOf(task, "def f(x): return abs(x) + 1")).toEqual({ ...failed, suites: { base: passed, plus: failed } });
    expect(await verdictOf(task, "def f(x): return x")).toMatchObject({ status: "failed", cause: "base input 0: expected 2, found 1" });
    expect(await verdictOf(task, "def f(x): raise KeyError(x)")).toMatchObject({ status: "error", cause: "KeyError: 1" });
    expect(await verdictOf(task, "def g(x): pass")).toMatchObject({ status: "error" });
    expect(await verdictOf(task, "def f(x:")).toMatchObject({ status: "syntax" });
    const base = await taskOf("humaneval", row());
    expect(await verdictOf(base, "def f(x): return abs(x) + 1")).toEqual({ ...passed, suites: { base: passed } });
  });

  test("a task without plus inputs is judged by its base inputs", async () => {
    const task = await taskOf("mbpp+", mbpp(3, "f", "def f(x): return x", [[1]]));
    expect(await verdictOf(task, "def f(x): return 1")).toMatchObject({ status: "passed", suites: { plus: { status: "passed" } } });
  });

  test("a call that takes too long is a timeout that names its input", async () => {
    const task = await taskOf("humaneval", row());
    expect(await verdictOf(task, "def f(x):\n  while x == 2: pass\n  return x + 1")).toMatchObject({ status: "timeout", cause: "input 1 took longer than 4.0 s" });
  });

  test("inputs are not shared: neither the reference nor the program sees what the other did to them", async () => {
    const task = await taskOf("humaneval", row({ canonical_solution: "    x.append(1)\n    return len(x)\n", base_input: [[[]], [[0]]] }));
    expect(await verdictOf(task, "def f(x):\n  n = len(x)\n  x.clear()\n  return n + 1")).toMatchObject({ status: "passed" });
  });

  test("floats may be off by a millionth, from the first float on; whole numbers and types may not", async () => {
    const floats = await taskOf("humaneval", row({ canonical_solution: "    return x / 3\n", base_input: [[1]] }));
    expect(await verdictOf(floats, "def f(x): return x / 3 + 9e-7")).toMatchObject({ status: "passed" });
    expect(await verdictOf(floats, "def f(x): return x / 3 + 2e-6")).toMatchObject({ status: "failed" });
    expect(await verdictOf(floats, "def f(x): return float('nan')")).toMatchObject({ status: "failed" });
    const list = await taskOf("humaneval", row({ canonical_solution: "    return [x / 3]\n", base_input: [[1]] }));
    expect(await verdictOf(list, "def f(x): return [x / 3 + 9e-7]")).toMatchObject({ status: "passed" });
    expect(await verdictOf(list, "def f(x): return (x / 3 + 9e-7,)")).toMatchObject({ status: "failed" });
    expect(await verdictOf(list, "def f(x): return [x / 3, 1]")).toMatchObject({ status: "failed" });
    const whole = await taskOf("humaneval", row({ base_input: [[1]] }));
    expect(await verdictOf(whole, "def f(x): return 2 + 9e-7")).toMatchObject({ status: "failed" });
    expect(await verdictOf(whole, "def f(x): return 2.0")).toMatchObject({ status: "passed" }); // as equality has it
    // evalplus keeps the tolerance once a float was expected: 10^9 and 10^9 + 1 are within 1e-7.
    const mixed = await taskOf("humaneval", row({ canonical_solution: "    return x\n", base_input: [[0.5], [1000000000]] }));
    expect(await verdictOf(mixed, "def f(x): return x if x < 1 else x + 1")).toMatchObject({ status: "passed" });
    const unmixed = await taskOf("humaneval", row({ canonical_solution: "    return x\n", base_input: [[1000000000]] }));
    expect(await verdictOf(unmixed, "def f(x): return x + 1")).toMatchObject({ status: "failed" });
  });

  test("numbers that JavaScript would change reach the tests as they are", async () => {
    const text = JSON.stringify(row({ canonical_solution: "    return repr(x)\n" })).replace('"base_input":[[1],[2]]', '"base_input":[[12345678901234567890123], [1.0], [NaN]]');
    const task = await taskOf("humaneval", text);
    expect(await verdictOf(task, "def f(x): return {12345678901234567890123: '12345678901234567890123', 1.0: '1.0'}.get(x, 'nan') if type(x) is not int or x > 1 else 1")).toMatchObject({ status: "passed" });
  });

  test("any root of the polynomial will do", async () => {
    const task = await taskOf("humaneval", row({ prompt: "def find_zero(xs):\n", entry_point: "find_zero", canonical_solution: "    return 2.0\n", base_input: [[[-4, 0, 1]]], atol: 1e-4 }));
    expect(await verdictOf(task, "def find_zero(xs): return -2.0")).toMatchObject({ status: "passed" });
    expect(await verdictOf(task, "def find_zero(xs): return -2.1")).toMatchObject({ status: "failed" });
  });

  test.each<[string, number, string, string, unknown, string, string]>([
    ["a set will do", 2, "similar_elements", "def similar_elements(a, b): return (1, 2)", [[[1], [2]]], "(2, 1, 2)", "(1, 3)"],
    ["anything is equivalent", 164, "are_equivalent", "def are_equivalent(a, b): return True", [[1, 2]], "False", ""],
    ["no divisors but itself", 295, "sum_div", "def sum_div(a): return 1", [[7]], "0", "2"],
    ["a pyramid by its height", 581, "surface_Area", "def surface_Area(a, b): return 33", [[3, 4]], "35", "34"],
    ["digits in columns", 558, "digit_distance_nums", "def digit_distance_nums(a, b): return 0", [[123, 56]], "7", "8"],
    ["found or not", 737, "check_str", "def check_str(s): return 1", [["a"]], "'found'", "None"],
  ])("MBPP: %s", async (_, number, name, solution, inputs, right, wrong) => {
    const task = await taskOf("mbpp", mbpp(number, name, solution, inputs));
    const parameters = /\((.*?)\)/.exec(solution)![1];
    expect(await verdictOf(task, `def ${name}(${parameters}): return ${right}`)).toMatchObject({ status: "passed" });
    if (wrong !== "") expect(await verdictOf(task, `def ${name}(${parameters}): return ${wrong}`)).toMatchObject({ status: "failed" });
  });

  test.each<[number, unknown[], string]>([
    [2, [[1, 2], [3]], "((1, 2), (3,))"],
    [63, [[[1, 2], [3, 4]]], "([(1, 2), (3, 4)],)"],
    [75, [[[1, 2]], 3], "([(1, 2)], 3)"],
    [106, [[1], [2]], "([1], (2,))"],
    [115, [[[1, 1], []]], "([{1}, {}],)"],
    [124, ["1", "2j"], "(1.0, 2j)"],
    [250, [[1], 2], "((1,), 2)"],
    [252, ["1+2j"], "((1+2j),)"],
    [259, [[[1], [2]], [[3]]], "(((1,), (2,)), ((3,),))"],
    [278, [[1, [2]]], "((1, (2,)),)"],
    [307, [[1], 2, [3]], "((1,), 2, [3])"],
    [580, [[1, [2]]], "((1, (2,)),)"],
    [722, [{ a: [1] }, 2], "({'a': (1,)}, 2)"],
    [750, [[1], [2]], "([1], (2,))"],
    [3, [[1, [2]]], "([1, [2]],)"],
  ])("MBPP %i turns JSON into the inputs it means", async (number, input, expected) => {
    const task = await taskOf("mbpp", mbpp(number, "f", "def f(*arguments): return repr(arguments)", [input]));
    expect(await verdictOf(task, `def f(*arguments): return ${JSON.stringify(expected)}`)).toMatchObject({ status: "passed" });
  });
});

describe("MBPP", () => {
  const row = (changes: object = {}) => ({ task_id: 11, text: "Add one.", code: "def f(x):\r\n  return x + 1", test_setup_code: "", test_list: ["assert f(1) == 2", "assert f(2) == 3"], ...changes });

  test("the prompt is EvalPlus' docstring; tasks 11 to 510 are the held-out ones", async () => {
    const task = await taskOf("mbpp", row());
    expect(task).toMatchObject({ id: "Mbpp/11", entryPoint: "f", isHeldOut: true, prompts: { instruct: '"""\nAdd one.\nassert f(1) == 2\n"""\n' }, completionPrefix: "" });
    for (const [number, isHeldOut] of [[10, false], [510, true], [511, false]] as const) expect((await taskOf("mbpp", row({ task_id: number }))).isHeldOut).toBe(isHeldOut);
    const sanitized = await taskOf("mbpp", { task_id: 12, prompt: "Root.", code: "import math\ndef f(x): return math.sqrt(x)", test_imports: ["import math"], test_list: ["assert f(4) == math.sqrt(4)"] });
    expect(sanitized.prompts.instruct).toContain("Root.");
    expect(await verdictOf(sanitized, "def f(x): return x ** 0.5")).toMatchObject({ status: "passed" });
  });

  test("tests run apart from the program, each on its own, with set-up and the reference's imports", async () => {
    const task = await taskOf("mbpp", row({ code: "import sys\ndef f(x): return x + 1", test_setup_code: "two = 2", test_list: ["assert f(1) == two", "assert f(sys.maxsize) == sys.maxsize + 1"] }));
    expect(task.suites).toMatchObject([{ isolation: "referee" }]);
    expect(await verdictOf(task, "def f(x): return x + 1")).toMatchObject({ status: "passed" });
    expect(await verdictOf(task, "def f(x): return 2")).toMatchObject({ status: "failed" });
    expect(await verdictOf(task, "class Always:\n  def __eq__(self, other): return True\ndef f(x): return Always()")).toMatchObject({ status: "failed" });
  });

  test.each([
    ["objects of the solution's classes", { code: "class Pair:\n  def __init__(self, a): self.a = a\ndef f(p): return p.a", test_list: ["assert f(Pair(3)) == 3"] }, "class Pair:\n  def __init__(self, a): self.a = a\ndef f(p): return 4"],
    ["types", { code: "def f(x, t): return isinstance(x, t)", test_list: ["assert f(1, int) == True"] }, "def f(x, t): return False"],
  ])("tests that hand over %s run apart from the program, too", async (_, changes, wrong) => {
    const task = await taskOf("mbpp", row(changes));
    expect(task.suites).toMatchObject([{ isolation: "referee" }]);
    expect(await verdictOf(task, task.solution)).toMatchObject({ status: "passed" });
    expect(await verdictOf(task, wrong)).toMatchObject({ status: "failed", cause: expect.stringMatching(/^assertion/) as string });
    const sly = `${wrong.replace(/def f[^]*/, "")}class Always(int):\n  def __eq__(self, other): return True\n  __hash__ = int.__hash__\ndef f(*_): return Always()`;
    expect(await verdictOf(task, sly)).toMatchObject({ status: "failed" });
  });

  test("a row without words or without tests is refused", async () => {
    await expect(taskOf("mbpp", row({ text: undefined }))).rejects.toMatchObject({ code: "BenchmarkCorrupt", message: expect.stringContaining("expected a text") as string });
    await expect(taskOf("mbpp", row({ test_list: [] }))).rejects.toMatchObject({ code: "BenchmarkCorrupt" });
  });
});

describe("BigCodeBench", () => {
  const row = (changes: object = {}) => ({
    task_id: "BigCodeBench/0",
    entry_point: "task_func",
    complete_prompt: 'import os\ndef task_func(x):\n    """Doc."""\n',
    instruct_prompt: "Write it.",
    code_prompt: "import os\ndef task_func(x):",
    canonical_solution: "    return os.path.join(x, 'a')",
    test: "import unittest\nclass TestCases(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(task_func('b'), 'b/a')\n    def test_two(self):\n        self.assertIsNotNone(task_func('c'))\n",
    libs: "['os', 'numpy.linalg']",
    ...changes,
  });

  test("the class of tests runs behind the program, which has the prompt's imports", async () => {
    const task = await taskOf("bigcodebench", row());
    expect(task).toMatchObject({ prompts: { complete: expect.stringContaining("Doc.") as string, instruct: "Write it." }, libraries: ["os", "numpy.linalg", "unittest"] });
    expect(await verdictOf(task, task.solution)).toMatchObject({ status: "passed" });
    expect(await verdictOf(task, "def task_func(x): return os.path.join(x, 'a')")).toMatchObject({ status: "passed" });
    expect(await verdictOf(task, "def task_func(x): return x")).toMatchObject({ status: "failed", cause: expect.stringMatching(/^test_one: (AssertionError|[-+?])/) as string });
    expect(await verdictOf(task, "def task_func(x): return 1 / 0")).toMatchObject({ status: "failed", cause: "test_one: ZeroDivisionError: division by zero" });
    expect(await verdictOf(task, "def task_func(x:")).toMatchObject({ status: "syntax" });
    expect(await verdictOf(task, "raise ValueError('no')")).toMatchObject({ status: "error", cause: "ValueError: no" });
    expect(await verdictOf(task, "import os\nos._exit(0)")).toMatchObject({ status: "crashed" });
  });

  test("a run of no test, or of skipped ones only, is no success", async () => {
    const none = await taskOf("bigcodebench", row({ test: "import unittest\nclass TestCases(unittest.TestCase):\n    pass\n" }));
    expect(await verdictOf(none, none.solution)).toMatchObject({ status: "failed", cause: "no test ran" });
    const skipped = await taskOf("bigcodebench", row({ test: "import unittest\nclass TestCases(unittest.TestCase):\n    @unittest.skip('x')\n    def test_one(self): pass\n" }));
    expect(await verdictOf(skipped, skipped.solution)).toMatchObject({ status: "failed", cause: "no test ran" });
  });

  test("libraries are those of the import statements; docstrings begin lines with these words too", async () => {
    const prompt = 'import os.path as p, re # both\nfrom a.b import c\ndef task_func():\n    """Takes numbers\n    from the list, to\n    import each of them,\n    from 0 to 1.\n    """\n';
    const { libraries } = await taskOf("bigcodebench", row({ complete_prompt: prompt, canonical_solution: "    import json\n    return 1", test: "from unittest import mock\nimport unittest", libs: "[]" }));
    expect(new Set(libraries)).toEqual(new Set(["os", "re", "a", "json", "unittest"]));
  });

  test("libraries that are not there are named", async () => {
    expect(await missingLibraries(sandbox, ["os", "no_such_library", "json", "os", "another_missing"])).toEqual(new Set(["no_such_library", "another_missing"]));
    expect(await missingLibraries(sandbox, [])).toEqual(new Set());
  });
});

test("tests that never call the program, or are no Python, give no verdict but its cause", async () => {
  const row = { task_id: 1, text: "Do.", code: "def f(x): return x + 1", test_list: ["assert True"] };
  const faultOf = "task";
  expect(await judgeProgram(sandbox, await taskOf("mbpp", row), row.code)).toEqual({ status: null, faultOf, cause: "the task's checks judge no program: none of them calls the program" });
  expect(await judgeProgram(sandbox, await taskOf("mbpp", { ...row, test_list: ["assert f(1) =="] }), row.code)).toMatchObject({ status: null, faultOf, cause: expect.stringContaining("check 0 does not compile: invalid syntax") as string });
});

describe("texts that are no programs", () => {
  test.each([
    ["half of a surrogate pair", 'x = "\ud800"', { status: "syntax", cause: "not UTF-8: half of a surrogate pair" }],
    ["a null character", "def f(x):\n  return x + 1\0", { status: "syntax", cause: "a null character in the source" }],
    ["megabytes", "#".repeat((4 << 20) + 1), { status: "error", cause: "a program of 4194305 characters, where at most 4194304 are run" }],
    ["a fence half open", "```python\ndef f(x): return x + 1", { status: "syntax" }],
    ["nothing", "", { status: "error" }],
    ["brackets without end", "(".repeat(100_000), { status: "syntax" }],
  ])("%s", async (_, program, verdict) => {
    const task = await taskOf("mbpp", { task_id: 1, text: "Do.", code: "def f(x): return x + 1", test_list: ["assert f(1) == 2"] });
    expect(await verdictOf(task, program)).toMatchObject(verdict);
  });
});
