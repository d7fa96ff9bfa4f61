import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadCheckpoint, saveCheckpoint, type Checkpoint, type Dtype } from "@diffucoder/formats";
import { openStore, runStage, type StageOutcome, type StageProgress, type Store } from "@diffucoder/lineage";
import { initialParameters, toHuggingFace, type HuggingFaceLayout, type ModelConfig } from "@diffucoder/model";
import { trainTokenizer } from "@diffucoder/tokenizer";
import { exportModel, huggingFaceStage } from "../src/index.ts";

const TEXTS = ["def add(a, b):\n    return a + b\n", "def sub(a, b):\n    return a - b\n"];

/** Without the tokens of diffusion, as Qwen2.5's is. */
export const plainTokenizer = await trainTokenizer(TEXTS, { vocabSize: 280, specialTokens: ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] });
/** The same with them, as Dream's is: mask 281, pad 282. */
export const tokenizer = plainTokenizer.withSpecialTokens();

/** With five spare rows, as published models have. */
export const model: ModelConfig = {
  hiddenSize: 16,
  intermediateSize: 24,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 4,
  tied: false,
  ropeTheta: 10_000,
  normEpsilon: 1e-6,
  initializerRange: 0.1,
  vocabSize: tokenizer.vocabSize + 5,
  maxPositions: 16,
  maskId: tokenizer.id("<|mask|>"),
  padId: tokenizer.id("<|dlm_pad|>"),
};

export const parameters = initialParameters(model, 1);

/** A folder of its own for models and a store, removed by `close`. */
export class Workplace {
  readonly #folder: string;
  readonly store: Store;

  private constructor(folder: string, store: Store) {
    this.#folder = folder;
    this.store = store;
  }

  static async open(): Promise<Workplace> {
    const folder = await mkdtemp(join(tmpdir(), "hugging-face-"));
    return new Workplace(folder, await openStore(join(folder, "store")));
  }

  directory(): Promise<string> {
    return mkdtemp(join(this.#folder, "model-"));
  }

  /** A checkpoint of ours, in a folder. */
  async checkpoint(changes: Partial<Checkpoint> = {}): Promise<(path: string) => Promise<string>> {
    const folder = await this.directory();
    await saveCheckpoint(folder, { config: toHuggingFace(model), parameters, tokenizerJson: tokenizer.toJson(), trainerState: {}, metrics: [], ...changes });
    return async (path) => join(folder, path);
  }

  /** A model's folder as others publish it. */
  async published(options: { layout?: HuggingFaceLayout; dtype?: Dtype; shardBytes?: number } = {}): Promise<string> {
    const folder = await this.directory();
    await exportModel(await this.checkpoint(), folder, { layout: "dream", dtype: "F32", ...options });
    return folder;
  }

  /** @param folder of a model; relative ones start at this workplace */
  run(folder: string, options: { signal?: AbortSignal; onProgress?: (line: StageProgress) => void } = {}): Promise<StageOutcome> {
    const { signal = new AbortController().signal, onProgress = () => {} } = options;
    return runStage({
      store: this.store,
      definition: huggingFaceStage,
      request: { recipe: { folder }, execution: {}, inputs: {}, seed: 1, baseDirectory: this.#folder },
      numerics: { dtype: "fp32", instructionSet: "test", threads: 1, libtensorflow: "test" },
      signal,
      now: () => performance.now(),
      onProgress,
    });
  }

  load(outcome: StageOutcome): Promise<Checkpoint> {
    return loadCheckpoint((path) => this.store.artifacts.file(outcome.outputs.checkpoint!, path));
  }

  close(): Promise<void> {
    return rm(this.#folder, { recursive: true });
  }
}

/** Rewrites a JSON file. */
export async function alterJson(path: string, change: (json: Record<string, unknown>) => unknown): Promise<void> {
  const json = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  change(json);
  await writeFile(path, JSON.stringify(json));
}
