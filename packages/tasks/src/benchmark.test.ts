import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { sha256 } from "@diffucoder/lineage";
import { expect, test } from "vitest";
import { temporaryFile, temporaryFolder } from "../test/temporary-file.ts";
import { findTask, promptStyleOf, readBenchmark } from "./benchmark.ts";

const humanEval = (id: string) => JSON.stringify({ task_id: id, prompt: "def f():\n", entry_point: "f", canonical_solution: "    pass\n", test: "def check(candidate): pass\n" });
const evalPlus = (id: string) => JSON.stringify({ task_id: id, prompt: "def f(x):\n", entry_point: "f", canonical_solution: "    return x\n", base_input: [[1]], plus_input: [[2]], atol: 0 });
const mbpp = (number: number) => ({ task_id: number, text: "Do.", code: "def f(): return 1", test_list: ["assert f() == 1"] });

async function folderOf(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const folder = await temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(folder, name, ".."), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

test("a benchmark is read from its file under any name, with its digests: packed for the key, unpacked for evalplus", async () => {
  const text = `${humanEval("HumanEval/0")}\n`;
  const path = await temporaryFile("anything.jsonl.gz", gzipSync(text));
  const benchmark = await readBenchmark("humaneval", path);
  expect(benchmark).toMatchObject({ name: "humaneval", path, sha256: sha256(gzipSync(text)), md5: createHash("md5").update(text).digest("hex") });
  expect(benchmark.tasks.map(({ id }) => id)).toEqual(["HumanEval/0"]);
});

test("a folder, or one in it, may hold it under the name it is published with", async () => {
  const folder = await folderOf({ "evalplus/HumanEvalPlus.jsonl.gz": gzipSync(evalPlus("HumanEval/0")), "humaneval/HumanEval.jsonl": humanEval("HumanEval/1"), "notes.jsonl": "{}" });
  const idsOf = async (...args: Parameters<typeof readBenchmark>) => (await readBenchmark(...args)).tasks.map(({ id, suites }) => [id, ...suites.map(({ name }) => name)]);
  expect(await idsOf("humaneval", folder)).toEqual([["HumanEval/1", "tests"]]);
  expect(await idsOf("humaneval+", folder)).toEqual([["HumanEval/0", "base", "plus"]]);
  expect(await idsOf("humaneval", join(folder, "evalplus"))).toEqual([["HumanEval/0", "base"]]);
  await expect(readBenchmark("mbpp", folder)).rejects.toMatchObject({ code: "BenchmarkMissing", message: expect.stringMatching(/expected a file of mbpp, such as .*sanitized-mbpp.*, found none\. Give the file itself/) as string });
});

test("of several files, the one that knows the tasks in question is taken", async () => {
  const folder = await folderOf({ "HumanEval.jsonl": humanEval("HumanEval/0"), "example_problem.jsonl": humanEval("test/0") });
  expect((await readBenchmark("humaneval", folder, ["test/0"])).path).toBe(join(folder, "example_problem.jsonl"));
  expect((await readBenchmark("humaneval", folder, ["HumanEval/0"])).path).toBe(join(folder, "HumanEval.jsonl"));
  expect((await readBenchmark("humaneval", folder, ["test/0", "HumanEval/0"])).path).toBe(join(folder, "HumanEval.jsonl"));
});

test("full and hard are told apart, and drafts are passed over", async () => {
  const row = (id: string) => JSON.stringify({ task_id: id, entry_point: "task_func", complete_prompt: "", instruct_prompt: "", code_prompt: "", canonical_solution: "", test: "", libs: "[]" });
  const folder = await folderOf({ "BigCodeBench.annotation.jsonl": "{}", "BigCodeBench-v0.1.jsonl": row("full"), "BigCodeBench-Hard.jsonl": row("hard") });
  expect((await readBenchmark("bigcodebench", folder)).tasks[0]!.id).toBe("full");
  expect((await readBenchmark("bigcodebench-hard", folder)).tasks[0]!.id).toBe("hard");
  expect(promptStyleOf("bigcodebench")).toBe("complete");
});

test("MBPP's tasks go by their number too, full and sanitized; other ids only by themselves", async () => {
  const folder = await folderOf({ "mbpp.jsonl": [mbpp(2), mbpp(11)].map((row) => JSON.stringify(row)).join("\n"), "sanitized-mbpp.json": JSON.stringify([mbpp(3)]) });
  const full = await readBenchmark("mbpp", folder);
  for (const id of ["2", "Mbpp/2", "MBPP/2", "mbpp/2"]) expect(findTask(full, id)?.id).toBe("Mbpp/2");
  for (const id of ["3", "HumanEval/2", "2a", "", "Mbpp/02"]) expect(findTask(full, id)).toBeUndefined();
  expect((await readBenchmark("mbpp", folder, ["3"])).tasks.map(({ id }) => id)).toEqual(["Mbpp/3"]);
  expect(promptStyleOf("mbpp")).toBe("instruct");
});

test("a task that comes twice, no task, and no file are errors that name the place", async () => {
  const twice = await temporaryFile("twice.jsonl", `${humanEval("T/0")}\n\n${humanEval("T/0")}`);
  await expect(readBenchmark("humaneval", twice)).rejects.toMatchObject({ code: "BenchmarkCorrupt", message: `${twice}:3: expected each task once, found T/0 again` });
  const empty = await temporaryFile("empty.jsonl", "\n");
  await expect(readBenchmark("humaneval", empty)).rejects.toMatchObject({ code: "BenchmarkCorrupt", message: `${empty}: expected tasks, found none` });
  await expect(readBenchmark("humaneval", `${empty}.gz`)).rejects.toMatchObject({ code: "BenchmarkMissing", message: `${empty}.gz: expected a file or folder of humaneval, found none (ENOENT)` });
});
