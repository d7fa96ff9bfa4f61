import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { saveCheckpoint } from "@diffucoder/formats";
import { openStore, type ArtifactRef } from "@diffucoder/lineage";
import { initialParameters, toHuggingFace, type ModelConfig } from "@diffucoder/model";
import { trainTokenizer } from "@diffucoder/tokenizer";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createCommand } from "../command.ts";

const folder = mkdtempSync(join(tmpdir(), "export-"));
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(async () => {
  vi.stubEnv("DIFFUCODER_HOME", folder);
  vi.spyOn(process.stdout, "write").mockReturnValue(true);
  const store = await openStore(join(folder, "store"));
  const tokenizer = await trainTokenizer(["ab"], { vocabSize: 262 });
  const model: ModelConfig = { hiddenSize: 8, intermediateSize: 8, layers: 1, heads: 1, kvHeads: 1, headDim: 8, tied: true, ropeTheta: 10_000, normEpsilon: 1e-6, initializerRange: 0.1, vocabSize: 262, maxPositions: 8, maskId: 260, padId: 261 };
  const directory = join(folder, "checkpoint");
  await saveCheckpoint(directory, { config: toHuggingFace(model), parameters: initialParameters(model, 1), tokenizerJson: tokenizer.toJson(), trainerState: {}, metrics: [] });
  const publish = async (name: string, kind: ArtifactRef["kind"]) => store.names.assign(name, await store.artifacts.publish(kind, directory, {}));
  await publish("model@1", "checkpoint");
  await publish("report@1", "report");
  return () => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  };
});

const run = (...args: string[]) => createCommand().parseAsync(["export", ...args], { from: "user" });
const configIn = (target: string) => JSON.parse(readFileSync(join(target, "config.json"), "utf8")) as Record<string, unknown>;

test("an artifact's files are laid out as they are", async () => {
  const target = join(folder, "plain");
  await run("model@1", target);
  expect(readdirSync(target).sort()).toEqual(["config.json", "metrics.jsonl", "model.safetensors", "tokenizer.json", "trainer_state.json"]);
  await expect(run("model@1", target)).rejects.toMatchObject({ code: "FolderTaken", message: `${target}: expected an empty or new folder, found 5 files. Name another one.` });
});

test("a checkpoint is laid out as a model of Hugging Face when asked for, in float32 unless told otherwise", async () => {
  const [qwen2, dream] = [join(folder, "qwen2"), join(folder, "dream")];
  await run("model@1", qwen2, "--layout", "qwen2", "--dtype", "bf16");
  expect(readdirSync(qwen2).sort()).toEqual(["added_tokens.json", "config.json", "generation_config.json", "merges.txt", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.json"]);
  expect(configIn(qwen2)).toMatchObject({ model_type: "qwen2", torch_dtype: "bfloat16" });
  await run("model@1", dream, "--layout", "dream", "--max-shard-size", "3e-6");
  expect(readdirSync(dream).filter((name) => /safetensors/.test(name))).toEqual(["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]);
  expect(configIn(dream)).toMatchObject({ model_type: "Dream", torch_dtype: "float32" });
});

test("nothing else has such a layout", async () => {
  const target = join(folder, "none");
  await expect(run("report@1", target, "--layout", "dream")).rejects.toMatchObject({ code: "Usage", message: "report@1: expected a checkpoint to export in the layout dream, found a report artifact" });
  expect(readdirSync(folder)).not.toContain("none");
});
