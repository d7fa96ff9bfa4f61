import type { AnswerVerdict } from "./question.ts";

/** One line of `samples.jsonl`: an answer, how it came about, and what became of it. */
export interface SampleLine extends AnswerVerdict {
  readonly checkpoint: "baseline" | "candidate";
  /** `held-out`, or the benchmark. */
  readonly benchmark: string;
  readonly task_id: string;
  /** 0 is the greedy answer. */
  readonly temperature: number;
  /** Index among the samples of a task at a temperature. */
  readonly sample: number;
  /** Of the evaluation; each answer has a random stream of its own under it. */
  readonly seed: number;
  readonly passed: boolean;
  readonly completion: string;
  /** The program that was run; null where the answer held none. */
  readonly solution: string | null;
  readonly promptTokens: number;
  /** Positions behind the prompt, up to and including the end marker. */
  readonly answerTokens: number;
  /** Positions behind the prompt, from 0, in the order they were fixed. */
  readonly order: readonly number[];
  /** Denoising step, from 0, that fixed each position behind the prompt; after an early stop it ends with the answer, as do the other two. */
  readonly trace: readonly number[];
  /** How sure the model was of each position when it was fixed, by the decoding algorithm's own measure. */
  readonly confidences: readonly number[];
  /**
   * Entropy, in nats, of each position behind the prompt at the first pass, when all are masked. Of the greedy answer only,
   * since it depends on the prompt alone; left out with a block cache, which sees the first block alone.
   */
  readonly firstEntropies?: readonly number[];
}
