import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createSandbox, SandboxFault, type Sandbox } from "@diffucoder/sandbox";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { temporaryFile, temporaryFolder } from "../test/temporary-file.ts";
import { readBenchmark, type Benchmark } from "./benchmark.ts";
import type { Sample } from "./samples.ts";
import { scoreSamples, type ScoreSamplesOptions } from "./score-samples.ts";
import { VerdictLog } from "./verdict-log.ts";

const HARNESS = "this one";

let real: Sandbox;
/** Programs that were run. */
let ran: string[];
/** The real sandbox, watched; it fails as often as `faults` says. */
let faults = 0;
const sandbox: Sandbox = {
  run: async (job) => {
    ran.push(job.candidate);
    if (faults-- > 0) throw new SandboxFault("a test");
    return real.run(job);
  },
  close: async () => {},
};
beforeAll(async () => void (real = await createSandbox({ workers: 2 })));
afterAll(() => real.close());

async function benchmarkOf(count = 2): Promise<Benchmark> {
  const row = (index: number) => JSON.stringify({ task_id: `T/${index}`, prompt: "def f():\n", entry_point: "f", canonical_solution: `    return ${index}\n`, test: `def check(candidate):\n    assert candidate() == ${index}\n` });
  return readBenchmark("humaneval", await temporaryFile("tasks.jsonl", Array.from({ length: count }, (_, i) => row(i)).join("\n")));
}

const sample = (taskId: string, text: string, form: Sample["form"] = "solution"): Sample => ({ taskId, text, form, where: "samples.jsonl:1" });

async function score(samples: readonly Sample[], changes: Partial<ScoreSamplesOptions> = {}) {
  ran = [];
  faults = Math.max(0, faults);
  return scoreSamples({ sandbox, benchmark: changes.benchmark ?? (await benchmarkOf()), samples, ks: [1, 2], seed: 1, ...changes });
}

test("a score by EvalPlus' base tests alone stands beside the one by all", async () => {
  const row = JSON.stringify({ task_id: "T/0", prompt: "def f(x):\n", entry_point: "f", canonical_solution: "    return abs(x)\n", base_input: [[1]], plus_input: [[-1]], atol: 0 });
  const benchmark = await readBenchmark("humaneval+", await temporaryFile("tasks.jsonl", row));
  const { passAtK, basePassAtK } = await score([sample("T/0", "def f(x): return x"), sample("T/0", "def f(x): return 9")], { benchmark, ks: [1] });
  expect([passAtK, basePassAtK].map((estimates) => estimates?.map(({ mean }) => mean))).toEqual([[0], [0.5]]);
});

test("samples are scored in their order, each distinct program of a task once", async () => {
  const zero = "def f(): return 0";
  const { results, passAtK, basePassAtK, counts } = await score([sample("T/0", zero), sample("T/1", zero), sample("T/0", "    return 0", "completion"), sample("T/1", "    return 1", "completion"), sample("T/0", zero), sample("T/1", "")]);
  expect(results.map(({ judgement }) => judgement.status)).toEqual(["passed", "failed", "passed", "passed", "passed", "error"]);
  expect(ran).toHaveLength(5);
  expect(results[2]!.program).toBe("def f():\n    return 0");
  expect(passAtK.map(({ k, mean }) => [k, mean])).toEqual([[1, expect.closeTo((1 + 1 / 3) / 2, 12)], [2, expect.closeTo((1 + 2 / 3) / 2, 12)]]);
  expect(basePassAtK).toBeUndefined();
  expect(counts).toEqual({ samples: 6, duplicates: 1, empty: 1, fenced: 0, known: 0, unscored: 0, tasks: 2, tasksWithoutSamples: 0, tasksSkipped: 0 });
});

test("fences are run as they are and counted, or taken off", async () => {
  const samples = [sample("T/0", "```python\ndef f(): return 0\n```"), sample("T/1", "Sure:\n```\ndef f(): return 1"), sample("T/0", "```python\n    return 0\n", "completion")];
  const plain = await score(samples);
  expect(plain.results.map(({ judgement }) => judgement.status)).toEqual(["syntax", "syntax", "syntax"]);
  expect(plain.counts.fenced).toBe(3);
  const extracted = await score(samples, { extract: true });
  expect(extracted.results.map(({ judgement }) => judgement.status)).toEqual(["passed", "passed", "passed"]);
  expect(extracted.counts.fenced).toBe(0);
});

test("a task of another benchmark is an error that names the line; tasks without samples are counted", async () => {
  await expect(score([sample("T/0", ""), { ...sample("T/9", ""), where: "samples.jsonl:2" }])).rejects.toMatchObject({
    code: "SamplesUnknownTask",
    message: expect.stringMatching(/^samples\.jsonl:2: expected one of the 2 tasks of humaneval in .*tasks\.jsonl, found T\/9\. /) as string,
  });
  expect((await score([sample("T/0", "")])).counts).toMatchObject({ tasks: 2, tasksWithoutSamples: 1 });
});

test("a fault of the sandbox is asked again; two are no verdict, and the score is over what has one", async () => {
  const samples = [sample("T/0", "def f(): return 0"), sample("T/1", "def f(): return 1")];
  faults = 1;
  const once = await score(samples, { parallel: 1 });
  expect(once.counts.unscored).toBe(0);
  expect(ran).toHaveLength(3);
  faults = 2;
  const twice = await score(samples, { parallel: 1 });
  expect(twice.results[0]!.judgement).toEqual({ status: null, faultOf: "sandbox", cause: expect.stringMatching(/^the sandbox failed: /) as string });
  expect(twice.results[1]!.judgement.status).toBe("passed");
  expect(twice.counts.unscored).toBe(1);
  expect(twice.passAtK).toMatchObject([{ k: 1, mean: 1 }]);
  faults = 9;
  const never = await score(samples);
  expect(never.passAtK).toEqual([]);
  expect(never.counts.unscored).toBe(2);
  faults = 0;
});

test("checks that judge no program are no verdict, with their cause, and are not tried again", async () => {
  const row = { task_id: 11, text: "Do.", code: "def f(x): return x", test_list: ["assert True"] };
  const benchmark = await readBenchmark("mbpp", await temporaryFile("mbpp.jsonl", JSON.stringify(row)));
  const { results, counts } = await score([sample("11", row.code)], { benchmark });
  expect(results[0]!.judgement).toEqual({ status: null, faultOf: "task", cause: "the task's checks judge no program: none of them calls the program" });
  expect(counts).toMatchObject({ unscored: 1, tasksSkipped: 0 });
  expect(ran).toHaveLength(1);
});

test("programs for libraries that are not there are not run, and have no verdict", async () => {
  const row = (id: string, libs: string) => JSON.stringify({ task_id: id, entry_point: "task_func", complete_prompt: "def task_func():\n", instruct_prompt: "", code_prompt: "def task_func():", canonical_solution: "    return 1", test: "import unittest\nclass TestCases(unittest.TestCase):\n    def test(self): self.assertEqual(task_func(), 1)\n", libs });
  const benchmark = await readBenchmark("bigcodebench", await temporaryFile("b.jsonl", [row("B/0", "['no_such_library']"), row("B/1", "['os']")].join("\n")));
  const { results, passAtK, counts } = await score([sample("B/0", "    return 1", "completion"), sample("B/1", "    return 1", "completion")], { benchmark });
  expect(results[0]).toMatchObject({ missing: ["no_such_library"], judgement: { status: null, faultOf: "task", cause: "needs no_such_library" } });
  expect(results[1]).toMatchObject({ missing: [], judgement: { status: "passed" } });
  expect(passAtK).toMatchObject([{ k: 1, mean: 1 }]);
  expect(counts).toMatchObject({ samples: 2, unscored: 0, tasksSkipped: 1, tasksWithoutSamples: 0, duplicates: 0 });
});

test("what is finished is never run again, whatever became of the process; other benchmarks and programs are", async () => {
  const path = join(await temporaryFolder(), "verdicts.jsonl");
  const benchmark = await benchmarkOf();
  const samples = [sample("T/0", "def f(): return 0"), sample("T/1", "def f(): return 2"), sample("T/1", "def f(): return 1")];
  const first = await score(samples.slice(0, 2), { benchmark, log: await VerdictLog.open(path, HARNESS) });
  expect(ran).toHaveLength(2);
  await appendFile(path, '{"key":"cut off'); // killed while it wrote
  const second = await score(samples, { benchmark, log: await VerdictLog.open(path, HARNESS) });
  expect(ran).toEqual(["def f(): return 1"]);
  expect(second.results.slice(0, 2)).toEqual(first.results);
  expect(second.counts).toMatchObject({ known: 2, unscored: 0 });
  expect((await readFile(path, "utf8")).trimEnd().split("\n").map((line) => (JSON.parse(line) as { status: string }).status).sort()).toEqual(["failed", "passed", "passed"]);
  await score(samples, { benchmark: await benchmarkOf(3), log: await VerdictLog.open(path, HARNESS) });
  expect(ran).toHaveLength(3);
});

test("a verdict of another harness is not used, and not lost", async () => {
  const path = join(await temporaryFolder(), "verdicts.jsonl");
  const benchmark = await benchmarkOf();
  const samples = [sample("T/0", "def f(): return 0"), sample("T/1", "def f(): return 2")];
  await score(samples, { benchmark, log: await VerdictLog.open(path, "an older one") });
  const log = await VerdictLog.open(path, HARNESS);
  expect(log.outdated).toBe(2);
  expect((await score(samples, { benchmark, log })).counts.known).toBe(0);
  expect(ran).toHaveLength(2);
  for (const harness of ["an older one", HARNESS]) expect((await score(samples, { benchmark, log: await VerdictLog.open(path, harness) })).counts.known).toBe(2);
});

test("faults are not kept: they are tried again", async () => {
  const path = join(await temporaryFolder(), "verdicts.jsonl");
  const benchmark = await benchmarkOf();
  faults = 2;
  expect((await score([sample("T/0", "def f(): return 0")], { benchmark, log: await VerdictLog.open(path, HARNESS) })).counts.unscored).toBe(1);
  expect((await score([sample("T/0", "def f(): return 0")], { benchmark, log: await VerdictLog.open(path, HARNESS) })).results[0]!.judgement.status).toBe("passed");
});

test.each([
  ["no JSON", "x"],
  ["another document", '{"key": 1}'],
  ["a status that there is not", '{"harness":"h","key":"k","status":"perfect","cause":"","suites":{}}'],
])("a log with %s in it is named by line", async (_, line) => {
  const path = await temporaryFile("verdicts.jsonl", "");
  await writeFile(path, `{"harness":"h","key":"k","status":"passed","cause":"","suites":{}}\n${line}\n`);
  await expect(VerdictLog.open(path, HARNESS)).rejects.toMatchObject({ code: "LogCorrupt", message: expect.stringMatching(/verdicts\.jsonl:2: expected a verdict, found /) as string });
});

test("whatever the texts, every sample has a verdict", async () => {
  const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constantFrom("def f(): return 0", "```python\ndef f(): return 0", "    return 0", "\0", "\ud800", "'''", "import os; os._exit(0)", "raise SystemExit"));
  const samples = fc.array(fc.record({ taskId: fc.constantFrom("T/0", "T/1"), text, form: fc.constantFrom("solution" as const, "completion" as const), where: fc.constant("x") }), { minLength: 1, maxLength: 4 });
  const benchmark = await benchmarkOf();
  await fc.assert(
    fc.asyncProperty(samples, fc.boolean(), async (all, extract) => {
      const { results, counts } = await score(all, { benchmark, extract });
      expect(results).toHaveLength(all.length);
      for (const { judgement } of results) expect(judgement.status).not.toBeNull();
      expect(counts.unscored).toBe(0);
    }),
    { numRuns: 40 },
  );
});

test("progress is told program by program", async () => {
  const told: [number, number][] = [];
  await score([sample("T/0", "a"), sample("T/0", "b"), sample("T/0", "a")], { parallel: 1, onProgress: (...progress) => told.push(progress) });
  expect(told).toEqual([[1, 2], [2, 2]]);
});
