// Axes: T tokens, V vocabulary.
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadBackend } from "@diffucoder/engine";
import { Weights, readSafetensors, saveCheckpoint, writeSafetensors, writeWeights, type NamedTensor, type TensorToWrite } from "@diffucoder/formats";
import { exportModel, openModelFolder } from "@diffucoder/hugging-face";
import { annealedAttentionBias, forward, fromHuggingFace, initialParameters, modelTensors, toHuggingFace, type ModelConfig } from "@diffucoder/model";
import { stream } from "@diffucoder/random";
import { trainTokenizer, type Tokenizer } from "@diffucoder/tokenizer";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TRANSFORMERS_OF_DIFFUCODER, runHuggingFace } from "./peers.ts";

const TIMEOUT = 300_000;
const TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 58, 63, 17, 40];

let folder: string;
beforeAll(async () => {
  await loadBackend();
  folder = await mkdtemp(join(tmpdir(), "hugging-face-"));
  runHuggingFace("library_folders.py", [], { torch: true }); // installs, where it must
}, TIMEOUT);
afterAll(() => rm(folder, { recursive: true }));

interface Logits {
  readonly causal: readonly (readonly number[])[];
  readonly full: readonly (readonly number[])[];
}

function ownLogits(config: ModelConfig, parameters: ReadonlyMap<string, NamedTensor>, tokens: readonly number[]): Logits {
  return tf.tidy(() => {
    const tensors = Object.fromEntries([...parameters].map(([name, { shape, data }]) => [name, tf.tensor(data, [...shape])]));
    const input = tf.tensor2d([[...tokens]], undefined, "int32");
    const bias = tf.tensor2d(annealedAttentionBias(tokens.length, 0, stream({ seed: 1, stage: "test", purpose: "bias" })), [tokens.length, tokens.length]);
    return { causal: forward(config, tensors, input, { attentionBias: bias }).arraySync(), full: forward(config, tensors, input).arraySync() }; // [T, V]
  });
}

function furthest(a: Logits["full"], b: Logits["full"]): number {
  expect(a.length * a[0]!.length).toBe(b.length * b[0]!.length);
  return Math.max(...a.flatMap((row, i) => row.map((value, j) => Math.abs(value - b[i]![j]!))));
}

function expectClose(own: Logits, theirs: Logits): void {
  expect(furthest(theirs.causal, theirs.full)).toBeGreaterThan(0.1); // the mask is seen at all
  expect(furthest(own.causal, theirs.causal)).toBeLessThan(1e-4);
  expect(furthest(own.full, theirs.full)).toBeLessThan(1e-4);
}

/** Weights of one file, as if it were a whole model. */
const alone = (path: string) => Weights.open(async (name) => (name === "model.safetensors" ? path : join(folder, "none")));

describe.each([
  { name: "grouped queries, untied", heads: 4, kvHeads: 2, headDim: null, tied: false, dtype: "float32", shardSize: "1GB" },
  { name: "grouped queries, tied, in shards", heads: 4, kvHeads: 1, headDim: null, tied: true, dtype: "float32", shardSize: "10KB" },
  { name: "as many keys as queries, untied, bfloat16 in shards", heads: 4, kvHeads: 4, headDim: null, tied: false, dtype: "bfloat16", shardSize: "8KB" },
  { name: "wide heads, tied, float16", heads: 3, kvHeads: 3, headDim: 16, tied: true, dtype: "float16", shardSize: "1GB" },
  { name: "grouped queries, tied, bfloat16 in shards, in the layout of DiffuCoder's day", heads: 4, kvHeads: 2, headDim: null, tied: true, dtype: "bfloat16", shardSize: "10KB", transformers: TRANSFORMERS_OF_DIFFUCODER },
])("a model of $name, written by transformers", ({ name, heads, kvHeads, headDim, tied, dtype, shardSize, ...version }) => {
  let model: string;
  let theirs: Logits;
  beforeAll(() => {
    model = join(folder, name.replaceAll(/\W+/g, "-"));
    const config = {
      vocab_size: 64,
      hidden_size: 48,
      intermediate_size: 80,
      num_hidden_layers: 3,
      num_attention_heads: heads,
      num_key_value_heads: kvHeads,
      rope_theta: 1_000_000,
      max_position_embeddings: 128,
      tie_word_embeddings: tied,
    };
    theirs = runHuggingFace("hugging_face_peer.py", ["make", model, JSON.stringify({ seed: 7, config, headDim, dtype, shardSize, tokens: TOKENS })], { torch: true, ...version });
  }, TIMEOUT);

  const read = async (json: Record<string, unknown>) => {
    const config = fromHuggingFace(json, { maskId: 62, padId: 63 });
    const weights = await Weights.open(async (path) => join(model, path));
    const tensors = await modelTensors(config, weights);
    return { config, tensors, parameters: await weights.readAll().finally(() => weights.close()) };
  };
  const configJson = async () => JSON.parse(await readFile(join(model, "config.json"), "utf8")) as Record<string, unknown>;

  test("has the same logits here, causal and bidirectional", async () => {
    const { config, parameters } = await read(await configJson());
    expectClose(ownLogits(config, parameters, TOKENS), theirs);
  });

  test("has them under a config of Dream's layout, too", async () => {
    const { rope_parameters: rope, rope_theta: theta, ...json } = (await configJson()) as { rope_parameters?: { rope_theta: number }; rope_theta?: number };
    const dream = { ...json, model_type: "Dream", architectures: ["DreamModel"], mask_token_id: 62, pad_token_id: 63, rope_theta: theta ?? rope!.rope_theta };
    const { config, parameters } = await read(dream);
    expect(furthest(ownLogits(config, parameters, TOKENS).full, theirs.full)).toBeLessThan(1e-4);
  });

  test("is written again to the byte, file by file", async () => {
    const files = (await readdir(model)).filter((file) => file.endsWith(".safetensors"));
    expect(files.length > 1).toBe(shardSize !== "1GB");
    for (const file of files) {
      const weights = await alone(join(model, file));
      const tensors: TensorToWrite[] = weights.names().map((tensor) => ({ ...weights.entry(tensor)!, name: tensor, bytes: () => weights.readBytes(tensor) }));
      const again = await mkdtemp(join(folder, "again-"));
      await writeWeights(again, tensors.reverse());
      await weights.close();
      expect(Buffer.compare(await readFile(join(again, "model.safetensors")), await readFile(join(model, file)))).toBe(0);
    }
  });
});

test("float32 is narrowed to the bytes that PyTorch narrows it to", { timeout: TIMEOUT }, async () => {
  const draws = stream({ seed: 3, stage: "test", purpose: "bits" });
  const bits = Uint32Array.from({ length: 100_000 }, () => draws.integer(2 ** 16) * 2 ** 16 + draws.integer(2 ** 16));
  const anything = new Float32Array(bits.buffer).map((value) => (Number.isNaN(value) ? 1 : value));
  const halfway = Float32Array.from({ length: 65_536 }, (_, i) => (1 + i / 65_536) * 2 ** ((i % 40) - 26));
  const special = Float32Array.of(0, -0, Infinity, -Infinity, 65_504, 65_519.99, 65_520, 2 ** -24, 2 ** -25, 3.39e38);
  const tensors = new Map(Object.entries({ anything, halfway, special }).map(([name, data]) => [name, { shape: [data.length], data }]));
  const path = join(folder, "wide.safetensors");
  await writeSafetensors(path, tensors);
  runHuggingFace("hugging_face_peer.py", ["convert", path, folder], { torch: true });
  for (const [dtype, theirs] of [["BF16", "bfloat16"], ["F16", "float16"]] as const) {
    await writeSafetensors(join(folder, dtype), tensors, dtype);
    expect(Buffer.compare(await readFile(join(folder, dtype)), await readFile(join(folder, theirs)))).toBe(0);
  }
});

describe("a checkpoint of ours, exported", () => {
  const TEXTS = ["def größe(x):\n    return x + 1234  # e\u0301\n", "<|im_start|>user\nit's 'ſ<|im_end|>\n<|mask|><|mask|>", "  \n\n\tif a >= b:\r\n"];
  let tokenizer: Tokenizer;
  let config: ModelConfig;
  let parameters: Map<string, NamedTensor>;
  let checkpoint: string;
  beforeAll(async () => {
    tokenizer = await trainTokenizer([...TEXTS, ...TEXTS], { vocabSize: 320 });
    config = {
      hiddenSize: 48,
      intermediateSize: 80,
      layers: 2,
      heads: 4,
      kvHeads: 2,
      headDim: 16,
      tied: true,
      ropeTheta: 500_000, // neither version's default
      normEpsilon: 1e-5,
      initializerRange: 0.2,
      vocabSize: tokenizer.vocabSize,
      maxPositions: 64,
      maskId: tokenizer.id("<|mask|>"),
      padId: tokenizer.id("<|dlm_pad|>"),
    };
    parameters = initialParameters(config, 5);
    checkpoint = join(folder, "checkpoint");
    await saveCheckpoint(checkpoint, { config: toHuggingFace(config), parameters, tokenizerJson: tokenizer.toJson(), trainerState: {}, metrics: [] });
  });
  const exported = async (options: Omit<Parameters<typeof exportModel>[2], "layout"> & { layout?: "dream" }) => {
    const target = await mkdtemp(join(folder, "export-"));
    await exportModel(async (path) => join(checkpoint, path), target, { layout: "qwen2", ...options });
    return target;
  };

  test("is loaded by transformers, whole or in shards, with the same logits", { timeout: TIMEOUT }, async () => {
    for (const shardBytes of [1e9, 20_000]) {
      const target = await exported({ dtype: "F32", shardBytes });
      const theirs = runHuggingFace<Logits & { class: string }>("hugging_face_peer.py", ["logits", target, JSON.stringify(TOKENS)], { torch: true });
      expect(theirs.class).toBe("Qwen2ForCausalLM");
      expectClose(ownLogits(config, parameters, TOKENS), theirs);
    }
  });

  test("is loaded in bfloat16 with the weights that are read back here", { timeout: TIMEOUT }, async () => {
    const target = await exported({ dtype: "BF16" });
    const theirs = runHuggingFace<Logits>("hugging_face_peer.py", ["logits", target, JSON.stringify(TOKENS)], { torch: true });
    const rounded = await readSafetensors(join(target, "model.safetensors"));
    expectClose(ownLogits(config, rounded, TOKENS), theirs);
    const { config: again, tensors, close } = await openModelFolder(target);
    await close();
    expect([again, tensors.length]).toEqual([config, parameters.size]);
  });

  test("is loaded through Dream's classes where they lie beside it, which find the tokens of decoding", { timeout: TIMEOUT }, async () => {
    const target = await exported({ dtype: "F32", layout: "dream" });
    await cp(join(import.meta.dirname, "dream-stand-in"), target, { recursive: true });
    const theirs = runHuggingFace<Pick<Logits, "full">>("hugging_face_peer.py", ["dream", target, JSON.stringify(TOKENS)], { torch: true });
    const end = tokenizer.id("<|endoftext|>");
    expect(theirs).toMatchObject({ class: "DreamModel", mask: config.maskId, pad: config.padId, end, tokenizerMask: config.maskId });
    expect(furthest(ownLogits(config, parameters, TOKENS).full, theirs.full)).toBeLessThan(1e-4);
  });

  test.each([undefined, TRANSFORMERS_OF_DIFFUCODER])("is the same model here once transformers (%s) has loaded and saved it, and keeps its tokenizer's digest", { timeout: TIMEOUT }, async (transformers) => {
    const target = await exported({ dtype: "F32" });
    const again = await mkdtemp(join(folder, "again-"));
    runHuggingFace("hugging_face_peer.py", ["again", target, again], { torch: true, ...(transformers === undefined ? {} : { transformers }) });
    const digestIn = async (place: string) => (JSON.parse(await readFile(join(place, "config.json"), "utf8")) as Record<string, unknown>).tokenizer_sha256;
    expect(await digestIn(again)).toMatch(/^[0-9a-f]{64}$/);
    expect(await digestIn(again)).toBe(await digestIn(target));
    const opened = await openModelFolder(again);
    await opened.close();
    expect(opened.config).toEqual(config);
    expect(opened.tokenizer.toJson()).toBe(tokenizer.toJson());
    expect(await readSafetensors(join(again, "model.safetensors"))).toEqual(await readSafetensors(join(target, "model.safetensors")));
  });

  test("has a tokenizer that transformers reads alike, from either of its forms", { timeout: TIMEOUT }, async () => {
    const target = await exported({ dtype: "F32" });
    const texts = join(folder, "texts.json");
    await writeFile(texts, JSON.stringify(TEXTS));
    const own = TEXTS.map((text) => [...tokenizer.encode(text, { specials: true })]);
    const named = { mask: tokenizer.id("<|mask|>"), end: tokenizer.id("<|endoftext|>") };
    expect(runHuggingFace("hugging_face_peer.py", ["tokens", target, texts], { torch: true })).toEqual({ class: expect.stringContaining("Qwen2Tokenizer") as string, ids: own, ...named });
    await rm(join(target, "tokenizer.json"));
    expect(runHuggingFace("hugging_face_peer.py", ["tokens", target, texts], { torch: true })).toMatchObject({ ids: own, ...named });
  });
});
