import fc from "fast-check";
import { expect, test } from "vitest";
import { learningRateAt } from "./learning-rate.ts";

const schedule = { learningRate: 2, warmupSteps: 4, finalShare: 0.1 };

test("it rises linearly from zero to the peak", () => {
  expect([1, 2, 3, 4].map((step) => learningRateAt(step, 12, schedule))).toEqual([0.5, 1, 1.5, 2]);
});

test("it falls on a cosine to its floor at the last step", () => {
  // 2 (0.1 + 0.9 (1 + cos(pi p)) / 2) at p = 1/8, 1/2, 3/4, 1 of the way down
  expect(learningRateAt(5, 12, schedule)).toBeCloseTo(2 * (0.1 + 0.45 * (1 + 0.92388)), 5);
  expect(learningRateAt(8, 12, schedule)).toBeCloseTo(1.1, 12);
  expect(learningRateAt(10, 12, schedule)).toBeCloseTo(2 * (0.1 + 0.45 * (1 - Math.SQRT1_2)), 12);
  expect(learningRateAt(12, 12, schedule)).toBeCloseTo(0.2, 12);
});

test("behind the last step it stays at its floor, however long the warm-up", () => {
  expect(learningRateAt(20, 12, schedule)).toBeCloseTo(0.2, 12);
  expect(learningRateAt(6, 3, schedule)).toBeCloseTo(0.2, 12);
});

test("without a warm-up it starts at the peak; a warm-up as long as the training ends there", () => {
  expect(learningRateAt(1, 1000, { ...schedule, warmupSteps: 0 })).toBeCloseTo(2, 4);
  expect(learningRateAt(4, 4, schedule)).toBe(2);
});

test("it never leaves (0, peak], and never rises after the warm-up", () => {
  const cases = fc.record({ totalSteps: fc.integer({ min: 1, max: 300 }), warmupSteps: fc.nat(40), finalShare: fc.double({ min: 0.01, max: 1, noNaN: true }) });
  fc.assert(
    fc.property(cases, ({ totalSteps, ...rest }) => {
      const rates = Array.from({ length: totalSteps }, (_, i) => learningRateAt(i + 1, totalSteps, { learningRate: 3, ...rest }));
      rates.forEach((rate, i) => {
        expect(rate).toBeGreaterThan(0);
        expect(rate).toBeLessThanOrEqual(3 + 1e-12);
        if (i >= rest.warmupSteps && i > 0) expect(rate).toBeLessThanOrEqual(Math.max(rates[i - 1]!, 3 * Number(i === rest.warmupSteps)) + 1e-12);
      });
    }),
  );
});
