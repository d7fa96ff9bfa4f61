import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import { TasksError } from "./errors.ts";

const row = z.object({
  task_id: z.string(),
  prompt: z.string(),
  entry_point: z.string(),
  canonical_solution: z.string(),
  test: z.string(),
});

/** A function to complete. */
export interface CompletionTask {
  readonly id: string;
  /** Python up to where the completion begins. */
  readonly prompt: string;
  readonly entryPoint: string;
  readonly solution: string;
  readonly checks: readonly string[];
}

/**
 * Reads HumanEval's `.jsonl` or `.jsonl.gz`.
 *
 * @source Chen et al., arXiv:2107.03374
 * @throws TasksError `BenchmarkCorrupt` naming file and line
 */
export async function readHumanEval(path: string): Promise<CompletionTask[]> {
  const content = await readFile(path);
  const text = (path.endsWith(".gz") ? unpack(content, path) : content).toString("utf8");
  return text
    .split("\n")
    .map((line, index) => ({ line, where: `${path}:${index + 1}` }))
    .filter(({ line }) => line.trim() !== "")
    .map(({ line, where }) => {
      const task = parseRow(line, where);
      return {
        id: task.task_id,
        prompt: task.prompt,
        entryPoint: task.entry_point,
        solution: task.canonical_solution,
        checks: [checkOf(task)],
      };
    });
}

/** Some tests call helpers that the prompt defines: they get them from prompt and solution, never from the answer. */
function checkOf({ prompt, canonical_solution: solution, test, entry_point: entryPoint }: z.infer<typeof row>): string {
  return `${prompt}${solution}\n${test}\ncheck(__candidate__(${JSON.stringify(entryPoint)}))`;
}

function unpack(content: Buffer, path: string): Buffer {
  try {
    return gunzipSync(content);
  } catch (error) {
    throw new TasksError("BenchmarkCorrupt", `${path}: expected gzip, found ${String(error)}. Fetch the file again.`);
  }
}

function parseRow(line: string, where: string): z.infer<typeof row> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new TasksError("BenchmarkCorrupt", `${where}: expected JSON, found ${String(error)}`);
  }
  const parsed = row.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new TasksError("BenchmarkCorrupt", `${where}: expected a HumanEval task; ${z.prettifyError(parsed.error)}`);
}

/**
 * The paper's prompt for a function to complete, with the beginning of the answer given.
 *
 * @source DiffuCoder, arXiv:2506.20639v2, appendix (evaluation prompts)
 */
export function renderCompletionPrompt({ prompt }: CompletionTask): string {
  return (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n" +
    `<|im_start|>user\nPlease complete the following problem:\n\`\`\`\n${prompt.trim()}\n\`\`\`\n<|im_end|>\n` +
    "<|im_start|>assistant\nHere is the code to solve this problem:\n```python\n"
  );
}

/** The program in an answer whose opening fence was given: everything before the closing one. */
export function extractCompletedProgram(completion: string): string {
  const end = completion.indexOf("```");
  return end === -1 ? completion : completion.slice(0, end);
}
