// Axes: B canvases, T tokens per canvas.
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createProgram } from "@diffucoder/engine";
import { saveCheckpoint, type MetricsLine, type NamedTensor } from "@diffucoder/formats";
import { openStore, runStage, type ArtifactRef, type JsonObject, type RunStageOptions, type StageOutcome, type StageProgress, type Store } from "@diffucoder/lineage";
import { architectureSchema, decays, diffusionFeeds, diffusionLossGraph, initialParameters, noiseCanvas, parameterShapes, toHuggingFace, type ModelConfig } from "@diffucoder/model";
import { stream } from "@diffucoder/random";
import { generateTasks, renderBenchmarkPrompt, renderCompletion, renderPrompt, type CodeTask } from "@diffucoder/tasks";
import { trainTokenizer, type Tokenizer } from "@diffucoder/tokenizer";
import { evaluationStage } from "../src/run-evaluation.ts";

export const SEED = 1;
export const NUMERICS = { dtype: "fp32", instructionSet: "test", threads: 2, libtensorflow: "test" } as const;

/** Held-out tasks that the fixtures score on: what the stage draws for these options and `SEED`. */
export const TASKS = { families: ["linear"], count: 2 } as const;
export const tasks = generateTasks({ ...TASKS, split: "heldout", seed: SEED });

/** A benchmark of three: one that a model can learn, the same with a test that no such answer passes, and one with a prompt too long for the canvas. */
export const HUMANEVAL = [
  { task_id: "HumanEval/0", prompt: "def inc(n):\n", entry_point: "inc", canonical_solution: "    return n + 1\n", test: "def check(candidate):\n    assert candidate(1) == 2\n" },
  { task_id: "HumanEval/1", prompt: "def inc(n):\n", entry_point: "inc", canonical_solution: "    return n - 1\n", test: "def check(candidate):\n    assert candidate(1) == 0\n" },
  { task_id: "HumanEval/2", prompt: `def far(n):\n    "${"123456789".repeat(4)}"\n`, entry_point: "far", canonical_solution: "    pass\n", test: "def check(candidate):\n    pass\n" },
];
export const completionPrompt = (index: number): string => renderBenchmarkPrompt({ id: "", prompts: { complete: HUMANEVAL[index]!.prompt } }, "complete");
const COMPLETION = `${HUMANEVAL[0]!.prompt}${HUMANEVAL[0]!.canonical_solution}\`\`\`\n<|im_end|>`;

export const tokenizer: Tokenizer = await trainTokenizer([...tasks.map((task) => renderPrompt(task) + renderCompletion(task)), completionPrompt(0) + COMPLETION], { vocabSize: 500 });

/** Room for the longest prompt and answer, and two tokens of padding. */
export const CANVAS = 2 + Math.max(...tasks.map((task) => encode(renderPrompt(task) + renderCompletion(task)).length));
export const HUMANEVAL_CANVAS = encode(completionPrompt(0)).length + 32;

export function encode(text: string): Uint32Array {
  return tokenizer.encode(text, { specials: true });
}

export const model: ModelConfig = {
  ...architectureSchema.parse({ hiddenSize: 32, intermediateSize: 64, layers: 1, heads: 2, kvHeads: 1, initializerRange: 0.15 }),
  vocabSize: tokenizer.vocabSize,
  maxPositions: CANVAS,
  maskId: tokenizer.id("<|mask|>"),
  padId: tokenizer.id("<|dlm_pad|>"),
};

/** A model that has learned its solutions by heart. */
export const memorized = (solutionOf: (task: CodeTask) => string = ({ solution }) => solution): Promise<Map<string, NamedTensor>> =>
  learn(tasks.map((task) => ({ prompt: renderPrompt(task), answer: renderCompletion({ solution: solutionOf(task) }) })), CANVAS, 300);

/** A model that has learned to complete HumanEval/0. */
export const memorizedCompletion = (): Promise<Map<string, NamedTensor>> => learn([{ prompt: completionPrompt(0), answer: COMPLETION }], HUMANEVAL_CANVAS, 100);

async function learn(samples: readonly { prompt: string; answer: string }[], canvasLength: number, steps: number): Promise<Map<string, NamedTensor>> {
  const batch = Array.from({ length: 8 }, (_, i) => {
    const { prompt, answer } = samples[i % samples.length]!;
    const tokens = new Int32Array(canvasLength).fill(model.padId);
    tokens.set(encode(prompt + answer));
    return { tokens, promptLength: encode(prompt).length };
  });
  const shape = { batchSize: batch.length, canvasLength, rowCapacity: batch.length * canvasLength, annealed: false };
  const program = await createProgram({
    variables: parameterShapes(model),
    dtype: "fp32",
    graphs: { loss: { ...diffusionLossGraph(model, shape), train: true } },
    optimizer: { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, decays: decays(model), clipNorm: 1 },
  });
  program.writeVariables(initialParameters(model, SEED));
  for (let step = 1; step <= steps; step++) {
    const canvases = batch.map(({ tokens, promptLength }, i) => {
      // Levels spread over (0, 1], so that every step sees almost empty and almost full canvases.
      const noiseLevel = (i + 1) / batch.length;
      return noiseCanvas({ tokens, isMaskable: (position) => position >= promptLength, noiseLevel, draws: stream({ seed: SEED, stage: "fixture", step, sample: i, purpose: "noise" }), maskId: model.maskId });
    });
    const maskableCount = batch.reduce((sum, { promptLength }) => sum + canvasLength - promptLength, 0);
    const feeds = { ...diffusionFeeds({ canvases, originals: batch.map(({ tokens }) => tokens), maskableCount, rowCapacity: shape.rowCapacity }) };
    program.trainStep("loss", feeds, { learningRate: 0.01 * Math.min(1, 2 * (1 - step / steps)), step });
  }
  const parameters = program.readVariables();
  program.dispose();
  return parameters;
}

/** A folder with a store, removed by `close`. */
export class Workplace {
  readonly folder: string;
  readonly store: Store;

  private constructor(folder: string, store: Store) {
    this.folder = folder;
    this.store = store;
  }

  static async open(): Promise<Workplace> {
    const folder = await mkdtemp(join(tmpdir(), "evaluation-"));
    await chmod(folder, 0o755); // the sandbox's user must get at the `bwrap` of `withFailingSandbox`
    return new Workplace(folder, await openStore(join(folder, "store")));
  }

  async publish(parameters: ReadonlyMap<string, NamedTensor>, meta: JsonObject = {}, metrics: readonly MetricsLine[] = []): Promise<ArtifactRef> {
    const directory = await mkdtemp(join(this.folder, "checkpoint-"));
    await saveCheckpoint(directory, { config: toHuggingFace(model), parameters, tokenizerJson: tokenizer.toJson(), trainerState: {}, metrics });
    return this.store.artifacts.publish("checkpoint", directory, meta);
  }

  /** An artifact of another workplace. */
  async copy(other: Workplace, ref: ArtifactRef): Promise<ArtifactRef> {
    const directory = await mkdtemp(join(this.folder, "copy-"));
    const { files, meta } = await other.store.artifacts.manifest(ref);
    for (const { path } of files) await copyFile(await other.store.artifacts.file(ref, path), join(directory, path));
    return this.store.artifacts.publish(ref.kind, directory, meta);
  }

  async evaluate(inputs: Record<string, ArtifactRef>, recipe: Record<string, unknown>, changes: Partial<RunStageOptions> = {}): Promise<StageOutcome & { readonly progress: StageProgress[] }> {
    const progress: StageProgress[] = [];
    const outcome = await runStage({
      store: this.store,
      definition: evaluationStage,
      request: { recipe, execution: {}, inputs, seed: SEED, baseDirectory: this.folder },
      numerics: NUMERICS,
      signal: new AbortController().signal,
      now: () => performance.now(),
      onProgress: (line) => progress.push(line),
      ...changes,
    });
    return { ...outcome, progress };
  }

  /** Text of a file of a report. */
  async read(report: ArtifactRef, file: string): Promise<string> {
    return readFile(await this.store.artifacts.file(report, file), "utf8");
  }

  /** Runs `work` where the sandbox starts, but dies at its first job, or at every one. */
  async withFailingSandbox<T>(deaths: "first" | "every", work: () => Promise<T>): Promise<T> {
    const directory = await mkdtemp(join(this.folder, "bin-"));
    const marker = join(directory, "died");
    await chmod(directory, 0o777);
    const own = process.env.PATH!;
    const bubblewrap = own.split(delimiter).map((folder) => join(folder, "bwrap")).find(existsSync)!;
    const mayDie = deaths === "every" ? "true" : `mkdir ${marker} 2> /dev/null`; // only one process makes the folder
    const script = ["#!/bin/sh", `if ${mayDie}; then echo '{"ready":""}'; exit; fi`, `exec ${bubblewrap} "$@"`, ""];
    await writeFile(join(directory, "bwrap"), script.join("\n"), { mode: 0o755 });
    process.env.PATH = `${directory}${delimiter}${own}`;
    try {
      return await work();
    } finally {
      process.env.PATH = own;
    }
  }

  close(): Promise<void> {
    return rm(this.folder, { recursive: true });
  }
}
