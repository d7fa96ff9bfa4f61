import type { ArtifactRef } from "@diffucoder/lineage";
import { initialParameters, noiseCanvas, type ModelConfig } from "@diffucoder/model";
import { stream } from "@diffucoder/random";
import { generateTasks, renderCompletion, renderPrompt, type CodeTask } from "@diffucoder/tasks";
import { taskTokenizer, tinyModel as tinyModelOf, type TemporaryStore } from "@diffucoder/test-kit";
import type { Tokenizer } from "@diffucoder/tokenizer";
import { drawNoiseLevels, fixedNoiseLevels, trainDiffusion, type BatchSource } from "@diffucoder/training";
import type { Rollout } from "../src/rollout.ts";

/** 14 tokens of prompt, 29 of answer, one of padding. */
export const CANVAS = 44;
export const SEED = 1;

/** Two tasks to learn on and two to choose the start by; the model of `trainedCheckpoint` knows these and no others. */
export const reinforcementTasks = generateTasks({ families: ["linear"], split: "reinforcement", count: 2, seed: SEED });
export const selectionTasks = generateTasks({ families: ["linear"], split: "selection", count: 2, seed: SEED });
const known = [...reinforcementTasks, ...selectionTasks];

export const tinyTokenizer = (): Promise<Tokenizer> => taskTokenizer(SEED);

export const tinyModel = (tokenizer: Tokenizer): ModelConfig => tinyModelOf(tokenizer, { hiddenSize: 32, intermediateSize: 64, initializerRange: 0.15, maxPositions: CANVAS });

/** Steps after which the model of `trainedCheckpoint` knows nothing, answers half right, and answers right. */
export const STEPS = { untrained: 2, half: 300, right: 360 } as const;

/**
 * A checkpoint as instruction tuning leaves it, with kept steps: it has learned a right and a wrong answer to each of
 * the known tasks, and last the right ones alone.
 */
export async function trainedCheckpoint(workplace: TemporaryStore, tokenizer: Tokenizer, model: ModelConfig): Promise<ArtifactRef> {
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

/** A model on a canvas of ten tokens that has learned nothing. */
export const untrainedModel = (initializerRange: number): ModelConfig => ({
  hiddenSize: 16,
  intermediateSize: 24,
  layers: 2,
  heads: 2,
  kvHeads: 1,
  tied: true,
  ropeTheta: 10_000,
  normEpsilon: 1e-6,
  initializerRange,
  vocabSize: 23,
  maxPositions: 10,
  maskId: 22,
  padId: 21,
});

/** Four completions of random tokens on the canvas of `untrainedModel`; their window is its last seven positions. */
export function randomRollouts(): Rollout[] {
  const draws = stream({ seed: 1, stage: "test", purpose: "rollouts" });
  return [3, 3, 5, 4].map((promptLength, sample) => ({
    task: reinforcementTasks[0]!,
    tokens: Int32Array.from({ length: 10 }, () => draws.integer(20)),
    promptLength,
    liveLength: [7, 4, 5, 2][sample]!,
    trace: new Int32Array(10 - promptLength),
    completion: "",
  }));
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
