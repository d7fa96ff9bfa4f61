// Axes: B batch, T tokens per canvas, Q query heads, G key-value heads, D head width.
import { hasNativeKernels, loadBackend } from "@diffucoder/engine";
import { stream } from "@diffucoder/random";
import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { expectAgreement, normal } from "../test/agreement.ts";
import { annealedAttentionBias } from "./attention-annealing.ts";
import { attention, composedAttention } from "./attention.ts";
import { rotaryTables } from "./rotary.ts";

beforeAll(async () => {
  await loadBackend();
  expect(hasNativeKernels()).toBe(true);
});

interface Case {
  readonly batch: number;
  readonly length: number;
  readonly kvHeads: number;
  readonly queriesPerKey: number;
  readonly halfWidth: number;
  readonly isMasked: boolean;
}

function expectFormula({ batch, length, kvHeads, queriesPerKey, halfWidth, isMasked }: Case): void {
  tf.tidy(() => {
    const heads = kvHeads * queriesPerKey;
    const columns = (heads + 2 * kvHeads) * 2 * halfWidth;
    const rotation = rotaryTables(length, 2 * halfWidth, 100);
    const mask = isMasked ? tf.tensor2d(annealedAttentionBias(length, 0.3, stream({ seed: 3, stage: "t", purpose: "mask" })), [length, length]) : undefined;
    const using = (op: typeof attention) => (x: tf.Tensor, bias: tf.Tensor) => op(x as tf.Tensor2D, bias as tf.Tensor1D, rotation, mask, { heads, kvHeads, length });
    expectAgreement(using(attention), using(composedAttention), [normal([batch * length, columns], "x"), normal([columns], "bias")]);
  });
}

describe("attention", () => {
  it("agrees with its formula in value and gradients, for any shape", () => {
    const cases = fc.record({
      batch: fc.integer({ min: 1, max: 3 }),
      length: fc.integer({ min: 1, max: 40 }),
      kvHeads: fc.integer({ min: 1, max: 3 }),
      queriesPerKey: fc.integer({ min: 1, max: 3 }),
      halfWidth: fc.integer({ min: 1, max: 20 }),
      isMasked: fc.boolean(),
    });
    fc.assert(fc.property(cases, expectFormula), { numRuns: 25 });
  });

  it.each([63, 64, 65, 130, 192])("over %i tokens, around and beyond a block of rows", (length) => {
    expectFormula({ batch: 2, length, kvHeads: 2, queriesPerKey: 2, halfWidth: 16, isMasked: length % 2 === 0 });
  });

  it("with one thread or more gives the same bytes", () => {
    // Who computes which head of which canvas is a race; each run of it must end alike.
    const digest = () =>
      tf.tidy(() => {
        const x = normal([8 * 32, 6 * 32], "x") as tf.Tensor2D;
        const bias = normal([6 * 32], "bias") as tf.Tensor1D;
        const rotation = rotaryTables(32, 32, 100);
        const loss = (a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.square(attention(a as tf.Tensor2D, b as tf.Tensor1D, rotation, undefined, { heads: 2, kvHeads: 2, length: 32 })));
        return tf.grads(loss)([x, bias]).map((gradient) => Buffer.from(gradient.dataSync().buffer).toString("base64"));
      });
    const first = digest();
    for (let i = 0; i < 20; i++) expect(digest()).toEqual(first);
  });
});
