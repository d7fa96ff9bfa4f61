import fc from "fast-check";
import { expect, test } from "vitest";
import { planBudget, withRealised } from "./token-budget.ts";

test("each source gets its part of the budget in epochs, a small one no more than the most allowed", () => {
  expect(planBudget({ a: 100, b: 1000, c: 50 }, { tokens: 600, shares: { a: 1, b: 1, c: 1 }, mostEpochs: 3 })).toEqual({
    a: { planned: 200, available: 100, times: 2 },
    b: { planned: 200, available: 1000, times: 0.2 },
    c: { planned: 200, available: 50, times: 3 }, // 150 of its 200
  });
});

test("a source without a share is not used, and shares need not add up to 1", () => {
  const plan = planBudget({ a: 10, b: 10 }, { tokens: 10, shares: { a: 7 }, mostEpochs: 4 });
  expect(plan).toEqual({ a: { planned: 10, available: 10, times: 1 }, b: { planned: 0, available: 10, times: 0 } });
  expect(planBudget({ a: 10 }, { tokens: 10, shares: { a: 0 }, mostEpochs: 4 }).a!.times).toBe(0);
});

test("what came of the plan stands beside it", () => {
  const plan = planBudget({ a: 10 }, { tokens: 15, shares: { a: 1 }, mostEpochs: 4 });
  expect(withRealised(plan, { a: 10 })).toEqual({ a: { planned: 15, available: 10, times: 1.5, realised: 10 } });
  expect(withRealised(plan, {})).toEqual({ a: { planned: 15, available: 10, times: 1.5, realised: 0 } });
});

test("no source is used more often than allowed, and a larger budget uses each at least as often", () => {
  const counts = fc.record({ a: fc.integer({ min: 1, max: 500 }), b: fc.integer({ min: 1, max: 500 }) });
  const shares = fc.record({ a: fc.integer({ min: 0, max: 5 }), b: fc.integer({ min: 1, max: 5 }) });
  fc.assert(
    fc.property(counts, shares, fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 0, max: 2000 }), (held, parts, tokens, more) => {
      const [small, large] = [tokens, tokens + more].map((budget) => planBudget(held, { tokens: budget, shares: parts, mostEpochs: 4 }));
      for (const source of ["a", "b"]) {
        expect(large![source]!.times).toBeGreaterThanOrEqual(small![source]!.times);
        expect(large![source]!.times).toBeLessThanOrEqual(4);
      }
    }),
  );
});
