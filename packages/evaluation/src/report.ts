import type { PassAtK } from "@diffucoder/tasks";
import type { TrainingSummary } from "./checkpoint-history.ts";
import type { Recipe } from "./config.ts";
import type { SampleLine } from "./sample-line.ts";

/** A mean over tasks with its 95 % bootstrap interval. */
export interface Estimate {
  readonly mean: number;
  readonly interval: readonly [lower: number, upper: number];
}

export interface AtK {
  readonly k: number;
  readonly mean: number;
}

/** How far decoding goes from left to right, averaged over greedy decodes. */
export interface Arness {
  readonly local: readonly AtK[];
  readonly global: readonly AtK[];
}

export interface TemperatureScores {
  /** 0 is the greedy answer. */
  readonly temperature: number;
  readonly samplesPerTask: number;
  /** Without bias, over all tasks; pass@1 comes first. */
  readonly passAtK: readonly PassAtK[];
  /** By the benchmark's original tests alone, where it has others besides. */
  readonly basePassAtK?: readonly PassAtK[];
}

/** What a checkpoint scores on one set of tasks. */
export interface BenchmarkScores {
  readonly benchmark: string;
  /** The greedy answer's first. */
  readonly scores: readonly TemperatureScores[];
  /** Over the whole window behind the prompt, filler included, as in the paper. */
  readonly arness: Arness;
  /** Only over positions up to the end marker. */
  readonly arnessOfAnswer: Arness;
  /** Statuses of all answers; every answer has one. */
  readonly verdicts: Readonly<Record<string, number>>;
}

export interface CheckpointScores {
  readonly role: SampleLine["checkpoint"];
  /** Stage and step that made it. */
  readonly stage: string;
  readonly step: number;
  readonly digest: string;
  /** Held-out tasks first, then benchmarks in the recipe's order. */
  readonly benchmarks: readonly BenchmarkScores[];
}

/** What was asked. */
export interface BenchmarkFacts {
  readonly name: string;
  /** Tasks that the scores are over. */
  readonly tasks: number;
  /** Tasks that could not be run, and the libraries they need. */
  readonly skipped: readonly { readonly taskId: string; readonly missing: readonly string[] }[];
  readonly decoding: Recipe["decoding"];
  /** Of the benchmark's file. */
  readonly sha256?: string;
}

/** `report.json`. */
export interface EvaluationReport {
  readonly seed: number;
  readonly benchmarks: readonly BenchmarkFacts[];
  readonly checkpoints: readonly CheckpointScores[];
  /** pass@1 of the candidate minus the baseline's, task by task. */
  readonly differences: readonly ({ readonly benchmark: string; readonly temperature: number } & Estimate)[];
  /** The stages that trained the candidate. */
  readonly training: readonly TrainingSummary[];
}
