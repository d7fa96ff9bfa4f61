import { loadBackend } from "@diffucoder/engine";
import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { expectAgreement, normal } from "../test/agreement.ts";
import { composedCrossEntropy, tokenCrossEntropy } from "./cross-entropy.ts";

beforeAll(async () => {
  await loadBackend();
});

const lossesOf = (logits: number[][], targets: number[]) => tf.tidy(() => tokenCrossEntropy(tf.tensor2d(logits), tf.tensor1d(targets, "int32")).arraySync());

/** Gradient of the sum of `factors` times losses. */
const gradientOf = (logits: number[][], targets: number[], factors: number[]) =>
  tf.tidy(() => {
    const weighted = (x: tf.Tensor) => tf.sum(tf.mul(tokenCrossEntropy(x as tf.Tensor2D, tf.tensor1d(targets, "int32")), tf.tensor1d(factors)));
    return (tf.grad(weighted)(tf.tensor2d(logits)) as tf.Tensor2D).arraySync();
  });

describe("cross-entropy", () => {
  it("costs ln V for uniform logits, whatever their height", () => {
    for (const height of [0, 5, -700]) expect(lossesOf([new Array<number>(11).fill(height)], [3])[0]).toBeCloseTo(Math.log(11), 4);
  });

  it("is as worked by hand", () => {
    // ln(e + e^2 + e^3) = 3.407606; less the logit of the target.
    const [first, last] = lossesOf([[1, 2, 3], [1, 2, 3]], [0, 2]);
    expect(first).toBeCloseTo(2.407606, 5);
    expect(last).toBeCloseTo(0.407606, 5);
  });

  it("stays finite where exponentials would not", () => {
    const losses = lossesOf([[1000, 0, -1000], [1000, 0, -1000]], [2, 0]);
    expect(losses[0]).toBeCloseTo(2000, 2);
    expect(losses[1]).toBe(0);
    expect(gradientOf([[1000, 0, -1000]], [2], [1])[0]).toEqual([1, 0, -1]);
  });

  it("has the gradient softmax minus one-hot, times what comes from above", () => {
    // softmax(1, 2, 3) = (0.090031, 0.244728, 0.665241).
    const gradient = gradientOf([[1, 2, 3], [1, 2, 3]], [0, 2], [1, -2]);
    [0.090031 - 1, 0.244728, 0.665241].forEach((value, i) => expect(gradient[0]![i]).toBeCloseTo(value, 5));
    [0.090031, 0.244728, 0.665241 - 1].forEach((value, i) => expect(gradient[1]![i]).toBeCloseTo(-2 * value, 5));
  });

  it("agrees with its formula in value and gradient, for any shape", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 2, max: 70 }), (rows, vocabSize) => {
        tf.tidy(() => {
          const targets = tf.tensor1d(Array.from({ length: rows }, (_, row) => (7 * row) % vocabSize), "int32");
          expectAgreement((x) => tokenCrossEntropy(x as tf.Tensor2D, targets), (x) => composedCrossEntropy(x as tf.Tensor2D, targets), [normal([rows, vocabSize], "x", 5)]);
        });
      }),
      { numRuns: 25 },
    );
  });

  it("leaves no tensor behind", () => {
    const [logits, targets] = [tf.tensor2d([[1, 2, 3]]), tf.tensor1d([0], "int32")];
    const before = tf.memory().numTensors;
    const losses = tokenCrossEntropy(logits, targets);
    expect(losses.shape).toEqual([1]);
    expect(tf.memory().numTensors).toBe(before + 1);
    tf.dispose([losses, logits, targets]);
  });
});
