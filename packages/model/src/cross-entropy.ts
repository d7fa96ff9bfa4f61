// Axes: N rows, V vocabulary.
import { hasNativeKernels, runNativeKernel } from "@diffucoder/engine";
import * as tf from "@tensorflow/tfjs-core";

/**
 * Cross-entropy of each row, in nats: log sum exp of its logits minus the target's logit.
 *
 * The gradient is written down (softmax minus one-hot) rather than derived, which spares the backward pass several
 * [N, V] arrays.
 *
 * @param logits [N, V]
 * @param targets ids, [N], int32
 */
export function tokenCrossEntropy(logits: tf.Tensor2D, targets: tf.Tensor1D): tf.Tensor1D {
  return hasNativeKernels() ? fusedCrossEntropy(logits, targets) : composedCrossEntropy(logits, targets);
}

export function composedCrossEntropy(logits: tf.Tensor2D, targets: tf.Tensor1D): tf.Tensor1D {
  const vocabSize = logits.shape[1];
  const op = tf.customGrad((input, save) => {
    const rows = input as tf.Tensor2D; // [N, V]
    const hot = tf.oneHot(targets, vocabSize) as tf.Tensor2D; // [N, V]
    const highest = tf.max(rows, -1, true); // [N, 1]
    const powers = tf.exp(tf.sub(rows, highest)); // [N, V]
    const sums = tf.sum(powers, -1, true); // [N, 1]
    const logSums = tf.add(tf.log(sums), highest); // [N, 1]
    const picked = tf.sum(tf.mul(rows, hot), -1); // [N]
    const probs = tf.div(powers, sums); // [N, V]
    (save as tf.GradSaveFunc)([probs, hot]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(tf.sub(saved[0]!, saved[1]!), tf.expandDims(dy, -1)); // [N, V]
    return { value: tf.sub(tf.squeeze(logSums, [-1]), picked), gradFunc };
  });
  return op(logits) as tf.Tensor1D; // [N]
}

function fusedCrossEntropy(logits: tf.Tensor2D, targets: tf.Tensor1D): tf.Tensor1D {
  const op = tf.customGrad((input, save) => {
    const [losses, logSums] = runNativeKernel("DiffucoderCrossEntropy", [input as tf.Tensor, targets], 2); // [N], [N]
    (save as tf.GradSaveFunc)([input as tf.Tensor, targets, logSums!]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => runNativeKernel("DiffucoderCrossEntropyGradient", [...saved, dy], 1)[0]!; // [N, V]
    return { value: losses!, gradFunc };
  });
  return op(logits) as tf.Tensor1D; // [N]
}
