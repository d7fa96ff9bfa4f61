import { stream } from "@diffucoder/random";
import fc from "fast-check";
import { expect, test } from "vitest";
import { drawCoupledMasks } from "./coupled-masks.ts";

const maskSeed = fc.record({ seed: fc.nat(), step: fc.integer({ min: 1, max: 1e6 }), sample: fc.nat(512) });

test("each position is hidden by the first mask or by its complement, and the noise level lies in its range", () => {
  const range = fc.tuple(fc.double({ min: 0.01, max: 0.5, noNaN: true }), fc.double({ min: 0.51, max: 0.99, noNaN: true }));
  fc.assert(
    fc.property(maskSeed, fc.nat(40), range, (seed, length, [lowest, highest]) => {
      const { noiseLevel, first } = drawCoupledMasks(length, [lowest, highest], seed);
      expect(noiseLevel).toBeGreaterThanOrEqual(lowest);
      expect(noiseLevel).toBeLessThan(highest);
      expect(first.length).toBe(length);
      expect(first.every((hidden) => hidden === 0 || hidden === 1)).toBe(true);
    }),
  );
});

test("the stored seed draws the same masks again", () => {
  fc.assert(
    fc.property(maskSeed, (seed) => {
      expect(drawCoupledMasks(30, [0.2, 0.8], seed)).toEqual(drawCoupledMasks(30, [0.2, 0.8], seed));
    }),
  );
});

test("another seed, step or completion draws others", () => {
  const seed = { seed: 1, step: 1, sample: 0 };
  const masks = [seed, { ...seed, seed: 2 }, { ...seed, step: 2 }, { ...seed, sample: 1 }].map((key) => drawCoupledMasks(64, [0.2, 0.8], key));
  expect(new Set(masks.map(({ first }) => first.join(""))).size).toBe(4);
  expect(new Set(masks.map(({ noiseLevel }) => noiseLevel)).size).toBe(4);
});

test("the noise level is uniform in its range, and the share that the first mask hides", () => {
  const draws = Array.from({ length: 2000 }, (_, sample) => drawCoupledMasks(50, [0.2, 0.8], { seed: 3, step: 1, sample }));
  const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
  const levels = draws.map(({ noiseLevel }) => noiseLevel);
  expect(mean(levels)).toBeCloseTo(0.5, 1);
  expect(Math.min(...levels)).toBeLessThan(0.21);
  expect(Math.max(...levels)).toBeGreaterThan(0.79);
  // 100 000 draws of standard deviation below 0.5: the mean is within 0.008 of its expectation at five sigma.
  const excess = draws.map(({ noiseLevel, first }) => mean([...first]) - noiseLevel);
  expect(Math.abs(mean(excess))).toBeLessThan(0.008);
  // Low and high levels apart: a share that ignored the level would be 0.5 in both.
  const shareWhere = (isIn: (level: number) => boolean) => mean(draws.filter(({ noiseLevel }) => isIn(noiseLevel)).map(({ first }) => mean([...first])));
  expect(shareWhere((level) => level < 0.3)).toBeCloseTo(0.25, 1);
  expect(shareWhere((level) => level > 0.7)).toBeCloseTo(0.75, 1);
});

test("masks come from a stream named for them", () => {
  const draws = stream({ seed: 5, stage: "coupled-grpo", step: 7, sample: 2, purpose: "coupled-masks" });
  const { noiseLevel, first } = drawCoupledMasks(8, [0.25, 0.75], { seed: 5, step: 7, sample: 2 });
  expect(noiseLevel).toBe(0.25 + 0.5 * draws.uniform());
  expect([...first]).toEqual(Array.from({ length: 8 }, () => Number(draws.uniform() < noiseLevel)));
});
