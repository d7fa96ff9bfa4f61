// Axes: N rows, F inner width.
import { hasNativeKernels, loadBackend } from "@diffucoder/engine";
import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { expectAgreement, normal } from "../test/agreement.ts";
import { composedSwiGlu, swiGlu } from "./swiglu.ts";

beforeAll(async () => {
  await loadBackend();
  expect(hasNativeKernels()).toBe(true);
});

describe("SwiGLU", () => {
  it("is as worked by hand, far out too", () => {
    // 1 sigmoid(1) = 0.731059; the gate is shut far below 0 and open far above.
    const rows = tf.tidy(() => swiGlu(tf.tensor2d([[1, 10], [-1000, 10], [1000, 10]])).arraySync());
    [7.31059, 0, 10_000].forEach((value, i) => expect(rows[i]![0]).toBeCloseTo(value, 4));
  });

  it("agrees with its formula in value and gradient, for any shape", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), (rows, inner) => {
        tf.tidy(() => expectAgreement((x) => swiGlu(x as tf.Tensor2D), (x) => composedSwiGlu(x as tf.Tensor2D), [normal([rows, 2 * inner], "x", 4)]));
      }),
      { numRuns: 25 },
    );
  });
});
