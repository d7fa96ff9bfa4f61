// Axes: B completions, C completion positions, N = B * C.
import * as tf from "@tensorflow/tfjs-core";
import type { Objective } from "./config.ts";

export interface PolicyLossInputs {
  /** Current log-probability of each sampled token, in nats. */
  readonly logProbs: tf.Tensor1D; // [N]
  readonly oldLogProbs: tf.Tensor1D; // [N]
  readonly referenceLogProbs: tf.Tensor1D; // [N]
  /** Advantage of the completion the token belongs to. */
  readonly advantages: tf.Tensor1D; // [N]
  /** 1 for a token that is learned from; 0 behind an answer's end, in filler, and where no pass hides the token. */
  readonly live: tf.Tensor1D; // [N]
}

export interface PolicyLoss {
  readonly loss: tf.Scalar;
  /** Mean estimate of the divergence from the reference, in nats per live token. */
  readonly divergence: tf.Scalar;
  /** Share of ratios outside the clip range. */
  readonly clippedShare: tf.Scalar;
  readonly ratios: tf.Tensor1D; // [N] of tokens, or [B] of completions
}

/**
 * Policy loss with a penalty for leaving the reference. With A the advantage, and each mean over what is live:
 *
 *     token     ratio = exp(logProb - oldLogProb) of a token
 *               loss  = mean of  -min(ratio A, clip(ratio) A) + klWeight k3      k3 = exp(ref - cur) - (ref - cur) - 1
 *     sequence  the same of completions, with a completion's mean log-probability for a token's, and k2 = (ref - cur)^2 / 2 for k3
 *     stable    loss  = -sum of clip(ratio) A logProb / sum of clip(ratio) + klWeight mean of k2, of completions, clip(ratio) taken as constant:
 *               a convex combination of the completions' gradients, so that no outlier is more than one of them
 *
 * clip(ratio) lies in [1 - clip, 1 + clipAbove].
 *
 * @source token: DiffuCoder, arXiv:2506.20639v2, eq. 3 (GRPO objective) with the estimator of its eq. 13; sequence: ESPO,
 *   arXiv:2512.03559; stable: StableDRL, arXiv:2603.06743
 * @deviation one mean over all live tokens of the batch; the released code averages micro-batches first
 */
export function policyLoss(
  inputs: PolicyLossInputs,
  options: { readonly objective: Objective; readonly klWeight: number; readonly batchSize: number },
): PolicyLoss {
  const { objective, klWeight, batchSize } = options;
  const { clip, clipAbove = clip } = objective;
  const { logProbs, oldLogProbs, referenceLogProbs, advantages, live } = objective.kind === "token" ? inputs : completionsOf(inputs, batchSize);
  const liveCount = tf.maximum(tf.sum(live), 1);
  const meanOverLive = (values: tf.Tensor) => tf.div<tf.Scalar>(tf.sum(tf.mul(values, live)), liveCount);

  const ratios = tf.exp<tf.Tensor1D>(tf.sub(logProbs, oldLogProbs)); // [N] or [B]
  const clipped = tf.clipByValue(ratios, 1 - clip, 1 + clipAbove); // [N] or [B]
  const toReference = tf.sub(referenceLogProbs, logProbs); // [N] or [B]
  const divergence = meanOverLive(objective.kind === "token" ? k3(toReference) : tf.mul(tf.square(toReference), 0.5));
  const gain = objective.kind === "stable" ? weightedGain(logProbs, advantages, tf.mul(constant(clipped), live)) : meanOverLive(tf.minimum(tf.mul(ratios, advantages), tf.mul(clipped, advantages)));
  const loss = tf.add<tf.Scalar>(tf.neg(gain), tf.mul(divergence, klWeight));
  const isClipped = tf.cast(tf.notEqual(ratios, clipped), "float32"); // [N] or [B]
  return { loss, divergence, clippedShare: meanOverLive(isClipped), ratios };
}

const k3 = (toReference: tf.Tensor) => tf.sub(tf.sub(tf.exp(toReference), toReference), 1);

const weightedGain = (logProbs: tf.Tensor, advantages: tf.Tensor, weights: tf.Tensor) =>
  tf.div(tf.sum(tf.mul(weights, tf.mul(advantages, logProbs))), tf.maximum(tf.sum(weights), 1e-6));

/** The values, with no gradient. */
const constant = tf.customGrad((values) => ({ value: (values as tf.Tensor).clone(), gradFunc: (dy: tf.Tensor) => tf.zerosLike(dy) }));

/** Means over the live tokens of each completion, which is itself live if one of them is. */
function completionsOf({ live, ...values }: PolicyLossInputs, batchSize: number): PolicyLossInputs {
  const sumOf = (perToken: tf.Tensor) => tf.sum<tf.Tensor1D>(tf.reshape(tf.mul(perToken, live), [batchSize, -1]), 1); // [B]
  const counts = tf.sum<tf.Tensor1D>(tf.reshape(live, [batchSize, -1]), 1); // [B]
  const meanOf = (perToken: tf.Tensor) => tf.div<tf.Tensor1D>(sumOf(perToken), tf.maximum(counts, 1));
  const { logProbs, oldLogProbs, referenceLogProbs, advantages } = values;
  return {
    logProbs: meanOf(logProbs),
    oldLogProbs: meanOf(oldLogProbs),
    referenceLogProbs: meanOf(referenceLogProbs),
    advantages: meanOf(advantages),
    live: tf.minimum(counts, 1),
  };
}
