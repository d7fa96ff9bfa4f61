import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { annealingStage } from "@diffucoder/annealing";
import { tokenizeStage } from "@diffucoder/corpus";
import { docIdOf, writeDocuments } from "@diffucoder/formats";
import { exportModel, huggingFaceStage } from "@diffucoder/hugging-face";
import { openStore, runStage, type ArtifactRef, type StageDefinition, type Store } from "@diffucoder/lineage";
import { Tokenizer, trainTokenizer } from "@diffucoder/tokenizer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runHuggingFace } from "./peers.ts";

const TEXTS = Array.from({ length: 40 }, (_, i) => `def f${i % 4}(x):\n    return x + ${i % 3}\n`);

let folder: string;
let store: Store;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hugging-face-stages-"));
  store = await openStore(join(folder, "store"));
});
afterAll(() => rm(folder, { recursive: true }));

async function run(definition: StageDefinition, recipe: object, inputs: Record<string, ArtifactRef>): Promise<ArtifactRef> {
  const numerics = { dtype: "fp32" as const, instructionSet: "test", threads: 2, libtensorflow: "test" };
  const request = { recipe: definition.recipeSchema.parse(recipe) as unknown, execution: definition.executionSchema.parse({}) as unknown, inputs, seed: 1, baseDirectory: folder };
  const { outputs } = await runStage({ store, definition, request, numerics, signal: new AbortController().signal, now: () => performance.now() });
  return Object.values(outputs)[0]!;
}

test("an autoregressive model of transformers, whose tokenizer knows no mask, is trained on here and loaded there again", { timeout: 300_000 }, async () => {
  const tokenizer = await trainTokenizer(TEXTS, { vocabSize: 300, specialTokens: ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] });
  const config = { vocab_size: 320, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 64, tie_word_embeddings: true };
  const tokens = [...tokenizer.encode(TEXTS[0]!)];
  const made = join(folder, "made");
  const before = runHuggingFace<{ full: number[][] }>("hugging_face_peer.py", ["make", made, JSON.stringify({ seed: 1, config, headDim: null, dtype: "bfloat16", shardSize: "20KB", tokens })], { torch: true });
  for (const [name, text] of Object.entries(tokenizer.toFiles())) await writeFile(join(made, name), text);
  await writeDocuments(join(folder, "documents"), TEXTS.map((text, i) => ({ docId: docIdOf(`${i}`), source: "test", path: `${i}.py`, language: "python", license: "MIT", split: i < 32 ? ("train" as const) : ("validation" as const), text })));
  const documents = await store.artifacts.publish("documents", join(folder, "documents"), {});

  const base = await run(huggingFaceStage, { folder: "made" }, {});
  const shards = await run(tokenizeStage, {}, { documents, checkpoint: base });
  const recipe = { steps: 2, batchSize: 2, canvasLength: 16, optimizer: { learningRate: 1e-4, warmupSteps: 0 }, validationBatches: 1 };
  const trained = await run(annealingStage, recipe, { shards, checkpoint: base });

  const again = join(folder, "again");
  await exportModel((path) => store.artifacts.file(trained, path), again, { layout: "qwen2", dtype: "F32" });
  const after = runHuggingFace<{ full: number[][] }>("hugging_face_peer.py", ["logits", again, JSON.stringify(tokens)], { torch: true });
  const changes = after.full.flatMap((row, i) => row.map((value, j) => Math.abs(value - before.full[i]![j]!)));
  expect(Math.max(...changes)).toBeGreaterThan(1e-3); // it has learned something
  expect(Math.max(...changes)).toBeLessThan(0.5); // from where it stood
  const found = Tokenizer.fromJson(await readFile(join(again, "tokenizer.json"), "utf8"));
  expect([found.id("<|endoftext|>"), found.id("<|mask|>"), found.id("<|dlm_pad|>")]).toEqual([tokenizer.vocabSize - 3, tokenizer.vocabSize + 1, tokenizer.vocabSize + 2]);
});
