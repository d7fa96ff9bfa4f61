import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Benchmark } from "./benchmark.ts";

/** An answer to a task with its verdicts; a suite without one has not been run. */
export interface JudgedProgram {
  readonly taskId: string;
  readonly program: string;
  readonly suites: Readonly<Record<string, { readonly status: string }>>;
}

/**
 * Writes `NAME.jsonl` and `NAME_eval_results.json` as the `evalplus.evaluate` command (0.3) reads them: it takes the
 * results as its own where they lie beside the samples, and runs the samples itself where they do not.
 *
 * @param date as `2025-06-30 12:00`; results that are to be equal byte by byte have a fixed one
 */
export async function writeEvalPlusFiles(folder: string, name: string, { benchmark, programs, date }: { benchmark: Pick<Benchmark, "md5">; programs: readonly JudgedProgram[]; date: string }): Promise<void> {
  const results: Record<string, unknown[]> = {};
  for (const { taskId, program, suites } of programs) {
    (results[taskId] ??= []).push({
      task_id: taskId,
      solution: program,
      base_status: statusOf(suites.base ?? suites.tests),
      plus_status: statusOf(suites.plus),
      base_fail_tests: [],
      plus_fail_tests: [],
    });
  }
  await writeFile(join(folder, `${name}.jsonl`), programs.map(({ taskId, program }) => `${JSON.stringify({ task_id: taskId, solution: program })}\n`).join(""));
  await writeFile(join(folder, `${name}_eval_results.json`), `${JSON.stringify({ date, hash: benchmark.md5, eval: results })}\n`);
}

/** evalplus knows three outcomes, and null for none. */
function statusOf(verdict: { readonly status: string } | undefined): "pass" | "fail" | "timeout" | null {
  if (verdict === undefined) return null;
  if (verdict.status === "passed") return "pass";
  return verdict.status === "timeout" ? "timeout" : "fail";
}
