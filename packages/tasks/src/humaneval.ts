import { z } from "zod";
import type { BenchmarkTask } from "./benchmark-task.ts";
import { TasksError } from "./errors.ts";
import type { JsonRow } from "./json-rows.ts";

const row = z.object({
  task_id: z.string(),
  prompt: z.string(),
  entry_point: z.string(),
  canonical_solution: z.string(),
  test: z.string(),
});

/**
 * A task of HumanEval: a function to complete.
 *
 * @source Chen et al., arXiv:2107.03374
 */
export function humanEvalTask(line: JsonRow): BenchmarkTask {
  const { task_id: id, prompt, entry_point: entryPoint, canonical_solution: body, test } = parseRow(row, line, "a HumanEval task");
  const solution = prompt + body;
  return {
    id,
    entryPoint,
    isHeldOut: true,
    prompts: { complete: prompt },
    solution,
    completionPrefix: prompt,
    programPrefix: "",
    libraries: [],
    suites: [
      {
        name: "tests",
        isolation: "referee",
        // Some tests call helpers that the prompt defines: they get them from the reference, never from the answer.
        checks: [`${solution}\n${test}\ncheck(__candidate__(${JSON.stringify(entryPoint)}))`],
        entryPoints: [],
        limits: {},
      },
    ],
  };
}

/** @throws TasksError `BenchmarkCorrupt` naming file, line and key */
export function parseRow<T>(schema: z.ZodType<T>, { value, where }: JsonRow, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new TasksError("BenchmarkCorrupt", `${where}: expected ${what}; ${z.prettifyError(parsed.error)}`);
}
