import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StageError } from "@diffucoder/lineage";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadCheckpoint, saveCheckpoint, type Checkpoint } from "./checkpoint.ts";
import { readSafetensors, tensorsToWrite, type NamedTensor } from "./safetensors.ts";
import { writeWeights } from "./sharded-safetensors.ts";

let directory: string;
const fileOf = async (path: string) => join(directory, path);
beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), "checkpoint-")), "new", "folder");
});
afterEach(() => rm(join(directory, "../.."), { recursive: true }));

const tensor = (...values: number[]): NamedTensor => ({ shape: [values.length], data: Float32Array.from(values) });
const CHECKPOINT: Checkpoint = {
  config: { hidden_size: 4, nested: { list: [1, null] } },
  parameters: new Map([
    ["a.weight", { shape: [2, 1], data: Float32Array.of(0.5, -1) }],
    ["b.weight", tensor(1, -2, 3)],
  ]),
  tokenizerJson: '{ "as": "it is" }',
  optimizer: {
    // Names that look like the other moment's.
    first: new Map([["second.weight", tensor(4)], ["first.weight", tensor(5, 6)]]),
    second: new Map([["second.weight", tensor(7)], ["w", tensor()]]),
  },
  trainerState: { step: 3, random: [1, 2] },
  metrics: [
    { stage: "pretraining", step: 1, loss: 2.5 },
    { stage: "annealing", step: 3, loss: 2.25 },
  ],
};

test("a checkpoint comes back with its optimizer when that is asked for", async () => {
  await saveCheckpoint(directory, CHECKPOINT);
  expect(await loadCheckpoint(fileOf, true)).toEqual(CHECKPOINT);
});

test("a checkpoint comes back without its optimizer otherwise, also where there is none", async () => {
  await saveCheckpoint(directory, CHECKPOINT);
  await unlink(join(directory, "optimizer.safetensors"));
  expect(await loadCheckpoint(fileOf)).toEqual({ ...CHECKPOINT, optimizer: undefined });
  await expect(loadCheckpoint(fileOf, true)).rejects.toMatchObject({ code: "CheckpointCorrupt" });
});

test("it has the Hugging Face layout, and files for what training needs to go on", async () => {
  await saveCheckpoint(directory, CHECKPOINT);
  expect((await readdir(directory)).sort()).toEqual([
    "config.json",
    "metrics.jsonl",
    "model.safetensors",
    "optimizer.safetensors",
    "tokenizer.json",
    "trainer_state.json",
  ]);
  const text = (path: string) => readFile(join(directory, path), "utf8");
  expect(await text("config.json")).toBe(`${JSON.stringify(CHECKPOINT.config, null, 2)}\n`);
  expect(await text("trainer_state.json")).toBe(`${JSON.stringify(CHECKPOINT.trainerState, null, 2)}\n`);
  expect(await text("tokenizer.json")).toBe(CHECKPOINT.tokenizerJson);
  expect(await text("metrics.jsonl")).toBe('{"stage":"pretraining","step":1,"loss":2.5}\n{"stage":"annealing","step":3,"loss":2.25}\n');
  expect(await readSafetensors(join(directory, "model.safetensors"))).toEqual(CHECKPOINT.parameters);
  expect([...(await readSafetensors(join(directory, "optimizer.safetensors"))).keys()]).toEqual([
    "first.first.weight",
    "first.second.weight",
    "second.second.weight",
    "second.w",
  ]);
});

test("one without an optimizer has no file for it", async () => {
  await saveCheckpoint(directory, { ...CHECKPOINT, optimizer: undefined });
  expect(await readdir(directory)).not.toContain("optimizer.safetensors");
});

test("equal checkpoints give equal files", async () => {
  const bytes = async () => Promise.all((await readdir(directory)).sort().map((path) => readFile(join(directory, path))));
  await saveCheckpoint(directory, CHECKPOINT);
  const first = await bytes();
  await saveCheckpoint(directory, { ...CHECKPOINT, parameters: new Map([...CHECKPOINT.parameters].reverse()) });
  expect(await bytes()).toEqual(first);
});

test.each([
  ["config.json", "{", /expected a JSON object, found Expected property name/],
  ["trainer_state.json", "[1]", /expected a JSON object, found ✖ Invalid input: expected record, received array/],
  ["trainer_state.json", "null", /expected a JSON object, found ✖ Invalid input: expected record, received null/],
])("a broken %s (%s) is CheckpointCorrupt, naming the file", async (path, content, message) => {
  await saveCheckpoint(directory, CHECKPOINT);
  await writeFile(join(directory, path), content);
  const loading = loadCheckpoint(fileOf);
  await expect(loading).rejects.toMatchObject({ code: "CheckpointCorrupt", retryable: false, details: { file: join(directory, path) } });
  await expect(loading).rejects.toThrow(message);
  await expect(loading).rejects.toThrow(/^.*: .*\. Use another checkpoint$/s);
});

test.each([
  ["metrics.jsonl", '{"stage":"a","step":1}\n{"stage":"a"}\n', { code: "MetricsCorrupt" }, /metrics\.jsonl:2: expected/],
  ["model.safetensors", "short", { code: "SafetensorsCorrupt" }, /model\.safetensors: expected at least 8 bytes, found 5/],
  ["optimizer.safetensors", "short", { code: "SafetensorsCorrupt" }, /optimizer\.safetensors: expected at least 8 bytes/],
])("a broken %s is named", async (path, content, error, message) => {
  await saveCheckpoint(directory, CHECKPOINT);
  await writeFile(join(directory, path), content);
  const loading = loadCheckpoint(fileOf, true);
  await expect(loading).rejects.toMatchObject(error);
  await expect(loading).rejects.toThrow(message);
});

test.each(["config.json", "tokenizer.json", "trainer_state.json", "metrics.jsonl", "model.safetensors"])("a missing %s is CheckpointCorrupt, or the error of the store", async (path) => {
  await saveCheckpoint(directory, CHECKPOINT);
  await unlink(join(directory, path));
  const message = `${join(directory, path)}: expected a file, found none. Use another checkpoint`;
  await expect(loadCheckpoint(fileOf)).rejects.toMatchObject({ code: "CheckpointCorrupt", message });
  const ofStore = new StageError({ code: "ArtifactMissing", message: "gone", retryable: false });
  await expect(loadCheckpoint((name) => (name === path ? Promise.reject(ofStore) : fileOf(name)))).rejects.toBe(ofStore);
});

test("what is no file is CheckpointCorrupt, not waited for or followed in circles", async () => {
  await saveCheckpoint(directory, CHECKPOINT);
  const replace = async (name: string, by: (path: string) => unknown) => {
    await unlink(join(directory, name));
    await by(join(directory, name));
    return expect(loadCheckpoint(fileOf)).rejects;
  };
  await (await replace("tokenizer.json", (path) => execFileSync("mkfifo", [path]))).toThrow(`${join(directory, "tokenizer.json")}: expected a file, found a device. Use another checkpoint`);
  await (await replace("model.safetensors", (path) => mkdir(path))).toThrow("model.safetensors: expected a file, found a directory");
  await (await replace("config.json", (path) => symlink("config.json", path))).toThrow("config.json: expected a file, found none");
  await expect(loadCheckpoint(async (name) => join(directory, "metrics.jsonl", name))).rejects.toThrow("metrics.jsonl/config.json: expected a file, found none"); // a file in place of the folder
});

test("text that is not UTF-8 is not read as other text", async () => {
  await saveCheckpoint(directory, CHECKPOINT);
  await writeFile(join(directory, "tokenizer.json"), Uint8Array.of(0x22, 0xff, 0x22));
  await expect(loadCheckpoint(fileOf)).rejects.toMatchObject({ code: "CheckpointCorrupt", message: `${join(directory, "tokenizer.json")}: expected text in UTF-8, found other bytes. Use another checkpoint` });
});

test("a file that lies under another name is shown with both", async () => {
  await saveCheckpoint(directory, CHECKPOINT);
  const blob = join(directory, "3fb2");
  await writeFile(blob, "short");
  for (const name of ["config.json", "metrics.jsonl", "model.safetensors", "optimizer.safetensors"]) {
    await expect(loadCheckpoint(async (path) => (path === name ? blob : fileOf(path)), true)).rejects.toThrow(`${name} (${blob})`);
  }
});

test("files may lie anywhere", async () => {
  await saveCheckpoint(directory, CHECKPOINT);
  await writeFile(join(directory, "elsewhere"), "another tokenizer");
  const loaded = await loadCheckpoint(async (path) => join(directory, path === "tokenizer.json" ? "elsewhere" : path));
  expect(loaded.tokenizerJson).toBe("another tokenizer");
});

test("weights may lie in shards", async () => {
  await saveCheckpoint(directory, CHECKPOINT);
  await unlink(join(directory, "model.safetensors"));
  await writeWeights(directory, tensorsToWrite(CHECKPOINT.parameters, "F32"), 1);
  expect(await readdir(directory)).toContain("model-00002-of-00002.safetensors");
  expect((await loadCheckpoint(fileOf)).parameters).toEqual(CHECKPOINT.parameters);
});
