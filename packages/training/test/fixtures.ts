import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { docIdOf, openShards, writeShards, type ShardSet } from "@diffucoder/formats";
import { hashFile, openStore, type ArtifactRef, type StageProgress, type Store } from "@diffucoder/lineage";
import { initialParameters } from "@diffucoder/model";
import { NUMERICS, stageContext, tinyModel } from "@diffucoder/test-kit";
import { z } from "zod";
import { packedRecipe, shardBatches, type DiffusionTraining, type PackedRecipe } from "../src/index.ts";

export const VOCABULARY = 24;
export const SEED = 7;

export const model = tinyModel({ vocabSize: VOCABULARY, maskId: 22, padId: 23 }, { maxPositions: 8, initializerRange: 0.02 });

export const recipe: PackedRecipe = z.strictObject(packedRecipe).parse({
  steps: 8,
  batchSize: 4,
  canvasLength: 8,
  optimizer: { learningRate: 0.02, warmupSteps: 2 },
  validationBatches: 2,
});

/** Document `i` counts upwards from `i` in 5 + i mod 7 tokens: easy to learn. */
export const documentsOf = (name: string, count: number) =>
  Array.from({ length: count }, (_, i) => ({
    docId: docIdOf(`${name} ${i}`),
    source: "test",
    language: "python",
    tokens: Uint32Array.from({ length: 5 + (i % 7) }, (__, j) => (i + j) % 20),
  }));

export async function makeShards(directory: string, name: string, count: number): Promise<ShardSet> {
  await writeShards(join(directory, name), documentsOf(name, count), { vocabSize: VOCABULARY, tokenizerSha256: "0", documentsPerBatch: 8 });
  return openShards(async (path) => join(directory, name, path));
}

/** A folder with shards of 60 and 20 documents, and stores; removed by `close`. */
export class Workplace {
  readonly folder: string;
  readonly train: ShardSet;
  readonly validation: ShardSet;

  private constructor(folder: string, train: ShardSet, validation: ShardSet) {
    this.folder = folder;
    this.train = train;
    this.validation = validation;
  }

  static async open(): Promise<Workplace> {
    const folder = await mkdtemp(join(tmpdir(), "training-"));
    return new Workplace(folder, await makeShards(folder, "train", 60), await makeShards(folder, "validation", 20));
  }

  directory(): Promise<string> {
    return mkdtemp(join(this.folder, "directory-"));
  }

  async store(): Promise<Store> {
    return openStore(await this.directory());
  }

  source(options: { annealingSteps?: number; recipe?: Partial<PackedRecipe>; seed?: number; stage?: string } = {}) {
    const { annealingSteps = 0, seed = SEED, stage = "test" } = options;
    return shardBatches({ stage, seed, recipe: { ...recipe, ...options.recipe }, maskId: model.maskId, train: this.train, validation: this.validation, annealingSteps });
  }

  training(changes: Partial<DiffusionTraining> = {}): DiffusionTraining {
    const own = { ...recipe, ...changes.recipe };
    return {
      stage: "test",
      model,
      parameters: initialParameters(model, SEED),
      tokenizerJson: "{}",
      history: [],
      metrics: [],
      source: this.source({ recipe: own }),
      execution: { checkpointEverySteps: 1000 },
      ...changes,
      recipe: own,
    };
  }

  /** A context on a real store. `onStep` sees each training step as it is reported. */
  async context(options: { store?: Store; resumeFrom?: { ref: ArtifactRef; step: number }; onStep?: (step: number, abort: AbortController) => void; dtype?: "fp32" | "bf16" } = {}) {
    const { store = await this.store(), resumeFrom, onStep = () => {}, dtype = "fp32" } = options;
    const abort = new AbortController();
    const saved: { ref: ArtifactRef; step: number }[] = [];
    const progress: StageProgress[] = [];
    const log: string[] = [];
    const value = stageContext(store, await this.directory(), {
      signal: abort.signal,
      log: (line) => log.push(line),
      numerics: { ...NUMERICS, dtype },
      report: (line) => {
        progress.push(line);
        if (line.unit === "steps") onStep(line.step, abort);
      },
      resumeFrom,
      saveCheckpoint: async (step, directory, meta) => {
        const ref = await store.artifacts.publish("checkpoint", directory, meta);
        saved.push({ ref, step });
        return ref;
      },
    });
    return { value, store, abort, saved, progress, log };
  }

  async close(): Promise<void> {
    await this.train.close();
    await this.validation.close();
    await rm(this.folder, { recursive: true });
  }
}

/** sha256 of each file below a directory, by relative path. */
export async function digestsBelow(directory: string): Promise<Record<string, string>> {
  const files = (await readdir(directory, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const digests = files.map(async ({ parentPath, name }) => [join(parentPath, name).slice(directory.length + 1), await hashFile(join(parentPath, name))] as const);
  return Object.fromEntries((await Promise.all(digests)).sort());
}
