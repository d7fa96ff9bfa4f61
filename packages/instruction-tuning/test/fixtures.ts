import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadCheckpoint, saveCheckpoint } from "@diffucoder/formats";
import { openStore, runStage, type ArtifactRef, type StageError, type StageOutcome, type StageProgress, type Store } from "@diffucoder/lineage";
import { initialParameters, toHuggingFace, type ModelConfig } from "@diffucoder/model";
import { generateTasks, renderCompletion, renderPrompt } from "@diffucoder/tasks";
import { trainTokenizer, type Tokenizer } from "@diffucoder/tokenizer";
import { instructionTuningStage } from "../src/index.ts";

export const SEED = 3;
/** Of a task of the family `linear`: 14 tokens of prompt, 29 of answer, one of padding. */
export const CANVAS = 44;
export const RECIPE = {
  tasks: { families: ["linear"], count: 16 },
  steps: 6,
  batchSize: 4,
  canvasLength: CANVAS,
  optimizer: { learningRate: 0.01, warmupSteps: 2, weightDecay: 0 },
  validationBatches: 2,
  keepSteps: [2, 4],
};

export const tinyTokenizer = (): Promise<Tokenizer> =>
  trainTokenizer(
    generateTasks({ families: ["linear"], split: "train", count: 64, seed: SEED }).map((task) => renderPrompt(task) + renderCompletion(task)),
    { vocabSize: 400 },
  );

export const modelOf = (tokenizer: Tokenizer): ModelConfig => ({
  hiddenSize: 16,
  intermediateSize: 32,
  layers: 1,
  heads: 2,
  kvHeads: 1,
  tied: true,
  ropeTheta: 10_000,
  normEpsilon: 1e-6,
  initializerRange: 0.1,
  vocabSize: tokenizer.vocabSize,
  maxPositions: 16,
  maskId: tokenizer.id("<|mask|>"),
  padId: tokenizer.id("<|dlm_pad|>"),
});

/** A folder with a store, removed by `close`. */
export class Workplace {
  readonly #folder: string;
  readonly store: Store;

  private constructor(folder: string, store: Store) {
    this.#folder = folder;
    this.store = store;
  }

  static async open(): Promise<Workplace> {
    const folder = await mkdtemp(join(tmpdir(), "instruction-tuning-"));
    return new Workplace(folder, await openStore(join(folder, "store")));
  }

  /** A new model, published as annealing would leave it. */
  async newCheckpoint(tokenizer: Tokenizer, store: Store = this.store): Promise<ArtifactRef> {
    const directory = await mkdtemp(join(this.#folder, "checkpoint-"));
    const model = modelOf(tokenizer);
    await saveCheckpoint(directory, { config: toHuggingFace(model), parameters: initialParameters(model, SEED), tokenizerJson: tokenizer.toJson(), trainerState: {}, metrics: [] });
    return store.artifacts.publish("checkpoint", directory, { stage: "annealing", step: 1 });
  }

  async anotherStore(): Promise<Store> {
    return openStore(await mkdtemp(join(this.#folder, "store-")));
  }

  run(
    checkpoint: ArtifactRef,
    options: { recipe?: object; execution?: object; store?: Store; signal?: AbortSignal; onProgress?: (line: StageProgress) => void; seed?: number } = {},
  ): Promise<StageOutcome> {
    const { recipe = {}, execution = {}, store = this.store, signal = new AbortController().signal, onProgress = () => {}, seed = SEED } = options;
    return runStage({
      store,
      definition: instructionTuningStage,
      request: { recipe: { ...RECIPE, ...recipe }, execution, inputs: { checkpoint }, seed, baseDirectory: this.#folder },
      numerics: { dtype: "fp32", instructionSet: "test", threads: 2, libtensorflow: "test" },
      signal,
      now: () => performance.now(),
      onProgress,
    });
  }

  checkpoint(ref: ArtifactRef) {
    return loadCheckpoint((path) => this.store.artifacts.file(ref, path));
  }

  close(): Promise<void> {
    return rm(this.#folder, { recursive: true });
  }
}

export const failureOf = (outcome: Promise<unknown>): Promise<StageError> =>
  outcome.then(
    (value) => Promise.reject(new Error(`expected a failure, found ${JSON.stringify(value)}`)),
    (error: unknown) => error as StageError,
  );
