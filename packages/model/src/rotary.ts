// Axes: B batch, T tokens per canvas, Q heads, D head width.
import * as tf from "@tensorflow/tfjs-core";

export interface RotaryTables {
  readonly cos: tf.Tensor2D; // [T, D]
  readonly sin: tf.Tensor2D; // [T, D], first half negated
}

/**
 * Rotary position tables in the half-rotate layout: channel i turns with channel i + D/2.
 *
 * @source Su et al., "RoFormer", arXiv:2104.09864, eq. 34
 */
export function rotaryTables(length: number, width: number, theta: number): RotaryTables {
  const half = width / 2;
  const angle = (position: number, channel: number) => position * theta ** (-(channel % half) / half);
  const table = (value: (position: number, channel: number) => number) =>
    tf.tensor2d(
      Float32Array.from({ length: length * width }, (_, i) => value(Math.floor(i / width), i % width)),
      [length, width],
    );
  return {
    cos: table((position, channel) => Math.cos(angle(position, channel))),
    sin: table((position, channel) => (channel < half ? -1 : 1) * Math.sin(angle(position, channel))),
  };
}

/** @param input [B, Q, T, D] */
export function rotate(input: tf.Tensor4D, { cos, sin }: RotaryTables): tf.Tensor4D {
  const [first, second] = tf.split(input, 2, -1);
  return tf.add(tf.mul(input, cos), tf.mul(tf.concat([second!, first!], -1), sin));
}
