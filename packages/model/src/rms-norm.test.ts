// Axes: N rows, H hidden.
import { hasNativeKernels, loadBackend } from "@diffucoder/engine";
import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { expectAgreement, normal } from "../test/agreement.ts";
import { composedRmsNorm, rmsNorm } from "./rms-norm.ts";

beforeAll(async () => {
  await loadBackend();
  expect(hasNativeKernels()).toBe(true);
});

describe("RMSNorm", () => {
  it("is as worked by hand", () => {
    // Mean square of (3, 4) is 12.5; with epsilon 3.5 the root is 4.
    const norm = (op: typeof rmsNorm) => tf.tidy(() => op(tf.tensor2d([[3, 4]]), tf.tensor1d([1, 2]), 3.5).arraySync()[0]!);
    for (const op of [rmsNorm, composedRmsNorm]) norm(op).forEach((value, i) => expect(value).toBeCloseTo([0.75, 2][i]!, 6));
  });

  it("agrees with its formula in value and gradients, for any shape", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 50 }), (rows, hidden) => {
        tf.tidy(() => {
          const operands = [normal([rows, hidden], "x", 3), normal([hidden], "scale")];
          const using = (op: typeof rmsNorm) => (x: tf.Tensor, scale: tf.Tensor) => op(x as tf.Tensor2D, scale as tf.Tensor1D, 0.1);
          expectAgreement(using(rmsNorm), using(composedRmsNorm), operands);
        });
      }),
      { numRuns: 25 },
    );
  });
});
