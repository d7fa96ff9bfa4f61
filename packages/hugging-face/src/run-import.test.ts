import { mkdir, rm, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { lineageOf } from "@diffucoder/lineage";
import { parameterCount, toHuggingFace } from "@diffucoder/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Workplace, alterJson, model, parameters, tokenizer } from "../test/fixtures.ts";
import { identifyModelFolder } from "./model-folder.ts";
import { huggingFaceStage } from "./run-import.ts";

let workplace: Workplace;
beforeAll(async () => {
  workplace = await Workplace.open();
});
afterAll(() => workplace.close());

test("a model comes into the store as a checkpoint that stages start from", async () => {
  const steps: number[] = [];
  const outcome = await workplace.run(await workplace.published({ shardBytes: 20_000 }), { onProgress: ({ step }) => steps.push(step) });
  expect(await workplace.checkpoint(outcome.outputs.checkpoint!)).toEqual({ config: toHuggingFace(model), parameters, tokenizerJson: tokenizer.toJson(), trainerState: {}, metrics: [], optimizer: undefined });
  expect(outcome.summary).toEqual({ parameters: parameterCount(model), vocabSize: 288, tokens: 283, dtype: "F32" });
  expect(steps).toEqual([...parameters.keys()].map((_, i) => i));
});

test("half-precision weights stay as they are", async () => {
  const outcome = await workplace.run(await workplace.published({ dtype: "BF16" }));
  expect((await workplace.checkpoint(outcome.outputs.checkpoint!)).config.torch_dtype).toBe("bfloat16");
  const { files } = await workplace.store.artifacts.manifest(outcome.outputs.checkpoint!);
  const { bytes } = files.find(({ path }) => path === "model.safetensors")!;
  expect(bytes).toBeGreaterThan(2 * parameterCount(model));
  expect(bytes).toBeLessThan(3 * parameterCount(model));
});

test("its lineage names each file by digest, wherever the folder lies, and the same files are not read again", async () => {
  const folder = await workplace.published({ dtype: "F16" });
  const outcome = await workplace.run(relative(dirname(folder), folder));
  const { sources } = await lineageOf(workplace.store, outcome.outputs.checkpoint!.digest);
  expect(sources).toEqual(await identifyModelFolder(folder));
  expect(await workplace.run(relative(dirname(folder), folder))).toMatchObject({ cached: true, outputs: outcome.outputs });
});

test("a folder or a link that leads nowhere in place of a file is refused before the rest is read", async () => {
  const folder = await workplace.published();
  await rm(join(folder, "vocab.json"));
  await mkdir(join(folder, "vocab.json"));
  await expect(workplace.run(folder)).rejects.toMatchObject({ code: "CheckpointCorrupt", message: expect.stringContaining("vocab.json: expected a file, found a directory") as string });
  await rm(join(folder, "vocab.json"), { recursive: true });
  await symlink("nowhere", join(folder, "vocab.json"));
  await expect(workplace.run(folder)).rejects.toMatchObject({ code: "CheckpointCorrupt", message: expect.stringContaining("vocab.json: expected a file, found none") as string });
});

test("it stops when told to", async () => {
  const controller = new AbortController();
  const folder = await workplace.published({ layout: "qwen2" });
  const run = workplace.run(folder, { signal: controller.signal, onProgress: () => controller.abort() });
  await expect(run).rejects.toMatchObject({ code: "StageCancelled", retryable: true });
});

test("it is planned from config.json alone, which tells later stages their model", async () => {
  const folder = await workplace.published({ layout: "qwen2" });
  const plan = huggingFaceStage.plan!({ folder: relative(dirname(folder), folder) }, {}, dirname(folder));
  const notes = ["weights: 0.0 GB, on disk twice until the stage is done"];
  expect(plan).toEqual({ parameterCount: parameterCount(model), peakMemoryBytes: 190e6 + 4 * 288 * 16, notes, facts: { vocabSize: 288, model: toHuggingFace(model) } });
});

test.each(["torch_dtype", "dtype"])("a model of 7B is planned to take its largest tensor, not itself; its numbers' width is told by %s", async (key) => {
  const folder = await workplace.published();
  await alterJson(join(folder, "config.json"), (json) => {
    delete json.torch_dtype;
    Object.assign(json, { hidden_size: 3584, intermediate_size: 18_944, num_hidden_layers: 28, num_attention_heads: 28, num_key_value_heads: 4, head_dim: 128, vocab_size: 152_064, [key]: "bfloat16" });
  });
  const plan = huggingFaceStage.plan!({ folder }, {}, "/");
  expect(plan).toMatchObject({ parameterCount: 7_615_616_512, peakMemoryBytes: 190e6 + 2 * 152_064 * 3584, notes: ["weights: 15.2 GB, on disk twice until the stage is done"] });
});
