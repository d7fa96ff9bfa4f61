import { expect, test } from "vitest";
import { batchOfStep, isBadStep, type Rollback } from "./rollback.ts";

const rollback = (first: number, end: number): Rollback => ({ fromStep: end - 1, toStep: first - 1, batches: [first, end], loss: "NaN", gradientNorm: "NaN" });

test("a step trains on the batch of its number, behind all that were left out", () => {
  expect(batchOfStep(4, [])).toBe(4);
  // Batches 4 and 5 went, then 9: step 4 trains on batch 6, step 7 on batch 10.
  expect(batchOfStep(4, [rollback(4, 6)])).toBe(6);
  expect(batchOfStep(7, [rollback(4, 6), rollback(9, 10)])).toBe(10);
});

test.each([
  [NaN, 1, undefined, true],
  [Infinity, 1, undefined, true],
  [1, NaN, undefined, true],
  [1, Infinity, undefined, true],
  [1, 1e30, undefined, false],
  [1, 2, 2, false],
  [1, 2.1, 2, true],
])("loss %d, gradient norm %d under a largest norm of %d: bad is %s", (loss, gradientNorm, largestGradientNorm, isBad) => {
  expect(isBadStep({ loss, gradientNorm }, { everySteps: 1, limit: 1, largestGradientNorm })).toBe(isBad);
  if (largestGradientNorm === undefined) expect(isBadStep({ loss, gradientNorm }, undefined)).toBe(isBad);
});
