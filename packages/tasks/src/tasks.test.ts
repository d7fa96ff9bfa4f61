import { execFileSync } from "node:child_process";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { generateTasks, meaningOf, splitOf, TASK_FAMILIES, type TaskSplit } from "./generated-tasks.ts";
import { extractCompletedProgram, readHumanEval, renderCompletionPrompt } from "./humaneval.ts";
import { describe as wordingOf, evaluate, PYTHON_OPERATORS, type Program } from "./operations.ts";
import { extractProgram, renderCompletion, renderPrompt } from "./prompt.ts";
import { passAtK } from "./pass-at-k.ts";

const SPLITS: TaskSplit[] = ["train", "reinforcement", "selection", "heldout"];

const python = (text: string) => execFileSync("python3", ["-I", "-c", text], { encoding: "utf8" });

const operation = fc.record({ name: fc.constantFrom(...(Object.keys(PYTHON_OPERATORS) as (keyof typeof PYTHON_OPERATORS)[])), operand: fc.integer({ min: 1, max: 9 }) });
const program: fc.Arbitrary<Program> = fc.oneof(
  fc.record({ operations: fc.tuple(operation, operation) }),
  fc.record({ operations: fc.tuple(operation, operation, operation), threshold: fc.integer({ min: 1, max: 9 }) }),
);

describe("generated tasks", () => {
  it("have solutions that pass their checks in Python, on both sides of a branch", () => {
    const tasks = SPLITS.flatMap((split) => generateTasks({ families: [...TASK_FAMILIES], split, count: 60, seed: 3 }));
    const script = tasks.map(({ solution, checks }) => [solution, ...checks].join("\n")).join("\n");
    expect(python(`${script}\nprint("ok")`)).toBe("ok\n");
    for (const { checks } of tasks) expect(new Set(checks).size).toBe(7);
  });

  it("never share a behaviour between splits, whatever the wording", () => {
    const ownerOf = new Map<string, TaskSplit>();
    for (const split of SPLITS) {
      for (const { checks } of generateTasks({ families: ["linear", "named"], split, count: 120, seed: 1 })) {
        const key = checks.join();
        expect(ownerOf.get(key) ?? split).toBe(split);
        ownerOf.set(key, split);
      }
    }
  });

  it("are the same for the same options, other for another seed, and a longer list begins with the shorter", () => {
    const of = (count: number, seed: number) => generateTasks({ families: ["named"], split: "heldout", count, seed });
    expect(of(20, 5)).toEqual(of(40, 5).slice(0, 20));
    expect(of(20, 5)).not.toEqual(of(20, 6));
  });

  it("are distinct in what they compute outside training, and in wording or solution within it", () => {
    const heldout = generateTasks({ families: ["named"], split: "heldout", count: 128, seed: 2 });
    expect(new Set(heldout.map(({ checks }) => checks.join())).size).toBe(128);
    const train = generateTasks({ families: ["named"], split: "train", count: 800, seed: 2 });
    expect(new Set(train.map(({ id }) => id)).size).toBe(800);
    expect(new Set(train.map(({ instruction }) => instruction)).size).toBeLessThan(800);
  });

  it("free the names only in the named family", () => {
    const headers = (family: string) => new Set(generateTasks({ families: [family], split: "train", count: 60, seed: 1 }).map(({ solution }) => solution.split("\n")[0]));
    expect(headers("linear")).toEqual(new Set(["def f(x):"]));
    expect(headers("named").size).toBe(4);
  });

  it("refuse an unknown family and more tasks than there are", () => {
    expect(() => generateTasks({ families: ["loops"], split: "train", count: 1, seed: 1 })).toThrow(/expected one of linear, branch, named, found loops/);
    expect(() => generateTasks({ families: ["linear"], split: "selection", count: 5000, seed: 1 })).toThrow(/expected 5000 in split selection, found \d+/);
  });

  it("put programs of equal behaviour under one meaning", () => {
    const add = (...operands: number[]): Program => ({ operations: operands.map((operand) => ({ name: "ADD", operand })) });
    expect(meaningOf(add(3, 4))).toBe(meaningOf(add(5, 2)));
    expect(meaningOf(add(3, 4))).not.toBe(meaningOf(add(3, 5)));
    const shares = SPLITS.map((split) => Array.from({ length: 2000 }, (_, i) => splitOf(i.toString(16).padStart(8, "0"))).filter((found) => found === split).length / 2000);
    expect(shares).toEqual([0.6, 0.15, 0.1, 0.15]);
  });

  it("evaluate as Python does", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(program, fc.integer({ min: -300, max: 300 })), { minLength: 20, maxLength: 20 }), (cases) => {
        const lines = cases.map(([{ operations, threshold }, input]) => {
          const steps = operations.map(({ name, operand }, i) => `${i === 1 && threshold !== undefined ? `if v > ${threshold}: ` : ""}v = v ${PYTHON_OPERATORS[name]} ${operand}`);
          return [`v = ${input}`, ...steps, "print(v)"].join("\n");
        });
        expect(python(lines.join("\n")).trim().split("\n").map(Number)).toEqual(cases.map(([p, input]) => evaluate(p, input) + 0));
      }),
      { numRuns: 5 },
    );
  });

  it("are worded in the order of their steps", () => {
    expect(wordingOf({ operations: [{ name: "ADD", operand: 3 }, { name: "MUL", operand: 2 }, { name: "SUB", operand: 7 }], threshold: 5 })).toBe("ADD 3 GT 5 MUL 2 SUB 7");
  });
});

describe("prompts", () => {
  it("render as ChatML, and a rendered answer is read back", () => {
    expect(renderPrompt({ instruction: "ADD 3" })).toBe("<|im_start|>user\nADD 3<|im_end|>\n<|im_start|>assistant\n");
    const completion = renderCompletion({ solution: "def f(x):\n    return x\n" });
    expect(completion).toBe("```python\ndef f(x):\n    return x\n```\n<|im_end|>");
    expect(extractProgram(completion.replace("<|im_end|>", ""))).toBe("def f(x):\n    return x\n");
  });

  it.each([
    ["no fence", "def f(x): pass\n"],
    ["a half-open fence", "```python\ndef f(x): pass\n"],
    ["two blocks", "```python\na\n```\n```python\nb\n```\n"],
    ["text behind the block", "```python\na\n```\nDone."],
    ["no line end behind the block", "```python\na\n```"],
    ["another language", "```js\na\n```\n"],
    ["nothing", ""],
  ])("find no program in %s", (_, completion) => expect(extractProgram(completion)).toBeUndefined());

  it("allow text before the block", () => expect(extractProgram("Here:\n```python\na\n```\n")).toBe("a\n"));
});

describe("pass@k", () => {
  it("is the share of k-subsets that hold a passing sample", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), fc.nat(7), fc.integer({ min: 1, max: 7 }), (samples, passed, k) => {
        fc.pre(passed <= samples && k <= samples);
        let subsets = 0;
        let passing = 0;
        for (let bits = 0; bits < 2 ** samples; bits++) {
          if (bits.toString(2).replaceAll("0", "").length !== k) continue;
          subsets++;
          if ((bits & (2 ** passed - 1)) !== 0) passing++;
        }
        expect(passAtK(samples, passed, k)).toBeCloseTo(passing / subsets, 12);
      }),
    );
  });

  it("refuses k outside 1..n", () => {
    expect(() => passAtK(4, 1, 5)).toThrow(/expected 1 to 4, found 5/);
    expect(() => passAtK(4, 1, 0)).toThrow(RangeError);
  });
});

describe("HumanEval", () => {
  const task = { task_id: "T/0", prompt: "def g(x):\n", entry_point: "g", canonical_solution: "    return x\n", test: "def check(c):\n    assert c(1) == 1\n" };
  const write = async (name: string, content: string | Buffer) => {
    const path = join(await mkdtemp(join(tmpdir(), "humaneval-")), name);
    await writeFile(path, content);
    return path;
  };

  it("is read plain and compressed", async () => {
    const text = `${JSON.stringify(task)}\n\n`;
    const expected = [{ id: "T/0", prompt: task.prompt, entryPoint: "g", solution: task.canonical_solution, checks: [`${task.test}\ncheck(g)`] }];
    expect(await readHumanEval(await write("a.jsonl", text))).toEqual(expected);
    expect(await readHumanEval(await write("a.jsonl.gz", gzipSync(text)))).toEqual(expected);
    expect(renderCompletionPrompt(expected[0]!)).toContain("```\ndef g(x):\n```\n<|im_end|>");
  });

  it("names file and line of what is damaged", async () => {
    await expect(readHumanEval(await write("a.jsonl", `${JSON.stringify(task)}\n{`))).rejects.toThrow(/a\.jsonl:2: expected JSON/);
    await expect(readHumanEval(await write("a.jsonl", `{"task_id": "x"}`))).rejects.toThrow(/a\.jsonl:1: expected a HumanEval task/);
    await expect(readHumanEval(await write("a.jsonl.gz", "no gzip"))).rejects.toThrow(/expected gzip/);
  });

  it("takes everything before the closing fence", () => {
    expect(extractCompletedProgram("def g(x):\n    return x\n```\nDone")).toBe("def g(x):\n    return x\n");
    expect(extractCompletedProgram("def g(x): ...")).toBe("def g(x): ...");
  });
});
