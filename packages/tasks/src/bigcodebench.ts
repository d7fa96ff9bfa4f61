import { z } from "zod";
import type { BenchmarkTask } from "./benchmark-task.ts";
import { parseRow } from "./humaneval.ts";
import type { JsonRow } from "./json-rows.ts";

const row = z.object({
  task_id: z.string(),
  entry_point: z.string(),
  complete_prompt: z.string(),
  instruct_prompt: z.string(),
  code_prompt: z.string(),
  canonical_solution: z.string(),
  test: z.string(),
  /** A Python list in a string. */
  libs: z.string(),
});

/**
 * A task of BigCodeBench, full or hard. Programs are "calibrated": imports and an empty function come first, so that a
 * program is not failed for imports that the prompt had shown.
 *
 * @source Zhuo et al., arXiv:2406.15877
 */
export function bigCodeBenchTask(line: JsonRow): BenchmarkTask {
  const task = parseRow(row, line, "a BigCodeBench task");
  return {
    id: task.task_id,
    entryPoint: task.entry_point,
    isHeldOut: true,
    prompts: { complete: task.complete_prompt, instruct: task.instruct_prompt },
    solution: task.complete_prompt + task.canonical_solution,
    completionPrefix: task.complete_prompt,
    programPrefix: `${task.code_prompt}\n    pass\n`,
    libraries: librariesOf(task),
    suites: [{ name: "tests", isolation: "in-process", test: task.test, entryPoint: task.entry_point, limits: LIMITS }],
  };
}

/** Libraries that the benchmark names, and those that program and tests import besides. */
function librariesOf({ libs, complete_prompt: prompt, canonical_solution: body, test }: z.infer<typeof row>): string[] {
  const named = [...libs.matchAll(/'([^']+)'/g)].map(([, name]) => name!);
  return [...new Set([...named, ...importedModules(`${prompt}${body}\n${test}`)])];
}

/** Modules of import statements. Docstrings have lines that begin with these words too, but not with a statement. */
function importedModules(source: string): string[] {
  const fromImports = [...source.matchAll(/^[ \t]*from[ \t]+(\w+)[\w.]*[ \t]+import\b/gm)].map(([, name]) => name!);
  const imports = [...source.matchAll(/^[ \t]*import[ \t]+([\w.]+(?:[ \t]+as[ \t]+\w+)?(?:[ \t]*,[ \t]*[\w.]+(?:[ \t]+as[ \t]+\w+)?)*)[ \t]*(?:[#;].*)?$/gm)];
  return [...fromImports, ...imports.flatMap(([, list]) => list!.split(",").map((part) => /\w+/.exec(part)![0]))];
}

const LIMITS = { wallMs: 120_000, cpuSeconds: 60, memoryBytes: 4 * 2 ** 30, processes: 64, outputBytes: 16 << 20 };
