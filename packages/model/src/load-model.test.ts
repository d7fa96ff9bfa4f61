import { mkdtemp, readFile, readdir, readlink, rm, truncate, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSafetensors, saveCheckpoint, tensorsToWrite, writeSafetensors, writeWeights, type NamedTensor } from "@diffucoder/formats";
import { SPECIAL_TOKENS, trainTokenizer } from "@diffucoder/tokenizer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { vividParameters } from "../test/tiny-model.ts";
import { architectureSchema, toHuggingFace, type ModelConfig } from "./config.ts";
import { loadModel, loadParameters } from "./load-model.ts";

const TEXTS = ["def add(a, b):\n    return a + b\n", "def sub(a, b):\n    return a - b\n"];
const tokenizer = await trainTokenizer(TEXTS, { vocabSize: 280 });
const others = await trainTokenizer(TEXTS, { vocabSize: 270 });
const reordered = await trainTokenizer(TEXTS, { vocabSize: 280, specialTokens: [...SPECIAL_TOKENS.slice(0, -2), "<|mask|>", "<|other|>", "<|dlm_pad|>"].slice(1) });

const model: ModelConfig = {
  ...architectureSchema.parse({ hiddenSize: 16, intermediateSize: 24, layers: 2, heads: 4, kvHeads: 2, headDim: 4 }),
  vocabSize: tokenizer.vocabSize,
  maxPositions: 8,
  maskId: tokenizer.id("<|mask|>"),
  padId: tokenizer.id("<|dlm_pad|>"),
};
const parameters = vividParameters(model);

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "load-model-"));
});
afterAll(() => rm(root, { recursive: true }));

const fileOf = (folder: string) => async (name: string) => join(folder, name);
const shards = (number: number) => `model-0000${number}-of-00003.safetensors`;

/** A whole checkpoint in a folder of its own; its weights in three shards if asked for. */
async function checkpoint(sharded = false): Promise<string> {
  const folder = await mkdtemp(join(root, "checkpoint-"));
  await saveCheckpoint(folder, { config: toHuggingFace(model), parameters, tokenizerJson: tokenizer.toJson(), trainerState: {}, metrics: [] });
  if (!sharded) return folder;
  await unlink(join(folder, "model.safetensors"));
  expect(await writeWeights(folder, tensorsToWrite(parameters, "F32"), 14_000)).toEqual([shards(1), shards(2), shards(3), "model.safetensors.index.json"]);
  return folder;
}

async function changeWeights(path: string, change: (tensors: Map<string, NamedTensor>) => unknown): Promise<void> {
  const tensors = await readSafetensors(path);
  change(tensors);
  await writeSafetensors(path, tensors);
}

async function changeConfig(folder: string, changes: Record<string, unknown>): Promise<void> {
  const path = join(folder, "config.json");
  await writeFile(path, JSON.stringify({ ...(JSON.parse(await readFile(path, "utf8")) as object), ...changes }));
}

async function replaceBytes(path: string, from: string, to: string): Promise<void> {
  const bytes = await readFile(path, "latin1");
  expect(bytes).toContain(from);
  await writeFile(path, bytes.replace(from, to), "latin1");
}

test.each([false, true])("a whole checkpoint is loaded, its weights in shards (%s) or not", async (sharded) => {
  const loaded = await loadModel(fileOf(await checkpoint(sharded)));
  expect(loaded).toMatchObject({ model, parameters, tokenizerJson: tokenizer.toJson() });
  expect(loaded.tokenizer.encode("return a")).toEqual(tokenizer.encode("return a"));
});

describe("a checkpoint is refused, with what helps,", () => {
  const NORM = "model.norm.weight";
  const weights = (folder: string) => join(folder, "model.safetensors");
  const other = "Use weights and config.json of one checkpoint.";
  const rebuild = "Fetch or build the checkpoint again";
  const trained = "Use the tokenizer that the model was trained with.";
  const damages: [string, (folder: string) => Promise<unknown>, { code: string; file: string; problem: string; fix: string }][] = [
    ["whose weights are cut off", (folder) => truncate(weights(folder), 9000), { code: "SafetensorsCorrupt", file: "model.safetensors", problem: "tensor model.embed_tokens.weight: expected bytes up to 20520, found a file of 9000", fix: rebuild }],
    ["whose weights are integers", (folder) => replaceBytes(weights(folder), '"F32"', '"I32"'), { code: "SafetensorsCorrupt", file: "model.safetensors", problem: "tensor model.embed_tokens.weight: expected dtype F32, BF16 or F16, found I32", fix: "Use weights in one of these" }],
    ["whose header is damaged", (folder) => replaceBytes(weights(folder), '{"__metadata__"', '{"__metadata__'), { code: "SafetensorsCorrupt", file: "model.safetensors", problem: "expected a JSON header, found Expected ':' after property name", fix: rebuild }],
    ["that has no weights", (folder) => unlink(weights(folder)), { code: "CheckpointCorrupt", file: "model.safetensors", problem: "expected a file, found none", fix: "Use another checkpoint" }],
    ["that lacks a tensor", (folder) => changeWeights(weights(folder), (tensors) => tensors.delete(NORM)), { code: "WrongParameters", file: "model.safetensors", problem: `tensor ${NORM}: expected [16], found nothing`, fix: other }],
    ["that has a tensor more", (folder) => changeWeights(weights(folder), (tensors) => tensors.set("model.extra.weight", tensors.get(NORM)!)), { code: "WrongParameters", file: "model.safetensors", problem: "tensor model.extra.weight: expected none of that name, found one", fix: other }],
    ["whose tensor has another shape", (folder) => changeWeights(weights(folder), (tensors) => tensors.set(NORM, { shape: [2, 8], data: tensors.get(NORM)!.data })), { code: "WrongParameters", file: "model.safetensors", problem: `tensor ${NORM}: expected [16], found [2,8]`, fix: other }],
    ["whose tensor holds no numbers", (folder) => changeWeights(weights(folder), (tensors) => (tensors.get(NORM)!.data[3] = NaN)), { code: "WrongParameters", file: "model.safetensors", problem: `tensor ${NORM}: expected finite numbers, found NaN at 3`, fix: "Use an earlier checkpoint, of before the training diverged." }],
    ["whose config has more rows than the embedding", (folder) => changeConfig(folder, { vocab_size: 300 }), { code: "WrongParameters", file: "model.safetensors", problem: "tensor model.embed_tokens.weight: expected [300,16], found [280,16]", fix: other }],
    ["whose config has fewer rows than the tokenizer has tokens", (folder) => changeConfig(folder, { vocab_size: 279, pad_token_id: 0 }), { code: "WrongTokenizer", file: "config.json", problem: "expected at most 279 tokens, as vocab_size in config.json, found 280", fix: trained }],
    ["whose config is of another family", (folder) => changeConfig(folder, { model_type: "llama" }), { code: "WrongConfig", file: "config.json", problem: "model_type", fix: "Use a model of Qwen2's or Dream's layout, with the config.json that came with it." }],
    ["whose config is no JSON", (folder) => truncate(join(folder, "config.json"), 40), { code: "CheckpointCorrupt", file: "config.json", problem: "expected a JSON object, found", fix: "Use another checkpoint" }],
    ["that has no config", (folder) => unlink(join(folder, "config.json")), { code: "CheckpointCorrupt", file: "config.json", problem: "expected a file, found none", fix: "Use another checkpoint" }],
    ["with a tokenizer of another size", (folder) => writeFile(join(folder, "tokenizer.json"), others.toJson()), { code: "WrongTokenizer", file: "config.json", problem: `expected <|mask|> at id ${model.maskId}, as mask_token_id in config.json, found it at ${model.maskId - 10}`, fix: trained }],
    ["with a tokenizer of the same size but other special tokens", (folder) => writeFile(join(folder, "tokenizer.json"), reordered.toJson()), { code: "WrongTokenizer", file: "config.json", problem: `expected <|mask|> at id ${model.maskId}`, fix: trained }],
    ["whose tokenizer is cut off", (folder) => truncate(join(folder, "tokenizer.json"), 500), { code: "TokenizerCorrupt", file: "tokenizer.json", problem: "expected JSON, found Unterminated string in JSON at position 500", fix: "Use the file that came with the model." }],
    ["that has no tokenizer", (folder) => unlink(join(folder, "tokenizer.json")), { code: "CheckpointCorrupt", file: "tokenizer.json", problem: "expected a file, found none", fix: "Use another checkpoint" }],
  ];
  test.each(damages)("%s", async (_, damage, { code, file, problem, fix }) => {
    const folder = await checkpoint();
    await damage(folder);
    await refused(loadModel(fileOf(folder)), { code, file, problem, fix });
  });

  const ofShards: typeof damages = [
    ["one of whose shards is cut off", (folder) => truncate(join(folder, shards(2)), 3000), { code: "SafetensorsCorrupt", file: shards(2), problem: "expected bytes up to", fix: rebuild }],
    ["one of whose shards is gone", (folder) => unlink(join(folder, shards(2))), { code: "SafetensorsCorrupt", file: "model.safetensors.index.json", problem: `expected a file ${shards(2)} beside it for tensor`, fix: rebuild }],
    ["one of whose shards lacks a tensor of the index", (folder) => changeWeights(join(folder, shards(3)), (tensors) => tensors.delete(NORM)), { code: "SafetensorsCorrupt", file: shards(3), problem: `expected tensor ${NORM} as in model.safetensors.index.json, found none of that name`, fix: rebuild }],
    ["one of whose shards has a tensor of another shape", (folder) => changeWeights(join(folder, shards(3)), (tensors) => tensors.set(NORM, { shape: [1], data: new Float32Array(1) })), { code: "WrongParameters", file: shards(3), problem: `tensor ${NORM}: expected [16], found [1]`, fix: other }],
  ];
  test.each(ofShards)("%s", async (_, damage, expected) => {
    const folder = await checkpoint(true);
    await damage(folder);
    await refused(loadModel(fileOf(folder)), expected);
  });

  test("and so are weights of another step that do not fit", async () => {
    const folder = await checkpoint();
    await writeSafetensors(join(folder, "step-3.safetensors"), parameters);
    expect(await loadParameters(model, fileOf(folder), "step-3.safetensors")).toEqual(parameters);
    await changeWeights(join(folder, "step-3.safetensors"), (tensors) => tensors.delete(NORM));
    await refused(loadParameters(model, fileOf(folder), "step-3.safetensors"), { code: "WrongParameters", file: "step-3.safetensors", problem: `tensor ${NORM}: expected [16], found nothing`, fix: other });
    await refused(loadParameters(model, fileOf(folder), "step-4.safetensors"), { code: "CheckpointCorrupt", file: "step-4.safetensors", problem: "expected a file, found none", fix: "Use another checkpoint" });
  });

  test("leaving no file open, whether it was refused or not", async () => {
    const openIn = async (folder: string) => {
      const links = await Promise.all((await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
      return links.filter((path) => path.startsWith(folder));
    };
    const folder = await checkpoint(true);
    await loadModel(fileOf(folder));
    expect(await openIn(folder)).toEqual([]);
    await changeConfig(folder, { vocab_size: 300 });
    await expect(loadModel(fileOf(folder))).rejects.toMatchObject({ code: "WrongParameters" });
    expect(await openIn(folder)).toEqual([]);
  });

  async function refused(loading: Promise<unknown>, { code, file, problem, fix }: { code: string; file: string; problem: string; fix: string }): Promise<void> {
    const error = await loading.then(() => expect.unreachable(), (reason: unknown) => reason as Error);
    expect(error).toMatchObject({ code, retryable: false });
    for (const part of [file, problem, fix]) expect(error.message).toContain(part);
  }
});
