import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { sha256 } from "@diffucoder/lineage";
import { afterEach, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { temporaryDirectory, writeTree } from "../test/temporary-directory.ts";
import { tinyCard } from "../test/tiny-card.ts";
import { offlineCache, tinyWheel } from "../test/tiny-wheel.ts";
import { benchmarkIdentity, readBenchmark } from "./benchmarks.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

const LINE = `${JSON.stringify({ task_id: "T/0", prompt: "def g():\n", entry_point: "g", canonical_solution: "    return 1\n", test: "def check(c): pass\n" })}\n`;
const ITEMS = [{ id: "T/0", text: "def g():\n\n    return 1\n", entryPoint: "g" }];
const KEYS = { id: "task_id", fields: ["prompt", "canonical_solution"] };

async function cardOf(origin: ReturnType<typeof tinyCard>["origin"]) {
  const directory = await temporaryDirectory();
  const { directory: _, sha256: __, ...card } = tinyCard({ origin });
  const text = stringify(card);
  await writeFile(join(directory, "card.yaml"), text);
  return { directory, text };
}

test("a benchmark file gives prompt and solution of each task, without its tests", async () => {
  const directory = await temporaryDirectory();
  await writeTree(directory, { "b/tiny.jsonl": LINE, "b/tiny.jsonl.gz": gzipSync(LINE) });
  const packed = gzipSync(LINE);
  expect(await readBenchmark({ ...KEYS, kind: "file", path: "b/tiny.jsonl", sha256: sha256(LINE) }, directory)).toEqual(ITEMS);
  expect(await readBenchmark({ ...KEYS, kind: "file", path: "b/tiny.jsonl.gz", sha256: sha256(packed) }, directory)).toEqual(ITEMS);
});

test("a benchmark file that is not there or not the one is refused", async () => {
  const directory = await temporaryDirectory();
  const benchmark = { ...KEYS, kind: "file", path: "tiny.jsonl", sha256: "a".repeat(64) } as const;
  await expect(readBenchmark(benchmark, directory)).rejects.toMatchObject({
    code: "SourceMissing",
    message: `card tiny.jsonl: expected a benchmark at ${join(directory, "tiny.jsonl")}, found none (ENOENT). Correct \`decontamination.benchmarks\` in the recipe.`,
  });
  await writeTree(directory, { "tiny.jsonl": LINE });
  await expect(readBenchmark(benchmark, directory)).rejects.toMatchObject({
    code: "SourceDrift",
    details: { card: "tiny.jsonl", subject: "benchmark", expected: `sha256 ${"a".repeat(64)}`, found: sha256(LINE) },
  });
});

test("a benchmark may be a member of a wheel, packed or not", async () => {
  const wheel = tinyWheel("tiny-bench", { "bench/tiny.jsonl.gz": gzipSync(LINE), "bench/tiny.jsonl": LINE });
  await offlineCache({ cached: [wheel] });
  const { directory } = await cardOf({ kind: "wheels", wheels: [wheel.pin] });
  for (const member of ["bench/tiny.jsonl.gz", "bench/tiny.jsonl"]) {
    expect(await readBenchmark({ ...KEYS, kind: "card", card: "card.yaml", member }, directory)).toEqual(ITEMS);
  }
  await expect(readBenchmark({ ...KEYS, kind: "card", card: "card.yaml", member: "none" }, directory)).rejects.toMatchObject({ code: "SourceMissing", message: expect.stringContaining("member none") as string });
});

test("a benchmark's card must be one of wheels", async () => {
  const { directory } = await cardOf({ kind: "tree", path: "x", license: "MIT" });
  await expect(readBenchmark({ ...KEYS, kind: "card", card: "card.yaml", member: "x" }, directory)).rejects.toMatchObject({
    code: "InvalidCard",
    message: `data card ${join(directory, "card.yaml")}: origin.kind: expected wheels for a benchmark, found tree`,
  });
});

test("a benchmark's identity is the digest of the file, or of the card", async () => {
  expect(await benchmarkIdentity({ ...KEYS, kind: "file", path: "not read", sha256: "b".repeat(64) }, "/")).toBe("b".repeat(64));
  const { directory, text } = await cardOf({ kind: "wheels", wheels: [tinyWheel("tiny-bench", {}).pin] });
  expect(await benchmarkIdentity({ ...KEYS, kind: "card", card: "card.yaml", member: "x" }, directory)).toBe(sha256(text));
});

test("benchmarks of other shapes are read by the keys that the recipe names: lists of texts, JSON in one piece, names that are numbers", async () => {
  const directory = await temporaryDirectory();
  const records = [
    { task_id: 7, text: "Write a function to add.", code: "def add(a, b):\n  return a + b", test_list: ["assert add(1, 2) == 3", "assert add(0, 0) == 0"] },
    { task_id: 8, text: "Nothing is defined.", code: "x = 1", test_list: [] },
  ];
  const whole = JSON.stringify(records);
  const lines = records.map((record) => JSON.stringify(record)).join("\n\n");
  await writeTree(directory, { "b.json": whole, "b.jsonl": lines });
  const read = (path: string, content: string) => readBenchmark({ kind: "file", path, sha256: sha256(content), id: "task_id", fields: ["text", "code", "test_list"] }, directory);
  const expected = [
    { id: "7", entryPoint: "add", text: "Write a function to add.\ndef add(a, b):\n  return a + b\nassert add(1, 2) == 3\nassert add(0, 0) == 0" },
    { id: "8", text: "Nothing is defined.\nx = 1\n" },
  ];
  expect(await read("b.json", whole)).toEqual(expected);
  expect(await read("b.jsonl", lines)).toEqual(expected);
});

test("JSON as Python writes it is read, whatever a text says of infinities", async () => {
  const directory = await temporaryDirectory();
  const line = LINE.replace('"T/0"', '"T/0", "inputs": [-Infinity, Infinity, NaN, [1]], "note": "a \\\\\\" -Infinity"').replace("return 1", "return NaN, -Infinity");
  await writeTree(directory, { "b.jsonl": line });
  const [item] = await readBenchmark({ ...KEYS, kind: "file", path: "b.jsonl", sha256: sha256(line) }, directory);
  expect(item!.text).toContain("return NaN, -Infinity");
});

test.each([
  ["a broken line", `${LINE}{"task_id":`, "after row 1: expected JSON, found "],
  ["a line without the name", `${LINE}{"prompt": "x"}`, "after row 1: expected a key task_id, found prompt"],
  ["a field that is no text", `{"task_id": 1, "prompt": 2}`, "after row 0: expected a text prompt, found number"],
])("%s is an error with file and row", async (_, content, message) => {
  const directory = await temporaryDirectory();
  await writeTree(directory, { "b.jsonl": content });
  await expect(readBenchmark({ ...KEYS, kind: "file", path: "b.jsonl", sha256: sha256(content) }, directory)).rejects.toMatchObject({
    code: "SourceCorrupt",
    message: expect.stringContaining(`b.jsonl, ${message}`) as string,
  });
});
