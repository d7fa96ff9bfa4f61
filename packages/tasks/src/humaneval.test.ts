import { createSandbox } from "@diffucoder/sandbox";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFile } from "../test/temporary-file.ts";
import type { BenchmarkTask } from "./benchmark-task.ts";
import { readBenchmark } from "./benchmark.ts";
import { judgeProgram } from "./score.ts";

const ROW = {
  task_id: "T/0",
  prompt: "def double(x):\n    return 2 * x\n\n\ndef quadruple(x):\n    \"\"\"Four times x.\"\"\"\n",
  entry_point: "quadruple",
  canonical_solution: "    return double(double(x))\n",
  test: "def check(candidate):\n    assert candidate(3) == double(6)\n",
};

const read = async (text: string): Promise<readonly BenchmarkTask[]> => (await readBenchmark("humaneval", await temporaryFile("tasks.jsonl", text))).tasks;

test("a task is a function to complete, its reference whole; keys of no use are left out", async () => {
  expect(await read(JSON.stringify({ ...ROW, extra: 1 }))).toEqual([
    {
      id: "T/0",
      entryPoint: "quadruple",
      isHeldOut: true,
      prompts: { complete: ROW.prompt },
      solution: ROW.prompt + ROW.canonical_solution,
      completionPrefix: ROW.prompt,
      programPrefix: "",
      libraries: [],
      suites: [{ name: "tests", isolation: "referee", checks: [expect.stringContaining(ROW.test)], entryPoints: [], limits: {} }],
    },
  ]);
});

test("a check that calls a helper of the prompt gets the benchmark's own, and judges the answer's function", async () => {
  const [task] = await read(JSON.stringify(ROW));
  const sandbox = await createSandbox({ workers: 1 });
  onTestFinished(() => sandbox.close());
  const statusOf = async (program: string) => (await judgeProgram(sandbox, task!, program))!.status;
  expect(await statusOf(task!.solution)).toBe("passed");
  expect(await statusOf("def quadruple(x): return 4 * x")).toBe("passed");
  expect(await statusOf(`${ROW.prompt}    return 3 * x\n`)).toBe("failed");
  expect(await statusOf(`${ROW.prompt}    pass\n`)).toBe("failed");
  // An answer that spoils the helper spoils only its own: 3 * 4 = 12 is still expected.
  expect(await statusOf("def double(x): return 0\ndef quadruple(x): return 0")).toBe("failed");
});

test.each(["task_id", "prompt", "entry_point", "canonical_solution", "test"])("%s is needed, and the line that lacks it named", async (key) => {
  const message = expect.stringMatching(new RegExp(`tasks\\.jsonl:2: expected a HumanEval task; .*\\s+→ at ${key}$`)) as string;
  await expect(read(`${JSON.stringify(ROW)}\n${JSON.stringify({ ...ROW, [key]: undefined })}`)).rejects.toMatchObject({ code: "BenchmarkCorrupt", retryable: false, message });
});
