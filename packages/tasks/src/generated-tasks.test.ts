import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import type { CodeTask } from "./code-task.ts";
import { generateTasks, meaningOf, splitOf, TASK_FAMILIES, type TaskFamily, type TaskSplit } from "./generated-tasks.ts";
import { evaluate, PYTHON_OPERATORS, type Operation, type Program } from "./operations.ts";

const SPLITS: TaskSplit[] = ["train", "reinforcement", "selection", "heldout"];

const generate = (families: readonly string[], split: TaskSplit, count: number, seed = 1) => generateTasks({ families, split, count, seed });

/** The program that an instruction asks for, read back from its words. */
function programOf({ instruction }: CodeTask): Program {
  const operations: Operation[] = [];
  let threshold: number | undefined;
  for (const [, word, number] of instruction.matchAll(/([A-Z]+) (\d+)/g)) {
    if (word === "GT") threshold = Number(number);
    else operations.push({ name: word as Operation["name"], operand: Number(number) });
  }
  return { operations, ...(threshold === undefined ? {} : { threshold }) };
}

const python = (script: string, input = "") => execFileSync("python3", ["-I", "-c", script], { input, encoding: "utf8", maxBuffer: 64 << 20 });

/** What each solution returns on every input from -200 to 200, by real Python. */
function behavioursOf(tasks: readonly CodeTask[]): string[] {
  const script = "import json, sys\nout = []\nfor p in json.load(sys.stdin):\n  n = {}\n  exec(p, n)\n  out.append(','.join(str(n['f'](x)) for x in range(-200, 201)))\nprint(json.dumps(out))";
  return JSON.parse(python(script, JSON.stringify(tasks.map(({ solution }) => solution)))) as string[];
}

test("a solution passes its task's checks in Python, in every family and split", () => {
  const tasks = SPLITS.flatMap((split) => generate(TASK_FAMILIES, split, 60, 3));
  expect(python(`${tasks.map(({ solution, checks }) => [solution, ...checks].join("\n")).join("\n")}\nprint("ok")`)).toBe("ok\n");
});

test("a task has seven checks on inputs of different size and sign, all different", () => {
  for (const { checks, entryPoint } of generate(TASK_FAMILIES, "train", 300)) {
    expect(entryPoint).toBe("f");
    const inputs = checks.map((check) => Number(/^assert f\((-?\d+)\) == -?\d+$/.exec(check)![1]));
    expect(new Set(inputs).size).toBe(7);
    const ranges = [[-50, -10], [-9, -1], [0, 3], [1, 9], [5, 20], [10, 50], [51, 200]] as const;
    for (const [i, [lowest, highest]] of ranges.entries()) {
      expect(inputs[i]).toBeGreaterThanOrEqual(lowest);
      expect(inputs[i]).toBeLessThanOrEqual(highest);
    }
  }
});

test("the ends of each range are tried too", () => {
  const inputs = generate(["branch"], "train", 1500).map(({ checks }) => checks.map((check) => Number(/\((-?\d+)\)/.exec(check)![1])));
  const ends = (position: number) => [Math.min(...inputs.map((each) => each[position]!)), Math.max(...inputs.map((each) => each[position]!))];
  expect([0, 1, 2, 3, 4, 5].map(ends)).toEqual([[-50, -10], [-9, -1], [0, 3], [1, 9], [5, 20], [10, 50]]);
});

test("checks depend on what a program computes, not on its wording", () => {
  const tasks = generate(["named", "linear"], "train", 800);
  const behaviours = behavioursOf(tasks);
  const checksOf = new Map<string, Set<string>>();
  for (const [i, { checks }] of tasks.entries()) checksOf.set(behaviours[i]!, (checksOf.get(behaviours[i]!) ?? new Set()).add(checks.join()));
  expect(checksOf.size).toBeLessThan(600);
  expect([...checksOf.values()].filter(({ size }) => size > 1)).toEqual([]);
});

test("instruction and solution say the same program, in the form of the family", () => {
  const render = (family: TaskFamily, { operations, threshold }: Program, parameter: string, variable: string) => {
    const step = (i: number, from: string) => `${variable} = ${from} ${PYTHON_OPERATORS[operations[i]!.name]} ${operations[i]!.operand}\n`;
    if (family !== "branch") return `def f(${parameter}):\n    ${step(0, parameter)}    ${step(1, variable)}    return ${variable}\n`;
    return `def f(${parameter}):\n    ${step(0, parameter)}    if ${variable} > ${threshold}:\n        ${step(1, variable)}    ${step(2, variable)}    return ${variable}\n`;
  };
  for (const task of generate(TASK_FAMILIES, "train", 150)) {
    const [, parameter, variable] = /^def f\((\w+)\):\n {4}(\w+) = /.exec(task.solution)!;
    expect(task.solution).toBe(render(task.family as TaskFamily, programOf(task), parameter!, variable!));
    expect(task.instruction.startsWith("NAMED ")).toBe(task.family === "named");
    expect(task.instruction.includes(" GT ")).toBe(task.family === "branch");
    expect(task.id).toBe(`${task.family}/${createHash("sha256").update(`${task.instruction}\n${task.solution}`).digest("hex").slice(0, 12)}`);
  }
});

test("names are free in the named family only", () => {
  const names = (family: string) => {
    const pairs = generate([family], "train", 400).map(({ solution }) => /^def f\((\w+)\):\n {4}(\w+) = /.exec(solution)!);
    return [1, 2].map((part) => [...new Set(pairs.map((pair) => pair[part]))].sort());
  };
  expect(names("linear")).toEqual([["x"], ["y"]]);
  expect(names("branch")).toEqual([["x"], ["y"]]);
  expect(names("named")).toEqual([["a", "n", "num", "x"], ["r", "result", "total", "y"]]);
});

test("operands have one digit and every step does something; thresholds run from 1 to 9", () => {
  const programs = generate(["branch", "linear"], "train", 2000).map(programOf);
  const operands = new Map<string, Set<number>>();
  for (const { name, operand } of programs.flatMap(({ operations }) => operations)) operands.set(name, (operands.get(name) ?? new Set()).add(operand));
  const sorted = (values: Iterable<number>) => [...values].sort((a, b) => a - b);
  const fromOne = [1, 2, 3, 4, 5, 6, 7, 8, 9];
  expect(Object.fromEntries([...operands].map(([name, values]) => [name, sorted(values)]))).toEqual({
    ADD: fromOne,
    SUB: fromOne,
    MUL: fromOne.slice(1), // x * 1, x // 1 and x % 1 are no work
    DIV: fromOne.slice(1),
    MOD: fromOne.slice(1),
  });
  expect(sorted(new Set(programs.flatMap(({ threshold }) => threshold ?? [])))).toEqual(fromOne);
});

test("families take turns", () => {
  expect(generate(["branch", "named"], "train", 5).map(({ family }) => family)).toEqual(["branch", "named", "branch", "named", "branch"]);
});

test("splits never share a behaviour, whatever wording or family, by real Python", () => {
  const ownerOf = new Map<string, TaskSplit>();
  for (const split of SPLITS) {
    for (const behaviour of behavioursOf(generate(TASK_FAMILIES, split, 150))) {
      expect(ownerOf.get(behaviour) ?? split).toBe(split);
      ownerOf.set(behaviour, split);
    }
  }
  expect(new Set(ownerOf.values()).size).toBe(4);
});

test("a task's split is the one that its meaning belongs to", () => {
  for (const split of SPLITS) for (const task of generate(TASK_FAMILIES, split, 30)) expect(splitOf(meaningOf(programOf(task)))).toBe(split);
});

test("meanings are divided 60 : 15 : 10 : 15, by their first 32 bits", () => {
  const ofPercent = (percent: number) => splitOf(`${percent.toString(16).padStart(8, "0")}ffff`);
  const at = [0, 59, 60, 74, 75, 84, 85, 99, 100].map(ofPercent);
  expect(at).toEqual(["train", "train", "reinforcement", "reinforcement", "selection", "selection", "heldout", "heldout", "train"]);
});

test("programs that compute the same have one meaning, others have others", () => {
  const program = (name: Operation["name"], ...operands: number[]): Program => ({ operations: operands.map((operand) => ({ name, operand })) });
  expect(meaningOf(program("ADD", 3, 4))).toBe(meaningOf(program("ADD", 5, 2)));
  expect(meaningOf(program("ADD", 3, 4))).not.toBe(meaningOf(program("ADD", 3, 5)));
  expect(meaningOf(program("DIV", 2, 3))).toBe(meaningOf(program("DIV", 6, 1)));
  // Equal from -200 to 199, where only 200 has anything left: meaning covers both ends.
  const guarded = (threshold: number): Program => ({ operations: [{ name: "ADD", operand: 0 }, { name: "MUL", operand: 2 }], threshold });
  expect(meaningOf(guarded(199))).not.toBe(meaningOf(guarded(200)));
  expect(meaningOf(guarded(200))).toBe(meaningOf(guarded(201)));
  const values = Array.from({ length: 401 }, (_, i) => evaluate(program("MOD", 7), i - 200)).join();
  expect(meaningOf(program("MOD", 7))).toBe(createHash("sha256").update(values).digest("hex"));
});

test("equal options give equal tasks, and a longer list begins with the shorter", () => {
  for (const split of SPLITS) {
    expect(generate(TASK_FAMILIES, split, 20, 5)).toEqual(generate(TASK_FAMILIES, split, 20, 5));
    expect(generate(TASK_FAMILIES, split, 40, 5).slice(0, 20)).toEqual(generate(TASK_FAMILIES, split, 20, 5));
    expect(generate(TASK_FAMILIES, split, 20, 6)).not.toEqual(generate(TASK_FAMILIES, split, 20, 5));
  }
  expect(generate(["named"], "train", 0)).toEqual([]);
});

test("each list of families draws from a stream of its own", () => {
  expect(generate(["named", "named"], "train", 10)).not.toEqual(generate(["named"], "train", 10));
});

test("outside training, tasks of a family differ in what they compute", () => {
  const tasks = generate(["branch"], "selection", 2400); // far more draws miss than would end the search in a row
  expect(new Set(tasks.map((task) => meaningOf(programOf(task)))).size).toBe(2400);
  const both = generate(["named", "linear"], "heldout", 200);
  for (const family of ["named", "linear"]) expect(new Set(behavioursOf(both.filter((task) => task.family === family))).size).toBe(100);
});

test("in training, tasks differ in wording or solution, and some compute the same", () => {
  const tasks = generate(["named"], "train", 800, 2);
  expect(new Set(tasks.map(({ id }) => id)).size).toBe(800);
  expect(new Set(tasks.map(({ instruction }) => instruction)).size).toBeLessThan(800);
});

test("families that are not known, or none, are refused", () => {
  expect(() => generate(["named", "loops"], "train", 1)).toThrow(expect.objectContaining({ code: "UnknownFamily", retryable: false, message: "task family: expected one of linear, branch, named, found loops" }));
  expect(() => generate([], "train", 1)).toThrow(expect.objectContaining({ code: "UnknownFamily", message: "task family: expected one of linear, branch, named, found none" }));
});

test("more tasks than a split holds are refused, with how many there are", () => {
  expect(() => generate(["linear"], "selection", 5000)).toThrow(
    expect.objectContaining({ code: "TasksExhausted", message: expect.stringMatching(/^tasks linear: expected 5000 in split selection, found \d+\. Ask for fewer, or add a family\.$/) as string }),
  );
});
