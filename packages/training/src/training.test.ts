import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { docIdOf, openShards, writeShards, type ShardSet } from "@diffucoder/formats";
import { hashFile, openStore, type ArtifactRef, type StageContext, type StageProgress } from "@diffucoder/lineage";
import { initialParameters, type ModelConfig } from "@diffucoder/model";
import { stream } from "@diffucoder/random";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import {
  candidatePath,
  drawNoiseLevels,
  fixedNoiseLevels,
  learningRateAt,
  ledgerEntry,
  parseLedger,
  sampleOrder,
  shardBatches,
  trainDiffusion,
  trainingRecipe,
  type DiffusionTraining,
} from "./index.ts";

const VOCAB = 24;
const model: ModelConfig = {
  hiddenSize: 16,
  intermediateSize: 32,
  layers: 1,
  heads: 2,
  kvHeads: 1,
  tied: true,
  ropeTheta: 10_000,
  normEpsilon: 1e-6,
  initializerRange: 0.02,
  vocabSize: VOCAB,
  maxPositions: 8,
  maskId: 22,
  padId: 23,
};
const recipe = z.strictObject(trainingRecipe).parse({
  steps: 12,
  batchSize: 4,
  canvasLength: 8,
  optimizer: { learningRate: 0.02, warmupSteps: 2 },
  validationBatches: 2,
});

let folder: string;
let train: ShardSet;
let validation: ShardSet;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "training-"));
  const make = async (name: string, count: number) => {
    const documents = Array.from({ length: count }, (_, i) => ({
      docId: docIdOf(`${name} ${i}`),
      source: "test",
      language: "python",
      tokens: Uint32Array.from({ length: 5 + (i % 7) }, (__, j) => (i + j) % 20), // consecutive numbers: easy to learn
    }));
    await writeShards(join(folder, name), documents, { vocabSize: VOCAB, tokenizerSha256: "0", documentsPerBatch: 8 });
    return openShards(async (path) => join(folder, name, path));
  };
  train = await make("train", 60);
  validation = await make("validation", 20);
});

afterAll(async () => {
  await train.close();
  await validation.close();
  await rm(folder, { recursive: true });
});

const source = (annealingSteps = 0, overrides: Partial<typeof recipe> = {}) =>
  shardBatches({ stage: "test", seed: 7, recipe: { ...recipe, ...overrides }, maskId: model.maskId, train, validation, annealingSteps });

const training = (overrides: Partial<DiffusionTraining> = {}): DiffusionTraining => ({
  stage: "test",
  model,
  parameters: initialParameters(model, 7),
  tokenizerJson: "{}",
  history: [],
  metrics: [],
  source: source(),
  recipe,
  execution: { checkpointEverySteps: 5 },
  ...overrides,
});

/** A real store, and a context that stops the training once `stopAt` steps are reported. */
async function context(options: { stopAt?: number; resumeFrom?: { ref: ArtifactRef; step: number }; store?: Awaited<ReturnType<typeof openStore>> } = {}) {
  const store = options.store ?? (await openStore(await mkdtemp(join(folder, "store-"))));
  const abort = new AbortController();
  const saved: { ref: ArtifactRef; step: number }[] = [];
  const progress: StageProgress[] = [];
  const value: StageContext = {
    artifacts: store.artifacts,
    scratchDir: await mkdtemp(join(folder, "scratch-")),
    signal: abort.signal,
    now: () => performance.now(),
    log: () => {},
    numerics: { dtype: "fp32", instructionSet: "test", threads: 2, libtensorflow: "test" },
    report: (line) => {
      progress.push(line);
      if (line.unit === "steps" && line.step === options.stopAt) abort.abort();
    },
    resumeFrom: options.resumeFrom,
    saveCheckpoint: async (step, directory, meta) => {
      const ref = await store.artifacts.publish("checkpoint", directory, meta);
      saved.push({ ref, step });
      return ref;
    },
  };
  return { value, store, saved, progress };
}

async function digestsBelow(directory: string): Promise<Record<string, string>> {
  const files = (await readdir(directory, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const digests = files.map(async (file) => [join(file.parentPath, file.name).slice(directory.length), await hashFile(join(file.parentPath, file.name))] as const);
  return Object.fromEntries((await Promise.all(digests)).sort());
}

describe("learning rate", () => {
  const schedule = { learningRate: 2, warmupSteps: 4, finalShare: 0.1 };

  it("rises linearly, peaks, and ends at its floor", () => {
    expect([1, 2, 4].map((step) => learningRateAt(step, 12, schedule))).toEqual([0.5, 1, 2]);
    expect(learningRateAt(8, 12, schedule)).toBeCloseTo(1.1); // half way down: 2 * (0.1 + 0.9 / 2)
    expect(learningRateAt(12, 12, schedule)).toBeCloseTo(0.2);
    expect(learningRateAt(20, 12, schedule)).toBeCloseTo(0.2);
  });

  it("starts at the peak without warm-up and bears a warm-up as long as the training", () => {
    expect(learningRateAt(1, 1000, { ...schedule, warmupSteps: 0 })).toBeCloseTo(2, 4);
    expect(learningRateAt(4, 4, schedule)).toBe(2);
  });
});

describe("sample order", () => {
  it("uses every sample once an epoch, in an order of its own", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.nat(1000), (sampleCount, seed) => {
        const order = sampleOrder({ seed, stage: "s", root: "r", sampleCount });
        const epoch = (n: number) => Array.from({ length: sampleCount }, (_, i) => order(n * sampleCount + i));
        const all = Array.from({ length: sampleCount }, (_, i) => i);
        expect(epoch(0).sort((a, b) => a - b)).toEqual(all);
        expect(epoch(3).sort((a, b) => a - b)).toEqual(all);
      }),
    );
  });

  it("does not depend on what was asked before, and depends on seed, stage, data and epoch", () => {
    const key = { seed: 1, stage: "s", root: "r", sampleCount: 50 };
    const of = (changes: object, from = 0) => Array.from({ length: 50 }, (_, i) => sampleOrder({ ...key, ...changes })(from + i));
    const walked = sampleOrder(key);
    expect(Array.from({ length: 50 }, (_, i) => [walked(i), walked(999)][0])).toEqual(of({}));
    for (const other of [of({ seed: 2 }), of({ stage: "t" }), of({ root: "q" }), of({}, 50)]) expect(other).not.toEqual(of({}));
  });
});

describe("noise levels", () => {
  it("stratified: one level in each stratum, in no fixed order", () => {
    const draw = (step: number) => drawNoiseLevels(8, { levels: "stratified", smallest: 0.001 }, stream({ seed: 1, stage: "s", step, purpose: "p" }));
    const strata = (levels: number[]) => levels.map((level) => Math.floor((1 - (level - 0.001) / 0.999) * 8));
    expect(strata(draw(1)).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(strata(draw(1))).not.toEqual(strata(draw(2)));
  });

  it("independent: uniform over (smallest, 1]", () => {
    const levels = drawNoiseLevels(4000, { levels: "independent", smallest: 0.2 }, stream({ seed: 1, stage: "s", purpose: "p" }));
    expect(Math.min(...levels)).toBeGreaterThan(0.2);
    expect(levels.reduce((a, b) => a + b) / 4000).toBeCloseTo(0.6, 1);
  });

  it("fixed: the middles", () => expect(fixedNoiseLevels(2, 0.2)).toEqual([0.8, 0.4].map((x) => expect.closeTo(x, 10))));
});

describe("shard batches", () => {
  it("are functions of the step", async () => {
    const first = await source().trainingBatch(3);
    await source().trainingBatch(1);
    expect(await source().trainingBatch(3)).toEqual(first);
    expect((await source().trainingBatch(4)).canvases).not.toEqual(first.canvases);
    expect(await source().validationBatch(0)).toEqual(await source().validationBatch(0));
  });

  it("draw the same samples however they are split into batches", async () => {
    const originals = async (batchSize: number, steps: number) => {
      const batches = source(0, { batchSize });
      const found: Int32Array[] = [];
      for (let step = 1; step <= steps; step++) found.push(...(await batches.trainingBatch(step)).originals);
      return found;
    };
    expect(await originals(2, 6)).toEqual(await originals(4, 3));
  });

  it("open attention step by step, then leave the bias out", async () => {
    const batches = source(4);
    const open = async (step: number) => (await batches.trainingBatch(step)).attentionBias?.filter((x) => x === 0).length;
    const counts = [await open(1), await open(2), await open(3), await open(4)];
    expect(counts[3]).toBeUndefined();
    expect(counts[0]!).toBeLessThan(counts[1]!);
    expect(counts[1]!).toBeLessThan(counts[2]!);
    expect((await batches.validationBatch(0)).attentionBias).toBeUndefined();
  });

  it("hide every position but the first at full noise, and count the rest", async () => {
    const batch = await source(0, { noise: { levels: "independent", smallest: 0.999999 } }).trainingBatch(1);
    expect(batch.canvases.map(({ masked }) => masked)).toEqual(Array.from({ length: 4 }, () => [1, 2, 3, 4, 5, 6, 7]));
    expect(batch.maskableCount).toBe(28);
  });

  it("refuse data that does not fill a canvas", () => {
    expect(() => source(0, { canvasLength: 5000 })).toThrow(/train split: expected at least 5000 tokens \(canvasLength\), found \d+/);
  });
});

describe("training", () => {
  it("lowers the validation loss, and says so in the history", async () => {
    const run = await context();
    const result = await trainDiffusion(training({ recipe: { ...recipe, steps: 60 }, source: source(0, { noise: { levels: "stratified", smallest: 0.001 } }) }), run.value);
    const summary = result.summary as Record<string, number>;
    expect(summary.validationLossAtStart).toBeCloseTo(Math.log(VOCAB), 0);
    expect(summary.validationLossAtEnd!).toBeLessThan(0.8 * summary.validationLossAtStart!);
    expect(summary).toMatchObject({ stage: "test", steps: 60, tokens: 60 * 32, uniformLoss: Math.log(VOCAB) });
    expect(result.outputs.checkpoint!.meta).toMatchObject({ step: 60, history: [summary] });
    expect(run.saved.map(({ step }) => step)).toEqual([5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55]);
    expect(run.progress.filter(({ unit }) => unit === "steps").length).toBe(60);
  });

  it("stopped at any step and resumed, gives the same bytes", async () => {
    const options = { source: source(6), keepSteps: [3, 9] };
    const whole = await context();
    const expected = await digestsBelow((await trainDiffusion(training(options), whole.value)).outputs.checkpoint!.directory);
    expect(Object.keys(expected)).toContain(`/${candidatePath(3)}`);
    for (const stopAt of [1, 4, 11]) {
      const first = await context({ stopAt });
      await expect(trainDiffusion(training(options), first.value)).rejects.toThrow(`stopped on request after step ${stopAt}`);
      expect(first.saved.at(-1)!.step).toBe(stopAt);
      const second = await context({ store: first.store, resumeFrom: first.saved.at(-1)! });
      const { outputs } = await trainDiffusion(training(options), second.value);
      expect(second.progress.find(({ unit }) => unit === "steps")!.step).toBe(stopAt + 1);
      expect(await digestsBelow(outputs.checkpoint!.directory)).toEqual(expected);
    }
  });

  it("keeps a ledger from which the documents of a step can be proved", async () => {
    const { outputs } = await trainDiffusion(training(), (await context()).value);
    const ledger = parseLedger(await readFile(join(outputs.checkpoint!.directory, "ledger.jsonl"), "utf8"));
    expect(ledger.map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
    for (const entry of ledger) {
      const { documents } = await source().trainingBatch(entry.step);
      expect(entry).toEqual(ledgerEntry(entry.step, recipe.batchSize, documents));
      expect(documents.length).toBeGreaterThan(0);
      for (const id of documents) expect(train.docIds).toContain(id);
    }
    expect(ledgerEntry(1, 4, ["other"]).documents).not.toBe(ledger[0]!.documents);
  });

  it("stops at a loss that is no number, naming step and documents", async () => {
    const broken = initialParameters(model, 7);
    broken.get("model.norm.weight")!.data.fill(Number.NaN);
    const error = await trainDiffusion(training({ parameters: broken }), (await context()).value).catch((e: unknown) => e as { code: string; message: string; details: { documents: string[] } });
    expect(error).toMatchObject({ code: "NonFiniteLoss", message: expect.stringMatching(/step 1: expected a finite loss/) as string });
    expect((error as { details: { documents: string[] } }).details.documents).toEqual((await source().trainingBatch(1)).documents);
  });
});
