import { execFileSync } from "node:child_process";
import { generateTasks } from "@diffucoder/tasks";
import { expect, test } from "vitest";
import { generateFiles } from "./generated-source.ts";

const OPTIONS = { families: ["named", "branch"], count: 60, seed: 5, license: "Apache-2.0" };

test("each file is a task of the train split: what it does as a comment, then the program", () => {
  const tasks = generateTasks({ ...OPTIONS, split: "train" });
  const files = generateFiles(OPTIONS);
  expect(files.map(({ path, bytes, license }) => ({ path, text: Buffer.from(bytes).toString(), license }))).toEqual(
    tasks.map(({ id, instruction, solution }) => ({ path: `${id}.py`, text: `# ${instruction}\n${solution}`, license: "Apache-2.0" })),
  );
  expect(files[0]!.path).toMatch(/^named\/[0-9a-f]{12}\.py$/);
});

test("the files run in Python as they are", () => {
  const script = generateFiles(OPTIONS).map(({ bytes }) => `${Buffer.from(bytes).toString()}assert isinstance(f(3), int)`).join("\n");
  expect(execFileSync("python3", ["-I", "-c", `${script}\nprint("ok")`], { encoding: "utf8" })).toBe("ok\n");
});

test("files are in one group exactly when their programs compute the same", () => {
  const files = generateFiles({ ...OPTIONS, families: ["named"], count: 600 });
  const results = JSON.parse(
    execFileSync("python3", ["-I", "-c", "import json, sys\nout = []\nfor p in json.load(sys.stdin):\n  n = {}\n  exec(p, n)\n  out.append(','.join(str(n['f'](x)) for x in range(-200, 201)))\nprint(json.dumps(out))"], {
      input: JSON.stringify(files.map(({ bytes }) => Buffer.from(bytes).toString())),
      encoding: "utf8",
      maxBuffer: 64 << 20,
    }),
  ) as string[];
  const groupOf = new Map<string, Set<string>>();
  const meaningOf = new Map<string, Set<string>>();
  for (const [i, { group }] of files.entries()) {
    groupOf.set(results[i]!, (groupOf.get(results[i]!) ?? new Set()).add(group!));
    meaningOf.set(group!, (meaningOf.get(group!) ?? new Set()).add(results[i]!));
  }
  expect(Math.max(...[...groupOf.values()].map(({ size }) => size))).toBe(1);
  expect(Math.max(...[...meaningOf.values()].map(({ size }) => size))).toBe(1);
  expect(groupOf.size).toBeLessThan(600); // some do share a meaning, so that the two claims say something
});

test("another seed gives other files", () => {
  expect(generateFiles({ ...OPTIONS, seed: 6 })).not.toEqual(generateFiles(OPTIONS));
});
