import { stream } from "@diffucoder/random";
import * as tf from "@tensorflow/tfjs-core";
import { expect } from "vitest";

export const normal = (shape: readonly number[], purpose: string, scale = 1): tf.Tensor => {
  const draws = stream({ seed: 1, stage: "test", purpose });
  return tf.tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => scale * draws.normal()),
    [...shape],
  );
};

/** Expects two functions to have the same value and gradients (of a random projection of the value) at `operands`. */
export function expectAgreement(actual: (...operands: tf.Tensor[]) => tf.Tensor, expected: (...operands: tf.Tensor[]) => tf.Tensor, operands: tf.Tensor[], tolerance = 2e-5): void {
  tf.tidy(() => {
    const results = [actual, expected].map((op) => {
      const value = op(...operands);
      const direction = normal(value.shape, "direction");
      return [value, ...tf.grads((...at) => tf.sum(tf.mul(op(...at), direction)))(operands)];
    });
    results[0]!.forEach((tensor, i) => {
      const other = results[1]![i]!;
      expect(tensor.shape).toEqual(other.shape);
      const size = Math.max(tf.max(tf.abs(other)).dataSync()[0]!, 1e-3);
      expect(tf.max(tf.abs(tf.sub(tensor, other))).dataSync()[0]! / size, `${i === 0 ? "value" : `gradient ${i}`}`).toBeLessThan(tolerance);
    });
  });
}
