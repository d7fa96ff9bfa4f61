// Axes: B completions, C completion positions, N = B * C.
import * as tf from "@tensorflow/tfjs-core";

export interface PolicyLossInputs {
  /** Current log-probability of each sampled token, in nats. */
  readonly logProbs: tf.Tensor1D; // [N]
  readonly oldLogProbs: tf.Tensor1D; // [N]
  readonly referenceLogProbs: tf.Tensor1D; // [N]
  /** Advantage of the completion the token belongs to. */
  readonly advantages: tf.Tensor1D; // [N]
  /** 1 up to and including the end of the answer, 0 behind it and in filler. */
  readonly live: tf.Tensor1D; // [N]
}

export interface PolicyLoss {
  readonly loss: tf.Scalar;
  /** Mean k3 estimate of the divergence from the reference, in nats per live token. */
  readonly divergence: tf.Scalar;
  /** Share of live tokens whose ratio lies outside the clip range. */
  readonly clippedShare: tf.Scalar;
  readonly ratios: tf.Tensor1D; // [N]
}

/**
 * Clipped policy loss with a penalty for leaving the reference, averaged over live tokens.
 *
 *     ratio = exp(logProb - oldLogProb)
 *     loss  = mean over live of  -min(ratio A, clip(ratio, 1 - clip, 1 + clip) A) + klWeight k3
 *     k3    = exp(ref - cur) - (ref - cur) - 1
 *
 * @source DiffuCoder, arXiv:2506.20639v2, eq. 3 (GRPO objective) with the estimator of its eq. 13
 * @deviation one mean over all live tokens of the batch; the released code averages micro-batches first
 */
export function policyLoss(
  inputs: PolicyLossInputs,
  options: { readonly clip: number; readonly klWeight: number },
): PolicyLoss {
  const { logProbs, oldLogProbs, referenceLogProbs, advantages, live } = inputs;
  const liveCount = tf.maximum(tf.sum(live), 1);
  const meanOverLive = (values: tf.Tensor) => tf.div<tf.Scalar>(tf.sum(tf.mul(values, live)), liveCount);

  const ratios = tf.exp<tf.Tensor1D>(tf.sub(logProbs, oldLogProbs)); // [N]
  const clipped = tf.clipByValue(ratios, 1 - options.clip, 1 + options.clip); // [N]
  const gain = tf.minimum(tf.mul(ratios, advantages), tf.mul(clipped, advantages)); // [N]

  const toReference = tf.sub(referenceLogProbs, logProbs); // [N]
  const k3 = tf.sub(tf.sub(tf.exp(toReference), toReference), 1); // [N]

  const divergence = meanOverLive(k3);
  const loss = tf.add<tf.Scalar>(tf.neg(meanOverLive(gain)), tf.mul(divergence, options.klWeight));
  const isClipped = tf.cast(tf.notEqual(ratios, clipped), "float32"); // [N]
  return { loss, divergence, clippedShare: meanOverLive(isClipped), ratios };
}
