// Axes: N rows, H hidden.
import { hasNativeKernels, runNativeKernel } from "@diffucoder/engine";
import * as tf from "@tensorflow/tfjs-core";

/**
 * Each row divided by its root mean square, times a learned scale.
 *
 * @param input [N, H]
 * @param scale [H]
 * @source Zhang and Sennrich, "Root Mean Square Layer Normalization", arXiv:1910.07467, eq. 4
 */
export function rmsNorm(input: tf.Tensor2D, scale: tf.Tensor1D, epsilon: number): tf.Tensor2D {
  return hasNativeKernels() ? fusedRmsNorm(input, scale, epsilon) : composedRmsNorm(input, scale, epsilon);
}

export function composedRmsNorm(input: tf.Tensor2D, scale: tf.Tensor1D, epsilon: number): tf.Tensor2D {
  const meanSquare = tf.mean(tf.square(input), -1, true); // [N, 1]
  return tf.mul(tf.mul(input, tf.rsqrt(tf.add(meanSquare, epsilon))), scale); // [N, H]
}

function fusedRmsNorm(input: tf.Tensor2D, scale: tf.Tensor1D, epsilon: number): tf.Tensor2D {
  const op = tf.customGrad((x, s, save) => {
    const [value, inverse] = runNativeKernel("DiffucoderRmsNorm", [x as tf.Tensor, s as tf.Tensor], 2, { reals: { epsilon } }); // [N, H], [N]
    (save as tf.GradSaveFunc)([x as tf.Tensor, s as tf.Tensor, inverse!]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => runNativeKernel("DiffucoderRmsNormGradient", [...saved, dy], 2); // [N, H], [H]
    return { value: value!, gradFunc };
  });
  return op(input, scale) as tf.Tensor2D;
}
