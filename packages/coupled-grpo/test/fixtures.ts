import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { openStore, type ArtifactRef, type StageContext, type StageProgress, type Store } from "@diffucoder/lineage";
import { initialParameters, noiseCanvas, type ModelConfig } from "@diffucoder/model";
import { stream } from "@diffucoder/random";
import { generateTasks, renderCompletion, renderPrompt, type CodeTask } from "@diffucoder/tasks";
import { trainTokenizer, type Tokenizer } from "@diffucoder/tokenizer";
import { drawNoiseLevels, fixedNoiseLevels, trainDiffusion, type BatchSource } from "@diffucoder/training";

/** 14 tokens of prompt, 29 of answer, one of padding. */
export const CANVAS = 44;
export const SEED = 1;
export const NUMERICS = { dtype: "fp32", instructionSet: "test", threads: 2, libtensorflow: "test" } as const;

/** Two tasks to learn on and two to choose the start by; the model of `trainedCheckpoint` knows these and no others. */
export const reinforcementTasks = generateTasks({ families: ["linear"], split: "reinforcement", count: 2, seed: SEED });
export const selectionTasks = generateTasks({ families: ["linear"], split: "selection", count: 2, seed: SEED });
const known = [...reinforcementTasks, ...selectionTasks];

export const tinyTokenizer = (): Promise<Tokenizer> =>
  trainTokenizer(
    generateTasks({ families: ["linear"], split: "train", count: 64, seed: SEED }).map((task) => renderPrompt(task) + renderCompletion(task)),
    { vocabSize: 400 },
  );

export const tinyModel = (tokenizer: Tokenizer): ModelConfig => ({
  hiddenSize: 32,
  intermediateSize: 64,
  layers: 1,
  heads: 2,
  kvHeads: 1,
  tied: true,
  ropeTheta: 10_000,
  normEpsilon: 1e-6,
  initializerRange: 0.15,
  vocabSize: tokenizer.vocabSize,
  maxPositions: CANVAS,
  maskId: tokenizer.id("<|mask|>"),
  padId: tokenizer.id("<|dlm_pad|>"),
});

/** A folder with a store, removed by `close`. */
export class Workplace {
  readonly folder: string;
  readonly store: Store;

  private constructor(folder: string, store: Store) {
    this.folder = folder;
    this.store = store;
  }

  static async open(): Promise<Workplace> {
    const folder = await mkdtemp(join(tmpdir(), "coupled-grpo-"));
    await chmod(folder, 0o755); // the sandbox's user must get at the `bwrap` of `withFailingSandbox`
    return new Workplace(folder, await openStore(join(folder, "store")));
  }

  directory(): Promise<string> {
    return mkdtemp(join(this.folder, "directory-"));
  }

  async context(changes: Partial<StageContext> = {}): Promise<StageContext & { readonly progress: StageProgress[] }> {
    const progress: StageProgress[] = [];
    return {
      artifacts: this.store.artifacts,
      scratchDir: await this.directory(),
      signal: new AbortController().signal,
      now: () => performance.now(),
      log: () => {},
      numerics: NUMERICS,
      report: (line) => progress.push(line),
      resumeFrom: undefined,
      saveCheckpoint: (_step, directory, meta) => this.store.artifacts.publish("checkpoint", directory, meta),
      progress,
      ...changes,
    };
  }

  /** Runs `work` where the sandbox starts, but dies at its first job, and does so for the first `deaths` jobs. */
  async withFailingSandbox<T>(deaths: number, work: () => Promise<T>): Promise<T> {
    const directory = await this.directory();
    await chmod(directory, 0o755);
    const counter = join(directory, "starts");
    await writeFile(counter, "0\n");
    await chmod(counter, 0o666);
    const bubblewrap = process.env.PATH!.split(delimiter).map((folder) => join(folder, "bwrap")).find(existsSync)!;
    const script = ["#!/bin/sh", `read n < ${counter}`, `echo $((n + 1)) > ${counter}`, `if [ $n -lt ${deaths} ]; then echo '{"ready":""}'; exit; fi`, `exec ${bubblewrap} "$@"`, ""];
    await writeFile(join(directory, "bwrap"), script.join("\n"), { mode: 0o755 });
    return withVariable("PATH", directory, work);
  }

  close(): Promise<void> {
    return rm(this.folder, { recursive: true });
  }
}

/** Runs `work` with another value of an environment variable. */
export async function withVariable<T>(name: "PATH" | "TMPDIR", value: string, work: () => Promise<T>): Promise<T> {
  const own = process.env[name];
  process.env[name] = value;
  try {
    return await work();
  } finally {
    if (own === undefined) delete process.env[name];
    else process.env[name] = own;
  }
}

/** Steps after which the model of `trainedCheckpoint` knows nothing, answers half right, and answers right. */
export const STEPS = { untrained: 2, half: 300, right: 360 } as const;

/**
 * A checkpoint as instruction tuning leaves it, with kept steps: it has learned a right and a wrong answer to each of
 * the known tasks, and last the right ones alone.
 */
export async function trainedCheckpoint(workplace: Workplace, tokenizer: Tokenizer, model: ModelConfig): Promise<ArtifactRef> {
  const right = known.map((task) => layOut(task, tokenizer, model));
  const wrong = known.map((task) => layOut({ ...task, solution: wrongSolution(task) }, tokenizer, model));
  const both = [...right, ...wrong, ...right, ...wrong];
  const source: BatchSource = {
    annealed: false,
    trainingBatch: async (step) => {
      const samples = step <= STEPS.half ? both : [...right, ...right, ...right, ...right];
      const key = { seed: SEED, stage: "fixture", step, purpose: "noise" };
      return batchOf(samples, drawNoiseLevels(samples.length, NOISE, stream(key)), model, key);
    },
    validationBatch: async (step) => batchOf(both, fixedNoiseLevels(both.length, NOISE.smallest), model, { seed: SEED, stage: "fixture", step, purpose: "validation" }),
  };
  const training = {
    model,
    parameters: initialParameters(model, SEED),
    tokenizerJson: tokenizer.toJson(),
    history: [],
    metrics: [],
    stage: "instruction-tuning",
    source,
    recipe: {
      steps: STEPS.right,
      batchSize: both.length,
      canvasLength: CANVAS,
      noise: NOISE,
      lossWeights: { kind: "inverse-level" as const },
      microBatches: 1,
      optimizer: { learningRate: 0.01, warmupSteps: 10, finalShare: 0.2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, clipNorm: 1 },
      validationBatches: 1,
    },
    execution: { checkpointEverySteps: 1000 },
    keepSteps: [STEPS.untrained, STEPS.half],
  };
  const { checkpoint } = (await trainDiffusion(training, await workplace.context())).outputs;
  return workplace.store.artifacts.publish("checkpoint", checkpoint!.directory, checkpoint!.meta);
}

const NOISE = { levels: "stratified", smallest: 0.01 } as const;

/** The solution with its first operand one higher: as well formed, and wrong on some check. */
const wrongSolution = ({ solution }: CodeTask): string => solution.replace(/\d/, (digit) => String((Number(digit) + 1) % 10));

interface Sample {
  readonly tokens: Int32Array;
  readonly promptLength: number;
}

function layOut(task: CodeTask, tokenizer: Tokenizer, model: ModelConfig): Sample {
  const prompt = tokenizer.encode(renderPrompt(task), { specials: true });
  const tokens = new Int32Array(CANVAS).fill(model.padId);
  tokens.set(prompt);
  tokens.set(tokenizer.encode(renderCompletion(task), { specials: true }), prompt.length);
  return { tokens, promptLength: prompt.length };
}

function batchOf(samples: readonly Sample[], noiseLevels: readonly number[], { maskId }: ModelConfig, key: { seed: number; stage: string; step: number; purpose: string }) {
  return {
    originals: samples.map(({ tokens }) => tokens),
    canvases: samples.map(({ tokens, promptLength }, sample) =>
      noiseCanvas({ tokens, isMaskable: (position) => position >= promptLength, noiseLevel: noiseLevels[sample]!, draws: stream({ ...key, sample }), maskId }),
    ),
    maskableCount: samples.reduce((sum, { tokens, promptLength }) => sum + tokens.length - promptLength, 0),
    documents: known.map(({ id }) => id),
  };
}
