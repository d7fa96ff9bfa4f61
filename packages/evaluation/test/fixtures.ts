// Axes: B canvases, T tokens per canvas.
import { readFile } from "node:fs/promises";
import { createProgram } from "@diffucoder/engine";
import type { MetricsLine, NamedTensor } from "@diffucoder/formats";
import type { ArtifactRef, JsonObject, StageOutcome, StageProgress } from "@diffucoder/lineage";
import { decays, diffusionFeeds, diffusionLossGraph, initialParameters, noiseCanvas, parameterShapes, type ModelConfig } from "@diffucoder/model";
import { stream } from "@diffucoder/random";
import { generateTasks, renderBenchmarkPrompt, renderCompletion, renderPrompt, type CodeTask } from "@diffucoder/tasks";
import { TemporaryStore, tinyModel, type RunOptions } from "@diffucoder/test-kit";
import { trainTokenizer, type Tokenizer } from "@diffucoder/tokenizer";
import { evaluationStage } from "../src/run-evaluation.ts";

export const SEED = 1;

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

export const model: ModelConfig = tinyModel(tokenizer, { hiddenSize: 32, intermediateSize: 64, initializerRange: 0.15, maxPositions: CANVAS });

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

export class Workplace extends TemporaryStore {
  publish(parameters: ReadonlyMap<string, NamedTensor>, meta: JsonObject = {}, metrics: readonly MetricsLine[] = []): Promise<ArtifactRef> {
    return this.publishModel({ model, tokenizer, parameters, meta, metrics });
  }

  /** An artifact of another workplace. */
  async copy(other: Workplace, ref: ArtifactRef): Promise<ArtifactRef> {
    const directory = await this.directory();
    await other.store.artifacts.materialize(ref, directory);
    return this.store.artifacts.publish(ref.kind, directory, (await other.store.artifacts.manifest(ref)).meta);
  }

  async evaluate(inputs: Record<string, ArtifactRef>, recipe: object, options: RunOptions = {}): Promise<StageOutcome & { readonly progress: StageProgress[] }> {
    const progress: StageProgress[] = [];
    const outcome = await this.runStage(evaluationStage, inputs, { seed: SEED, recipe, onProgress: (line) => progress.push(line), ...options });
    return { ...outcome, progress };
  }

  /** Text of a file of a report. */
  async read(report: ArtifactRef, file: string): Promise<string> {
    return readFile(await this.store.artifacts.file(report, file), "utf8");
  }
}
