import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { saveCheckpoint, type Checkpoint } from "@diffucoder/formats";
import type { ArtifactRef, JsonObject, Store } from "@diffucoder/lineage";
import { initialParameters, toHuggingFace } from "@diffucoder/model";
import { trainTokenizer } from "@diffucoder/tokenizer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Workplace, model as tiny } from "../test/fixtures.ts";
import { loadStart } from "./load-start.ts";

let workplace: Workplace;
let store: Store;
beforeAll(async () => {
  workplace = await Workplace.open();
  store = await workplace.store();
});
afterAll(() => workplace.close());

const tokenizer = await trainTokenizer(["def add(a, b):\n    return a + b\n"], { vocabSize: 264 });
const tokenizerJson = tokenizer.toJson();
const model = { ...tiny, vocabSize: tokenizer.vocabSize, maskId: tokenizer.id("<|mask|>"), padId: tokenizer.id("<|dlm_pad|>"), headDim: 8 };
const parameters = initialParameters(model, 1);

async function published(changes: Partial<Checkpoint> = {}, meta: JsonObject = {}, without?: string): Promise<ArtifactRef> {
  const directory = await workplace.directory();
  await saveCheckpoint(directory, { config: toHuggingFace(model), parameters, tokenizerJson, trainerState: {}, metrics: [], ...changes });
  if (without !== undefined) await rm(join(directory, without));
  return store.artifacts.publish("checkpoint", directory, meta);
}

test("a stage begins with the weights, tokenizer, history and metrics of its checkpoint", async () => {
  const history = [{ stage: "pretraining", steps: 1, tokens: 2, validationLossAtStart: 3, validationLossAtEnd: 2, uniformLoss: 3 }];
  const metrics = [{ stage: "pretraining", step: 1, loss: 3 }];
  const start = await loadStart(store.artifacts, await published({ metrics }, { history }));
  expect(start).toEqual({ model, parameters, tokenizerJson, history, metrics });
});

test("a foreign checkpoint has no history", async () => {
  expect((await loadStart(store.artifacts, await published())).history).toEqual([]);
});

test("weights that do not fit the architecture are refused by file and name", async () => {
  const wrong = new Map(parameters).set("model.norm.weight", { shape: [4], data: new Float32Array(4) });
  await expect(loadStart(store.artifacts, await published({ parameters: wrong }))).rejects.toMatchObject({
    code: "WrongParameters",
    message: expect.stringMatching(/^model\.safetensors \(.*\): tensor model\.norm\.weight: expected \[16\], found \[4\]\./) as string,
  });
});

test.each(["config.json", "model.safetensors", "tokenizer.json", "metrics.jsonl"])("a checkpoint without %s is refused", async (file) => {
  await expect(loadStart(store.artifacts, await published({}, {}, file))).rejects.toMatchObject({ code: expect.stringMatching(/^(ArtifactMissing|CheckpointCorrupt)$/) as string, message: expect.stringContaining(file) as string });
});

test.each(["config.json", "model.safetensors", "tokenizer.json", "metrics.jsonl"])("a flipped bit in %s is found, though its size is right", async (file) => {
  const ref = await published({ metrics: [{ stage: "a", step: 1, loss: 2 }] });
  const path = await store.artifacts.file(ref, file);
  const whole = await readFile(path);
  const bytes = Uint8Array.from(whole);
  bytes[bytes.length - 2]! ^= 1;
  await rm(path); // what it is linked to stays as it is
  await writeFile(path, bytes);
  await expect(loadStart(store.artifacts, ref)).rejects.toMatchObject({ code: "ArtifactCorrupt", message: expect.stringContaining(`file ${file}: expected `) as string });
  await writeFile(path, whole);
});
