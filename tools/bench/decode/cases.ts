import type { NamedTensor } from "@diffucoder/formats";
import { initialParameters, type DecodeAlgorithm, type ModelConfig } from "@diffucoder/model";
import { stream } from "@diffucoder/random";
import { SIZES } from "../train/cases.ts";

export type SizeName = keyof typeof SIZES;

/** One decode to be timed: everything that either side needs to know. */
export interface Case {
  readonly name: string;
  readonly model: ModelConfig;
  readonly batchSize: number;
  readonly canvasLength: number;
  readonly prompts: readonly (readonly number[])[];
  readonly steps: number;
  readonly algorithm: DecodeAlgorithm;
  readonly temperature: number;
  readonly threads: number;
  readonly dtype: "fp32" | "bf16";
  /** Folder of `weights.json` and `weights.bin`, the same for both sides. */
  readonly weights: string;
}

export const CANVAS = 256;
const PROMPT = 32;

/** The canvases that are decoded: eight at once at the quickstart's size, as rollouts are, and one at the larger. */
export const CASES = {
  "quickstart-entropy": { size: "quickstart", batchSize: 8, steps: 28, algorithm: "entropy", temperature: 0 },
  "quickstart-sampled": { size: "quickstart", batchSize: 8, steps: 28, algorithm: "entropy", temperature: 1 },
  "quickstart-one": { size: "quickstart", batchSize: 1, steps: 224, algorithm: "maskgit_plus", temperature: 0 },
  "medium-one": { size: "medium", batchSize: 1, steps: 28, algorithm: "entropy", temperature: 0 },
} as const;

export type CaseName = keyof typeof CASES;

export function caseOf(name: CaseName, dtype: "fp32" | "bf16", threads: number, weights: string): Case {
  const { size, batchSize, steps, algorithm, temperature } = CASES[name];
  const model = modelOf(size);
  const draws = stream({ seed: 1, stage: "bench", purpose: "prompts" });
  const prompts = Array.from({ length: batchSize }, () => Array.from({ length: PROMPT }, () => 2 + draws.integer(model.vocabSize - 2)));
  return { name, model, batchSize, canvasLength: CANVAS, prompts, steps, algorithm, temperature, threads, dtype, weights };
}

export function modelOf(size: SizeName): ModelConfig {
  const { vocabSize, batchSize: _batch, canvasLength: _canvas, ...architecture } = SIZES[size];
  // Wider than a new model's, so that distributions differ from position to position as a trained one's do.
  const initializerRange = 2 / Math.sqrt(architecture.hiddenSize);
  return { ...architecture, tied: true, ropeTheta: 10_000, normEpsilon: 1e-6, initializerRange, vocabSize, maxPositions: CANVAS, maskId: 0, padId: 1 };
}

export const weightsOf = (model: ModelConfig): Map<string, NamedTensor> => initialParameters(model, 1);
