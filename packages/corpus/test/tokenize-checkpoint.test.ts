import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { docIdOf, openShards, saveCheckpoint, writeDocuments } from "@diffucoder/formats";
import { openStore, type ArtifactRef, type Store } from "@diffucoder/lineage";
import { trainTokenizer } from "@diffucoder/tokenizer";
import { beforeAll, expect, test } from "vitest";
import { tokenizeStage } from "../src/index.ts";
import { runTokenize } from "./run-stages.ts";

const TEXTS = ["def add(a, b):\n    return a + b\n", "def sub(a, b):\n    return a - b\n"];

let store: Store;
let documents: ArtifactRef;
let checkpoint: ArtifactRef;
let tokenizerJson: string;

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "tokenize-checkpoint-"));
  store = await openStore(join(folder, "store"));
  const rows = TEXTS.map((text, i) => ({ docId: docIdOf(text), source: "test", path: `${i}.py`, language: "python", license: "MIT", split: i === 0 ? ("train" as const) : ("validation" as const), text }));
  await writeDocuments(join(folder, "documents"), rows);
  documents = await store.artifacts.publish("documents", join(folder, "documents"), {});
  tokenizerJson = (await trainTokenizer(TEXTS, { vocabSize: 280 })).toJson();
  await saveCheckpoint(join(folder, "checkpoint"), { config: {}, parameters: new Map(), tokenizerJson, trainerState: {}, metrics: [] });
  checkpoint = await store.artifacts.publish("checkpoint", join(folder, "checkpoint"), {});
  return () => rm(folder, { recursive: true });
});

test("documents are tokenized with the tokenizer of a checkpoint, byte for byte the same", async () => {
  const { outputs } = await runTokenize(store, {}, { documents, checkpoint });
  expect(await readFile(await store.artifacts.file(outputs.shards!, "tokenizer.json"), "utf8")).toBe(tokenizerJson);
  const shards = await openShards((path) => store.artifacts.file(outputs.shards!, `train/${path}`), { verify: true });
  expect(shards.manifest.vocabSize).toBe(280);
  await shards.close();
  expect(tokenizeStage.plan!({} as never, { checkpoint: { facts: { vocabSize: 280 } } }).facts).toEqual({ vocabSize: 280 });
});

test("one source of a tokenizer is enough", async () => {
  const { outputs } = await runTokenize(store, {}, { documents, checkpoint });
  await expect(runTokenize(store, {}, { documents, checkpoint, tokenizer: outputs.shards! })).rejects.toMatchObject({ code: "InvalidRecipe", message: expect.stringContaining("expected either a tokenizer or a checkpoint input, found both") as string });
  await expect(runTokenize(store, { vocabSize: 300 }, { documents, checkpoint })).rejects.toMatchObject({ code: "InvalidRecipe", message: expect.stringContaining("expected either vocabSize or a tokenizer input, found both") as string });
});
