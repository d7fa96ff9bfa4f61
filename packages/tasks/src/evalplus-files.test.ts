import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../test/temporary-file.ts";
import { writeEvalPlusFiles } from "./evalplus-files.ts";

test("samples and results have evalplus' keys, words and names", async () => {
  const folder = await temporaryFolder();
  const passed = { status: "passed" };
  const programs = [
    { taskId: "T/0", program: "a", suites: { base: passed, plus: { status: "timeout" } } },
    { taskId: "T/1", program: "b", suites: { tests: passed } },
    { taskId: "T/0", program: "c", suites: { base: { status: "syntax" }, plus: { status: "memory" } } },
    { taskId: "T/1", program: "", suites: {} },
  ];
  await writeEvalPlusFiles(folder, "x", { benchmark: { md5: "abc" }, programs, date: "2025-06-30 12:00" });
  expect((await readFile(join(folder, "x.jsonl"), "utf8")).split("\n").filter(Boolean).map((line) => JSON.parse(line) as unknown)).toEqual(programs.map(({ taskId, program }) => ({ task_id: taskId, solution: program })));
  const line = (task_id: string, solution: string, base_status: string | null, plus_status: string | null) => ({ task_id, solution, base_status, plus_status, base_fail_tests: [], plus_fail_tests: [] });
  expect(JSON.parse(await readFile(join(folder, "x_eval_results.json"), "utf8"))).toEqual({
    date: "2025-06-30 12:00",
    hash: "abc",
    eval: { "T/0": [line("T/0", "a", "pass", "timeout"), line("T/0", "c", "fail", "fail")], "T/1": [line("T/1", "b", "pass", null), line("T/1", "", null, null)] },
  });
});
