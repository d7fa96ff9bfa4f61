// Axes: B batch, T tokens per canvas, Q query heads, G key-value heads, S query heads per key-value head, D head width.
import { hasNativeKernels, runNativeKernel } from "@diffucoder/engine";
import * as tf from "@tensorflow/tfjs-core";
import { rotate, type RotaryTables } from "./rotary.ts";

export interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly length: number;
}

/**
 * Grouped-query attention over rotary positions, from the projections to the mixed values.
 *
 * @param projected queries, keys and values side by side, without bias, [B T, (Q + 2G) D]
 * @param bias of the projections, [(Q + 2G) D]
 * @param mask added to the scores of each head, [T, T]
 * @returns [B T, Q D]
 * @source Ainslie et al., "GQA", arXiv:2305.13245, section 2.2
 */
export function attention(projected: tf.Tensor2D, bias: tf.Tensor1D, rotation: RotaryTables, mask: tf.Tensor2D | undefined, shape: AttentionShape): tf.Tensor2D {
  return (hasNativeKernels() ? fusedAttention : composedAttention)(projected, bias, rotation, mask, shape);
}

/** The S query heads that share a key-value head are laid out as S * T rows of it, so that keys and values are never repeated. */
export function composedAttention(
  projected: tf.Tensor2D,
  bias: tf.Tensor1D,
  rotation: RotaryTables,
  mask: tf.Tensor2D | undefined,
  { heads, kvHeads, length }: AttentionShape,
): tf.Tensor2D {
  const [rows, columns] = projected.shape;
  const [batch, width] = [rows / length, columns / (heads + 2 * kvHeads)];
  const counts = [heads, kvHeads, kvHeads];
  const parts = tf.split(tf.add(projected, bias), counts.map((count) => count * width), -1); // [BT, count D] each
  const [queries, keys, values] = parts.map((part, i) => tf.transpose(tf.reshape(part, [batch, length, counts[i]!, width]), [0, 2, 1, 3]) as tf.Tensor4D); // [B, count, T, D]

  const grouped = [batch, kvHeads, (heads / kvHeads) * length, width] as [number, number, number, number];
  const scaled = tf.mul(tf.reshape(rotate(queries!, rotation), grouped), 1 / Math.sqrt(width)); // [B, G, ST, D]
  const scores = tf.matMul(scaled, rotate(keys!, rotation), false, true); // [B, G, ST, T]
  const weights = tf.softmax(mask === undefined ? scores : tf.add(scores, tf.tile(mask, [heads / kvHeads, 1]))); // [B, G, ST, T]
  const mixed = tf.reshape(tf.matMul(weights, values!), [batch, heads, length, width]); // [B, Q, T, D]
  return tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [rows, heads * width]) as tf.Tensor2D; // [BT, QD]
}

function fusedAttention(
  projected: tf.Tensor2D,
  bias: tf.Tensor1D,
  { cos, sin }: RotaryTables,
  mask: tf.Tensor2D | undefined,
  { heads, kvHeads, length }: AttentionShape,
): tf.Tensor2D {
  const integers = { heads, kv_heads: kvHeads, length };
  const op = tf.customGrad((x, b, save) => {
    const operands = [x as tf.Tensor, b as tf.Tensor, cos, sin, mask ?? tf.tensor1d([])];
    const [mixed, logSum] = runNativeKernel("DiffucoderAttention", operands, 2, { integers }); // [BT, QD], [B, Q, T]
    (save as tf.GradSaveFunc)([...operands, mixed!, logSum!]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => runNativeKernel("DiffucoderAttentionGradient", [...saved, dy], 2, { integers }); // [BT, (Q + 2G) D], [(Q + 2G) D]
    return { value: mixed!, gradFunc };
  });
  return op(projected, bias) as tf.Tensor2D;
}
