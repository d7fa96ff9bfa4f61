import { sha256 } from "@diffucoder/lineage";
import { stream, type RandomStream } from "@diffucoder/random";
import type { CodeTask } from "./code-task.ts";
import { TasksError } from "./errors.ts";
import { describe, evaluate, PYTHON_OPERATORS, type Operation, type Program } from "./operations.ts";

/**
 * What a task may be used for. A task belongs to one split by what its program computes, so that no held-out
 * behaviour has been trained on under another wording.
 */
export type TaskSplit = "train" | "reinforcement" | "selection" | "heldout";

/**
 * `linear`: two operations, fixed variable names. `branch`: three, the second one under a condition. `named`: two,
 * with variable names that are free but must agree, so that one task has many right answers.
 */
export const TASK_FAMILIES = ["linear", "branch", "named"] as const;

export type TaskFamily = (typeof TASK_FAMILIES)[number];

/**
 * Draws distinct tasks of a split, families in turn. Equal options give equal tasks, and a longer list begins with the shorter one.
 *
 * In `train` tasks differ in wording or solution; elsewhere in what they compute.
 *
 * @throws TasksError `UnknownFamily`, or `TasksExhausted` when the families hold fewer tasks than asked for
 */
export function generateTasks(options: {
  readonly families: readonly string[];
  readonly split: TaskSplit;
  readonly count: number;
  readonly seed: number;
}): CodeTask[] {
  const { split, count, seed } = options;
  const families = options.families.map(checkFamily);
  if (families.length === 0) throw unknownFamily("none");
  const draws = stream({ seed, stage: "tasks", purpose: `${split} ${families.join()}` });
  const tasks: CodeTask[] = [];
  const seen = new Set<string>();
  for (let misses = 0; tasks.length < count; ) {
    const family = families[tasks.length % families.length]!;
    const program = drawProgram(family, draws);
    const meaning = meaningOf(program);
    const task = splitOf(meaning) === split ? taskOf(family, program, meaning, draws) : undefined;
    const identity = task === undefined ? "" : split === "train" ? task.id : `${family} ${meaning}`;
    if (task === undefined || seen.has(identity)) {
      if (++misses === MOST_MISSES) {
        throw new TasksError("TasksExhausted", `tasks ${families.join()}: expected ${count} in split ${split}, found ${tasks.length}. Ask for fewer, or add a family.`);
      }
      continue;
    }
    misses = 0;
    seen.add(identity);
    tasks.push(task);
  }
  return tasks;
}

const MOST_MISSES = 20_000;

function checkFamily(name: string): TaskFamily {
  const family = TASK_FAMILIES.find((known) => known === name);
  if (family !== undefined) return family;
  throw unknownFamily(name);
}

function unknownFamily(found: string): TasksError {
  return new TasksError("UnknownFamily", `task family: expected one of ${TASK_FAMILIES.join(", ")}, found ${found}`);
}

function drawProgram(family: TaskFamily, draws: RandomStream): Program {
  const operation = (): Operation => {
    const name = draws.pick(["ADD", "SUB", "MUL", "DIV", "MOD"] as const);
    const smallest = name === "ADD" || name === "SUB" ? 1 : 2; // x * 1, x // 1 and x % 1 are no work
    return { name, operand: smallest + draws.integer(10 - smallest) };
  };
  if (family !== "branch") return { operations: [operation(), operation()] };
  return { operations: [operation(), operation(), operation()], threshold: 1 + draws.integer(9) };
}

/**
 * Digest of what a program computes on every input from -200 to 200. Programs that differ only further out count as
 * equal, which can only keep too much out of the held-out split, never let something in.
 */
export function meaningOf(program: Program): string {
  return sha256(Array.from({ length: 401 }, (_, i) => evaluate(program, i - 200)).join());
}

export function splitOf(meaning: string): TaskSplit {
  const percentile = Number.parseInt(meaning.slice(0, 8), 16) % 100;
  if (percentile < 60) return "train";
  if (percentile < 75) return "reinforcement";
  return percentile < 85 ? "selection" : "heldout";
}

function taskOf(family: TaskFamily, program: Program, meaning: string, draws: RandomStream): CodeTask {
  const [parameter, variable] = family === "named" ? [draws.pick(PARAMETER_NAMES), draws.pick(VARIABLE_NAMES)] : ["x", "y"];
  const instruction = `${family === "named" ? "NAMED " : ""}${describe(program)}`;
  const solution = renderPython(program, parameter, variable);
  return {
    id: `${family}/${sha256(`${instruction}\n${solution}`).slice(0, 12)}`,
    family,
    instruction,
    entryPoint: "f",
    solution,
    checks: checksOf(program, meaning),
  };
}

const PARAMETER_NAMES = ["x", "n", "a", "num"];
const VARIABLE_NAMES = ["y", "r", "total", "result"];

function renderPython({ operations, threshold }: Program, parameter: string, variable: string): string {
  const lines = operations.flatMap(({ name, operand }, index) => {
    const assignment = `${variable} = ${index === 0 ? parameter : variable} ${PYTHON_OPERATORS[name]} ${operand}`;
    if (index !== 1 || threshold === undefined) return [`    ${assignment}`];
    return [`    if ${variable} > ${threshold}:`, `        ${assignment}`];
  });
  return [`def f(${parameter}):`, ...lines, `    return ${variable}`, ""].join("\n");
}

/** Seven inputs of different size and sign, drawn by the meaning: every wording of a task meets the same checks. */
function checksOf(program: Program, meaning: string): string[] {
  const draws = stream({ seed: Number.parseInt(meaning.slice(0, 12), 16), stage: "tasks", purpose: "checks" });
  const inputs = new Set<number>();
  for (const [lowest, highest] of CHECK_RANGES) {
    let input: number;
    do input = lowest + draws.integer(highest - lowest + 1);
    while (inputs.has(input));
    inputs.add(input);
  }
  return [...inputs].map((input) => `assert f(${input}) == ${evaluate(program, input)}`);
}

const CHECK_RANGES = [
  [-50, -10],
  [-9, -1],
  [0, 3],
  [1, 9],
  [5, 20],
  [10, 50],
  [51, 200],
] as const;
