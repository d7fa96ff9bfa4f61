import { readdirSync, readlinkSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { docIdOf, loadCheckpoint, writeShards } from "@diffucoder/formats";
import { openStore, runStage, sha256, type ArtifactRef, type StageError, type StageOutcome, type StageProgress, type Store } from "@diffucoder/lineage";
import { trainTokenizer, type Tokenizer } from "@diffucoder/tokenizer";
import { pretrainingStage } from "../src/index.ts";

export const SEED = 3;
export const ARCHITECTURE = { hiddenSize: 16, intermediateSize: 32, layers: 1, heads: 2, kvHeads: 1, initializerRange: 0.1 };
export const RECIPE = {
  architecture: ARCHITECTURE,
  steps: 6,
  batchSize: 4,
  canvasLength: 16,
  optimizer: { learningRate: 0.01, warmupSteps: 2, weightDecay: 0 },
  validationBatches: 2,
};

const texts = Array.from({ length: 40 }, (_, i) => `def f${i % 4}(x):\n    return x + ${i % 3}\n`);

/** @param vocabSize two vocabularies of one text are two tokenizers */
export const tokenizerOf = (vocabSize: number): Promise<Tokenizer> => trainTokenizer(texts, { vocabSize });

/** A folder with a store, removed by `close`. */
export class Workplace {
  readonly #folder: string;
  readonly store: Store;

  private constructor(folder: string, store: Store) {
    this.#folder = folder;
    this.store = store;
  }

  static async open(): Promise<Workplace> {
    const folder = await mkdtemp(join(tmpdir(), "pretraining-"));
    return new Workplace(folder, await openStore(join(folder, "store")));
  }

  /** Token shards of forty small functions, in this workplace's store or another. */
  async shards(tokenizer: Tokenizer, store: Store = this.store): Promise<ArtifactRef> {
    const directory = await mkdtemp(join(this.#folder, "shards-"));
    const tokenizerJson = tokenizer.toJson();
    for (const [split, share] of [["train", texts.slice(8)], ["validation", texts.slice(0, 8)]] as const) {
      const documents = share.map((text, i) => ({ docId: docIdOf(`${split} ${i}`), source: "test", language: "python", tokens: tokenizer.encode(text) }));
      await writeShards(join(directory, split), documents, { vocabSize: tokenizer.vocabSize, tokenizerSha256: sha256(tokenizerJson) });
    }
    await writeFile(join(directory, "tokenizer.json"), tokenizerJson);
    return store.artifacts.publish("shards", directory, {});
  }

  async anotherStore(): Promise<Store> {
    return openStore(await mkdtemp(join(this.#folder, "store-")));
  }

  run(
    inputs: Record<string, ArtifactRef>,
    options: { recipe?: object; execution?: object; store?: Store; signal?: AbortSignal; onProgress?: (line: StageProgress) => void; seed?: number } = {},
  ): Promise<StageOutcome> {
    const { recipe = {}, execution = {}, store = this.store, signal = new AbortController().signal, onProgress = () => {}, seed = SEED } = options;
    return runStage({
      store,
      definition: pretrainingStage,
      request: { recipe: { ...RECIPE, ...recipe }, execution, inputs, seed, baseDirectory: this.#folder },
      numerics: { dtype: "fp32", instructionSet: "test", threads: 2, libtensorflow: "test" },
      signal,
      now: () => performance.now(),
      onProgress,
    });
  }

  checkpoint(outcome: StageOutcome, store: Store = this.store) {
    return loadCheckpoint((path) => store.artifacts.file(outcome.outputs.checkpoint!, path));
  }

  /** Files of the store that this process holds open. */
  openFiles(): string[] {
    const targets = readdirSync("/proc/self/fd").flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/self/fd/${fd}`)];
      } catch {
        return []; // the descriptor of this very listing
      }
    });
    return targets.filter((path) => path.startsWith(this.store.root));
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
