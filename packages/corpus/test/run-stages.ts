import { join } from "node:path";
import { openStore, runStage, type NumericsProfile, type RunStageOptions, type StageOutcome, type Store } from "@diffucoder/lineage";
import { corpusStage, tokenizeStage } from "../src/index.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

export const FIXTURES = join(import.meta.dirname, "fixtures");
export const TINY_TASKS = "../../../../data-cards/tiny-tasks.yaml";
export const TINY_BENCHMARK = { kind: "file", path: "tiny-benchmark.jsonl", sha256: "18995e7eacdb0a2234d4a48872e05f1e7e5c037012c80f780f4ce55d7fe20aa7" } as const;

export const PORTABLE: NumericsProfile = { dtype: "fp32", instructionSet: "any", threads: 1, libtensorflow: "none" };

type Request = Partial<RunStageOptions["request"]>;
type Options = Partial<Pick<RunStageOptions, "signal" | "onProgress">>;

export async function emptyStore(): Promise<Store> {
  return openStore(join(await temporaryDirectory(), "store"));
}

export function runCorpus(store: Store, recipe: unknown, request: Request = {}, options: Options = {}): Promise<StageOutcome> {
  return run(store, corpusStage, { recipe, ...request }, options);
}

export function runTokenize(store: Store, recipe: unknown, inputs: Request["inputs"] & object, request: Request = {}, options: Options = {}): Promise<StageOutcome> {
  return run(store, tokenizeStage, { recipe, inputs, ...request }, options);
}

function run(store: Store, definition: RunStageOptions["definition"], request: Request, options: Options): Promise<StageOutcome> {
  return runStage({
    store,
    definition,
    numerics: PORTABLE,
    signal: new AbortController().signal,
    now: () => performance.now(),
    ...options,
    request: { recipe: {}, execution: {}, inputs: {}, seed: 1, baseDirectory: FIXTURES, ...request },
  });
}
