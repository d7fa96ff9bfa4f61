import { stream } from "@diffucoder/random";
import fc from "fast-check";
import { expect, test } from "vitest";
import { bootstrapInterval } from "./bootstrap-interval.ts";

test("equal values, and one alone, leave no room", () => {
  expect(bootstrapInterval([0.25, 0.25, 0.25], 1)).toEqual([0.25, 0.25]);
  expect(bootstrapInterval([0.7], 1)).toEqual([0.7, 0.7]);
});

test("the width for coin flips is the binomial one", () => {
  // 400 values, half of them 1: a standard error of 0.5 / 20 = 0.025, so 0.5 - 1.96 * 0.025 to 0.5 + 1.96 * 0.025.
  const [lower, upper] = bootstrapInterval(Array.from({ length: 400 }, (_, i) => i % 2), 3);
  expect(Math.abs(lower - 0.451)).toBeLessThan(0.006);
  expect(Math.abs(upper - 0.549)).toBeLessThan(0.006);
});

test("50 of the 2000 resampled means lie below, and 50 above", () => {
  const values = Array.from({ length: 11 }, (_, i) => Math.sin(i * i)); // hardly two means are equal
  const draws = stream({ seed: 5, stage: "evaluation", purpose: "bootstrap" });
  const means = Array.from({ length: 2000 }, () => values.map(() => values[draws.integer(values.length)]!).reduce((a, b) => a + b) / values.length).sort((a, b) => a - b);
  expect(bootstrapInterval(values, 5)).toEqual([means[50], means[1949]]);
});

test("a seed gives one interval, another seed another", () => {
  const values = Array.from({ length: 37 }, (_, i) => Math.sin(i));
  expect(bootstrapInterval(values, 1)).toEqual(bootstrapInterval(values, 1));
  expect(bootstrapInterval(values, 1)).not.toEqual(bootstrapInterval(values, 2));
});

test("an interval is in order, within the values, and around their mean", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 1, maxLength: 20 }), (values) => {
      const [lower, upper] = bootstrapInterval(values, 1);
      const mean = values.reduce((a, b) => a + b) / values.length;
      expect(lower).toBeLessThanOrEqual(mean + 1e-12);
      expect(upper).toBeGreaterThanOrEqual(mean - 1e-12);
      expect(lower).toBeGreaterThanOrEqual(Math.min(...values) - 1e-12);
      expect(upper).toBeLessThanOrEqual(Math.max(...values) + 1e-12);
    }),
    { numRuns: 30 },
  );
});
