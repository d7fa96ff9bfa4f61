// Axes: R rows, V vocabulary.
import { hasNativeKernels, runNativeKernel } from "@diffucoder/engine";
import * as tf from "@tensorflow/tfjs-core";
import type { DecodeAlgorithm, TokenFilter } from "./token-distribution.ts";

/**
 * What a graph can say of a confidence, as doubt: the smaller, the surer. Doubts near 0 keep their digits where
 * confidences near 1 would lose them.
 */
export type DoubtName = "missingProbability" | "missingMargin" | "entropy";

/** The doubt that stands for a decode's confidence; undefined where only the host knows: cut or drawn tokens. */
export function doubtFor(algorithm: DecodeAlgorithm, { temperature, topP = 1, topK }: TokenFilter): DoubtName | undefined {
  if (topP < 1 || topK !== undefined || algorithm === "origin") return undefined;
  if (algorithm === "entropy") return "entropy";
  if (algorithm === "topk_margin") return "missingMargin";
  return temperature === 0 ? "missingProbability" : undefined;
}

export interface Bounds {
  readonly lowest: number;
  readonly highest: number;
}

/** Share by which a doubt in single precision may be off; a test holds it to half. */
const SINGLE_ROUNDING = 5e-5;
/** By how much a confidence in double precision may be off. */
const DOUBLE_ROUNDING = 1e-14;

/** Where the confidence in double precision lies, see `confidenceOf`; anywhere when there is no doubt to go by. */
export function confidenceBounds(name: DoubtName, doubt: number, vocabSize: number): Bounds {
  if (!Number.isFinite(doubt)) return { lowest: -Infinity, highest: Infinity };
  const center = name === "entropy" ? -doubt : 1 - doubt;
  const error = SINGLE_ROUNDING * doubt + DOUBLE_ROUNDING;
  // The 1e-10 inside the entropy's logarithm raises it by at most so much for each token.
  return { lowest: center - error, highest: center + error + (name === "entropy" ? 1e-10 * vocabSize : 0) };
}

/** Doubts of each row, in single precision and by several cores. */
export function confidenceDoubts(logits: tf.Tensor2D, temperature: tf.Scalar): Record<DoubtName, tf.Tensor1D> {
  return (hasNativeKernels() ? fusedDoubts : composedDoubts)(logits, temperature);
}

function fusedDoubts(logits: tf.Tensor2D, temperature: tf.Scalar): Record<DoubtName, tf.Tensor1D> {
  const [missingProbability, missingMargin, entropy] = runNativeKernel("DiffucoderDoubts", [logits, temperature], 3) as tf.Tensor1D[]; // [R] each
  return { missingProbability: missingProbability!, missingMargin: missingMargin!, entropy: entropy! };
}

export function composedDoubts(logits: tf.Tensor2D, temperature: tf.Scalar): Record<DoubtName, tf.Tensor1D> {
  const below = tf.div(tf.sub(logits, tf.max(logits, -1, true)), temperature); // [R, V], at most 0
  const powers = tf.exp(below); // [R, V]
  const isLess = tf.cast(tf.less(below, 0), "float32"); // [R, V]
  const vocabSize = logits.shape[1]!;
  // All but the likeliest token, added up without it: 1 less than the sum would lose the small ones.
  const equals = tf.sub(vocabSize - 1, tf.sum(isLess, -1)); // [R]
  const rest = tf.add(tf.sum(tf.mul(powers, isLess), -1), equals) as tf.Tensor1D; // [R]
  const sum = tf.add(rest, 1) as tf.Tensor1D; // [R]
  const [first, second] = tf.split(tf.topk(logits, 2).values, 2, -1); // [R, 1]
  const next = tf.reshape(tf.exp(tf.div(tf.sub(second!, first!), temperature)), [-1]); // [R]
  return {
    missingProbability: tf.div(rest, sum),
    missingMargin: tf.div(tf.add(rest, next), sum),
    entropy: tf.sub(tf.log1p(rest), tf.div(tf.sum(tf.mul(powers, below), -1), sum)),
  };
}
