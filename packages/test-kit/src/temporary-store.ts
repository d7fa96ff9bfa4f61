import { readdirSync, readlinkSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { docIdOf, loadCheckpoint, saveCheckpoint, writeShards, type Checkpoint, type MetricsLine, type NamedTensor } from "@diffucoder/formats";
import { openStore, runStage, sha256, type ArtifactRef, type JsonObject, type NumericsProfile, type RunStageOptions, type StageContext, type StageDefinition, type StageOutcome, type Store } from "@diffucoder/lineage";
import { toHuggingFace, type ModelConfig } from "@diffucoder/model";
import type { Tokenizer } from "@diffucoder/tokenizer";
import { SMALL_FUNCTIONS } from "./tiny-model.ts";

export const NUMERICS: NumericsProfile = { dtype: "fp32", instructionSet: "test", threads: 2, libtensorflow: "test" };

export interface RunOptions extends Partial<Omit<RunStageOptions, "definition" | "request">> {
  readonly recipe?: object;
  readonly execution?: object;
  readonly seed?: number;
}

/** A folder with a store, and stages that run on it; removed by `close`. */
export class TemporaryStore {
  readonly folder: string;
  readonly store: Store;

  constructor(folder: string, store: Store) {
    this.folder = folder;
    this.store = store;
  }

  static async open<T extends TemporaryStore>(this: new (folder: string, store: Store) => T): Promise<T> {
    const folder = await mkdtemp(join(tmpdir(), "diffucoder-stage-"));
    await chmod(folder, 0o755); // the sandbox's user must get at the `bwrap` of `withFailingSandbox`
    return new this(folder, await openStore(join(folder, "store")));
  }

  directory(): Promise<string> {
    return mkdtemp(join(this.folder, "directory-"));
  }

  async anotherStore(): Promise<Store> {
    return openStore(await this.directory());
  }

  /** Token shards of forty small functions, in this store or another. */
  async shards(tokenizer: Tokenizer, store: Store = this.store): Promise<ArtifactRef> {
    const directory = await this.directory();
    const tokenizerJson = tokenizer.toJson();
    for (const [split, share] of [["train", SMALL_FUNCTIONS.slice(8)], ["validation", SMALL_FUNCTIONS.slice(0, 8)]] as const) {
      const documents = share.map((text, i) => ({ docId: docIdOf(`${split} ${i}`), source: "test", language: "python", tokens: tokenizer.encode(text) }));
      await writeShards(join(directory, split), documents, { vocabSize: tokenizer.vocabSize, tokenizerSha256: sha256(tokenizerJson) });
    }
    await writeFile(join(directory, "tokenizer.json"), tokenizerJson);
    return store.artifacts.publish("shards", directory, {});
  }

  /** A model, published as a stage would leave it, in this store or another. */
  async publishModel(
    { model, tokenizer, parameters, meta = {}, metrics = [] }: { model: ModelConfig; tokenizer: Tokenizer; parameters: ReadonlyMap<string, NamedTensor>; meta?: JsonObject; metrics?: readonly MetricsLine[] },
    store: Store = this.store,
  ): Promise<ArtifactRef> {
    const directory = await this.directory();
    await saveCheckpoint(directory, { config: toHuggingFace(model), parameters, tokenizerJson: tokenizer.toJson(), trainerState: {}, metrics });
    return store.artifacts.publish("checkpoint", directory, meta);
  }

  /** Runs a stage, here or on another store. */
  runStage(definition: StageDefinition, inputs: Record<string, ArtifactRef>, { recipe = {}, execution = {}, seed = 1, ...options }: RunOptions = {}): Promise<StageOutcome> {
    return runStage({
      store: this.store,
      definition,
      request: { recipe, execution, inputs, seed, baseDirectory: this.folder },
      numerics: NUMERICS,
      signal: new AbortController().signal,
      now: () => performance.now(),
      ...options,
    });
  }

  /** The context of a call below `runStage`. */
  async context(changes: Partial<StageContext> = {}): Promise<StageContext> {
    return stageContext(this.store, await this.directory(), changes);
  }

  checkpoint(ref: ArtifactRef, store: Store = this.store): Promise<Checkpoint> {
    return loadCheckpoint((path) => store.artifacts.file(ref, path));
  }

  close(): Promise<void> {
    return rm(this.folder, { recursive: true });
  }
}

/** What a stage is given beside its request. */
export const stageContext = ({ artifacts, pieces }: Store, scratchDir: string, changes: Partial<StageContext> = {}): StageContext => ({
  artifacts,
  pieces,
  sources: {},
  scratchDir,
  signal: new AbortController().signal,
  now: () => performance.now(),
  log: () => {},
  numerics: NUMERICS,
  memoryBytes: Infinity,
  report: () => {},
  resumeFrom: undefined,
  saveCheckpoint: (_step, directory, meta) => artifacts.publish("checkpoint", directory, meta),
  ...changes,
});

/** Files of a store that this process holds open. */
export function openFilesOf({ root }: Store): string[] {
  const targets = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // the descriptor of this very listing
    }
  });
  return targets.filter((path) => path.startsWith(root));
}
