import { z } from "zod";
import type { BenchmarkTask, TestSuite } from "./benchmark-task.ts";
import { parseRow } from "./humaneval.ts";
import type { JsonRow } from "./json-rows.ts";

/** Rows of `mbpp.jsonl`, and of `sanitized-mbpp.json`, which has other keys. */
const row = z
  .object({
    task_id: z.int().positive(),
    text: z.string().optional(),
    prompt: z.string().optional(),
    code: z.string(),
    test_setup_code: z.string().default(""),
    test_imports: z.array(z.string()).default([]),
    test_list: z.array(z.string()).min(1),
  })
  .transform(({ text, prompt, test_setup_code: setup, test_imports: imports, ...rest }) => ({ ...rest, description: text ?? prompt, setup: [...imports, setup].join("\n").trim() }))
  .refine(({ description }) => description !== undefined, { message: "expected a text", path: ["text"] });

/**
 * A task of MBPP: words, a first assert that names the function, and three asserts in all. Programs are whole ones.
 *
 * @source Austin et al., arXiv:2108.07732; the prompt has the form that EvalPlus gives it
 */
export function mbppTask(line: JsonRow): BenchmarkTask {
  const { task_id: number, description, code, setup, test_list: tests } = parseRow(row, line, "an MBPP task");
  const solution = code.replaceAll("\r\n", "\n");
  const functions = calledFunctions(solution, tests);
  return {
    id: `Mbpp/${number}`,
    entryPoint: functions[0] ?? "",
    isHeldOut: number >= FIRST_TEST && number <= LAST_TEST,
    prompts: { instruct: `"""\n${description!.trim()}\n${tests[0]!.trim()}\n"""\n` },
    solution,
    completionPrefix: "",
    programPrefix: "",
    libraries: [],
    suites: [suiteOf({ solution, setup, tests, functions })],
  };
}

/** 1 to 10 are for few-shot prompts, 511 to 600 for validation, the rest for training. */
const FIRST_TEST = 11;
const LAST_TEST = 510;

function suiteOf({ solution, setup, tests, functions }: { solution: string; setup: string; tests: readonly string[]; functions: readonly string[] }): TestSuite {
  // Tests may use what the solution imports.
  const imports = [...solution.matchAll(/^(?:import|from) .*$/gm)].map(([line]) => line);
  const checks = tests.map((test) => [...imports, setup, test].join("\n"));
  // Some tests make objects of a class that the solution defines, to hand them over again.
  const classes = [...solution.matchAll(/^class (\w+)/gm)].map(([, name]) => name!).filter((name) => checks.some((check) => new RegExp(`\\b${name}\\b`).test(check)));
  return { name: "tests", isolation: "referee", checks, entryPoints: [...functions, ...classes], limits: LIMITS };
}

/** The slowest references take several seconds on a busy machine. */
const LIMITS = { wallMs: 15_000, cpuSeconds: 10 };

/** Functions of the solution that the tests call, in the order the tests do. */
function calledFunctions(solution: string, tests: readonly string[]): string[] {
  const defined = new Set([...solution.matchAll(/^def (\w+)/gm)].map(([, name]) => name!));
  const called = tests.flatMap((test) => [...test.matchAll(/\b(\w+)\s*\(/g)].map(([, name]) => name!));
  return [...new Set(called)].filter((name) => defined.has(name));
}
