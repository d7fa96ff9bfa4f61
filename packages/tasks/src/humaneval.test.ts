import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { createSandbox } from "@diffucoder/sandbox";
import { expect, onTestFinished, test } from "vitest";
import { extractCompletedProgram, readHumanEval, renderCompletionPrompt, type CompletionTask } from "./humaneval.ts";
import { scoreProgram } from "./score.ts";

const ROW = {
  task_id: "T/0",
  prompt: "def double(x):\n    return 2 * x\n\n\ndef quadruple(x):\n    \"\"\"Four times x.\"\"\"\n",
  entry_point: "quadruple",
  canonical_solution: "    return double(double(x))\n",
  test: "def check(candidate):\n    assert candidate(3) == double(6)\n",
};

async function read(name: string, content: string | Buffer): Promise<CompletionTask[]> {
  const directory = await mkdtemp(join(tmpdir(), "humaneval-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  await writeFile(join(directory, name), content);
  return readHumanEval(join(directory, name));
}

test("tasks are read plain and packed, blank lines and keys of no use left out", async () => {
  const text = `${JSON.stringify({ ...ROW, extra: 1 })}\n\n${JSON.stringify({ ...ROW, task_id: "T/1" })}\n`;
  const task = { id: "T/0", prompt: ROW.prompt, entryPoint: "quadruple", solution: ROW.canonical_solution, checks: [expect.stringContaining(ROW.test) as string] };
  expect(await read("tasks.jsonl", text)).toEqual([task, { ...task, id: "T/1" }]);
  expect(await read("tasks.jsonl.gz", gzipSync(text))).toEqual([task, { ...task, id: "T/1" }]);
});

test("a check that calls a helper of the prompt gets the benchmark's own, and judges the answer's function", async () => {
  const [task] = await read("tasks.jsonl", JSON.stringify(ROW));
  const sandbox = await createSandbox({ workers: 1 });
  onTestFinished(() => sandbox.close());
  const score = async (program: string) => (await scoreProgram(sandbox, task!, program))!;
  expect(await score(task!.prompt + task!.solution)).toMatchObject({ passed: true, passRate: 1 });
  expect(await score("def quadruple(x): return 4 * x")).toMatchObject({ passed: true });
  expect(await score(`${task!.prompt}    return 3 * x\n`)).toMatchObject({ passed: false, status: "failed" });
  expect(await score(`${task!.prompt}    pass\n`)).toMatchObject({ passed: false });
  // An answer that spoils the helper spoils only its own: 3 * 4 = 12 is still expected.
  expect(await score("def double(x): return 0\ndef quadruple(x): return 0")).toMatchObject({ passed: false });
});

test.each([
  ["is not JSON", `${JSON.stringify(ROW)}\n\n{`, /tasks\.jsonl:3: expected JSON, found SyntaxError: /],
  ["lacks a key", `${JSON.stringify(ROW)}\n${JSON.stringify({ ...ROW, test: undefined })}`, /tasks\.jsonl:2: expected a HumanEval task; .*\s+→ at test$/],
  ["has a key of another type", JSON.stringify({ ...ROW, task_id: 1 }), /tasks\.jsonl:1: expected a HumanEval task; .*\s+→ at task_id$/],
  ["is a list", "[]", /tasks\.jsonl:1: expected a HumanEval task; /],
])("a line that %s is named by file and number", async (_, text, message) => {
  await expect(read("tasks.jsonl", text)).rejects.toMatchObject({ code: "BenchmarkCorrupt", retryable: false, message: expect.stringMatching(message) as string });
});

test.each(["prompt", "entry_point", "canonical_solution"])("%s is needed", async (key) => {
  await expect(read("tasks.jsonl", JSON.stringify({ ...ROW, [key]: undefined }))).rejects.toMatchObject({ message: expect.stringMatching(new RegExp(`→ at ${key}$`)) as string });
});

test("a packed file that is not gzip, or is cut off, says so", async () => {
  const message = expect.stringMatching(/tasks\.jsonl\.gz: expected gzip, found Error: .*\. Fetch the file again\.$/) as string;
  await expect(read("tasks.jsonl.gz", "plain")).rejects.toMatchObject({ code: "BenchmarkCorrupt", message });
  await expect(read("tasks.jsonl.gz", gzipSync(JSON.stringify(ROW)).subarray(0, 40))).rejects.toMatchObject({ code: "BenchmarkCorrupt", message });
});

test("the prompt is the paper's: its system line, the problem fenced, the answer begun", () => {
  const [system, user, assistant] = renderCompletionPrompt({ id: "", entryPoint: "", solution: "", checks: [], prompt: "\n\ndef f(x):\n    \"\"\"Doc.\"\"\"\n\n" }).split("<|im_start|>").slice(1);
  expect(system).toBe("system\nYou are a helpful assistant.<|im_end|>\n");
  expect(user).toBe('user\nPlease complete the following problem:\n```\ndef f(x):\n    """Doc."""\n```\n<|im_end|>\n');
  expect(assistant).toBe("assistant\nHere is the code to solve this problem:\n```python\n");
});

test("the completed program is everything before the first closing fence", () => {
  expect(extractCompletedProgram("def g(x):\n    return x\n```\nDone\n```")).toBe("def g(x):\n    return x\n");
  expect(extractCompletedProgram("def g(x): ...")).toBe("def g(x): ...");
  expect(extractCompletedProgram("```")).toBe("");
});

const benchmark = join(process.env.DIFFUCODER_BENCHMARK_DATA ?? "", "humaneval/HumanEval.jsonl.gz");

test.skipIf(!existsSync(benchmark))("HumanEval's own solutions pass, and empty bodies do not", async () => {
  const tasks = await readHumanEval(benchmark);
  expect(tasks).toHaveLength(164);
  const sandbox = await createSandbox({ workers: 2 });
  onTestFinished(() => sandbox.close());
  const failing = async (bodyOf: (task: CompletionTask) => string) => {
    const scores = await Promise.all(tasks.map((task) => scoreProgram(sandbox, task, task.prompt + bodyOf(task))));
    return tasks.filter((_, i) => scores[i]?.passed !== true).length;
  };
  expect(await failing(({ solution }) => solution)).toBe(0);
  expect(await failing(() => "    pass\n")).toBe(164);
});
