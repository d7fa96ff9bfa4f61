// Axes: N rows, F inner width.
import { hasNativeKernels, runNativeKernel } from "@diffucoder/engine";
import * as tf from "@tensorflow/tfjs-core";

/**
 * The up half, let through by the SiLU of the gate half.
 *
 * @param gateUp gate and up projections side by side, [N, 2F]
 * @returns [N, F]
 * @source Shazeer, "GLU Variants Improve Transformer", arXiv:2002.05202, eq. 6
 */
export function swiGlu(gateUp: tf.Tensor2D): tf.Tensor2D {
  return hasNativeKernels() ? fusedSwiGlu(gateUp) : composedSwiGlu(gateUp);
}

export function composedSwiGlu(gateUp: tf.Tensor2D): tf.Tensor2D {
  const [gate, up] = tf.split(gateUp, 2, -1) as [tf.Tensor2D, tf.Tensor2D]; // [N, F] each
  return tf.mul(tf.mul(gate, tf.sigmoid(gate)), up); // [N, F]
}

function fusedSwiGlu(gateUp: tf.Tensor2D): tf.Tensor2D {
  const op = tf.customGrad((x, save) => {
    const [value] = runNativeKernel("DiffucoderSwiGlu", [x as tf.Tensor], 1); // [N, F]
    (save as tf.GradSaveFunc)([x as tf.Tensor]);
    const gradFunc = (dy: tf.Tensor, [saved]: tf.Tensor[]) => runNativeKernel("DiffucoderSwiGluGradient", [saved!, dy], 1)[0]!; // [N, 2F]
    return { value: value!, gradFunc };
  });
  return op(gateUp) as tf.Tensor2D;
}
