import { stream } from "@diffucoder/random";
import fc from "fast-check";
import { expect, test } from "vitest";
import { drawNoiseLevels, fixedNoiseLevels } from "./noise-levels.ts";

const draws = (step: number) => stream({ seed: 1, stage: "s", step, purpose: "p" });
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;
/** Which of `count` equal parts of (smallest, 1] a level lies in, counted from the top. */
const stratumOf = (level: number, smallest: number, count: number) => Math.floor(((1 - level) / (1 - smallest)) * count);

test("stratified levels lie one in each stratum", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 32 }), fc.nat(1e6), fc.constantFrom(0.001, 0.2, 0.5), (count, step, smallest) => {
      const levels = drawNoiseLevels(count, { levels: "stratified", smallest }, draws(step));
      for (const level of levels) expect(level).toBeGreaterThan(smallest);
      for (const level of levels) expect(level).toBeLessThanOrEqual(1);
      // A level within rounding of a border may fall to either side of it.
      fc.pre(levels.every((level) => Math.abs((((1 - level) / (1 - smallest)) * count) % 1) > 1e-9));
      expect(levels.map((level) => stratumOf(level, smallest, count)).sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
    }),
  );
});

test("stratified levels share one offset and come in no fixed order", () => {
  const first = drawNoiseLevels(8, { levels: "stratified", smallest: 0.2 }, draws(1));
  const sorted = first.toSorted((a, b) => a - b);
  for (let i = 1; i < 8; i++) expect(sorted[i]! - sorted[i - 1]!).toBeCloseTo(0.8 / 8, 12);
  const strata = (step: number) => drawNoiseLevels(8, { levels: "stratified", smallest: 0.2 }, draws(step)).map((level) => stratumOf(level, 0.2, 8));
  expect(strata(1)).not.toEqual(strata(2));
});

test.each(["independent", "stratified"] as const)("%s: each canvas alone is uniform over (smallest, 1]", (levels) => {
  // Mean 0.6 and variance 0.8^2 / 12 of a uniform; 4000 draws: the mean within 0.018 at five sigma.
  const ofLastCanvas = Array.from({ length: 4000 }, (_, step) => drawNoiseLevels(3, { levels, smallest: 0.2 }, draws(step))[2]!);
  expect(Math.abs(mean(ofLastCanvas) - 0.6)).toBeLessThan(0.018);
  expect(mean(ofLastCanvas.map((level) => (level - 0.6) ** 2))).toBeCloseTo(0.64 / 12, 2);
  expect(Math.min(...ofLastCanvas)).toBeLessThan(0.202);
  expect(Math.max(...ofLastCanvas)).toBeGreaterThan(0.998);
});

test("independent levels are a draw each", () => {
  const levels = drawNoiseLevels(200, { levels: "independent", smallest: 0.001 }, draws(1));
  expect(new Set(levels).size).toBe(200);
  const firstHalf = levels.filter((level) => level > 0.5).length;
  expect(firstHalf).not.toBe(100); // stratified ones would divide evenly
});

test("fixed levels are the middles of their strata", () => {
  // smallest + (1 - smallest) (1 - 1/4), then 3/4
  expect(fixedNoiseLevels(2, 0.2)).toEqual([0.8, 0.4].map((level) => expect.closeTo(level, 12)));
  expect(fixedNoiseLevels(1, 0)).toEqual([0.5]);
});
