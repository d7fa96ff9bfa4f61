import type { TrainingSummary } from "./checkpoint-history.ts";

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

export interface CheckpointScores {
  readonly role: "baseline" | "candidate";
  /** Stage and step that made it. */
  readonly stage: string;
  readonly step: number;
  readonly digest: string;
  /** pass@1 of one greedy answer a task. */
  readonly greedy: Estimate;
  /** pass@1 over all samples. */
  readonly sampled: Estimate;
  readonly passAtK: readonly AtK[];
  /** Over the whole window behind the prompt, filler included, as in the paper. */
  readonly arness: Arness;
  /** Only over positions up to the end marker. */
  readonly arnessOfAnswer: Arness;
  /** Statuses of all answers, greedy and sampled. */
  readonly verdicts: Readonly<Record<string, number>>;
  readonly humaneval?: { readonly passAt1: Estimate; readonly tasks: number; readonly verdicts: Readonly<Record<string, number>> };
}

/** `report.json`. */
export interface EvaluationReport {
  readonly seed: number;
  readonly tasks: { readonly count: number; readonly families: readonly string[] };
  readonly samples: { readonly perTask: number; readonly temperature: number };
  readonly checkpoints: readonly CheckpointScores[];
  /** Sampled pass@1 of the candidate minus the baseline's, task by task. */
  readonly difference?: Estimate;
  /** The stages that trained the candidate. */
  readonly training: readonly TrainingSummary[];
}
