import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chanceArness, globalArness, localArness, localHits, openRanks } from "./arness.ts";

// Orders as positions 1..T, with the values computed by hand for each definition (denominator T).
const vectors = [
  { order: [1, 2, 3, 4, 5, 6], strict: [5 / 6, 4 / 6, 3 / 6], set: [5 / 6, 4 / 6, 3 / 6], global: [1, 1, 1, 1] },
  { order: [2, 1, 3, 5, 4, 6], strict: [0, 0, 0], set: [0, 2 / 6, 1 / 6], global: [4 / 6, 1, 1, 1] },
  { order: [6, 5, 4, 3, 2, 1], strict: [0, 0, 0], set: [0, 0, 0], global: [1 / 6, 2 / 6, 3 / 6, 4 / 6] },
  { order: [1, 2, 4, 3, 5, 6], strict: [2 / 6, 0, 0], set: [2 / 6, 1 / 6, 2 / 6], global: [5 / 6, 1, 1, 1] },
  { order: [1, 3, 2, 4, 5, 6], strict: [2 / 6, 1 / 6, 0], set: [2 / 6, 2 / 6, 2 / 6], global: [5 / 6, 1, 1, 1] },
  { order: [8, 1, 2, 3, 7, 4, 5, 6], strict: [4 / 8, 2 / 8, 0], set: [4 / 8, 2 / 8, 0], global: [6 / 8, 6 / 8, 6 / 8, 7 / 8] },
];

describe("AR-ness", () => {
  it.each(vectors)("of $order", ({ order, strict, set, global }) => {
    const positions = order.map((position) => position - 1);
    strict.forEach((value, i) => expect(localArness(positions, i + 1)).toBeCloseTo(value, 10));
    set.forEach((value, i) => expect(localArness(positions, i + 1, "set")).toBeCloseTo(value, 10));
    global.forEach((value, i) => expect(globalArness(positions, i + 1)).toBeCloseTo(value, 10));
  });

  it("never grows with k (local, strict) and never falls with k (global)", () => {
    const permutations = fc.integer({ min: 1, max: 12 }).chain((length) =>
      fc.shuffledSubarray(Array.from({ length }, (_, i) => i), { minLength: length, maxLength: length }),
    );
    fc.assert(
      fc.property(permutations, fc.integer({ min: 1, max: 12 }), (order, k) => {
        expect(localArness(order, k + 1)).toBeLessThanOrEqual(localArness(order, k));
        expect(globalArness(order, k + 1)).toBeGreaterThanOrEqual(globalArness(order, k));
        expect(globalArness(order, order.length)).toBe(1);
      }),
    );
  });

  it("of a random order is what chance gives", () => {
    // Over all orders of 4, a step with m open positions fixes one of the k leftmost with probability min(1, k / m); a
    // position follows its left neighbour at once in 3! of the 24 orders for each of 3 pairs.
    const orders = permutationsOf([0, 1, 2, 3]);
    const mean = (score: (order: number[]) => number) => orders.reduce((sum, order) => sum + score(order), 0) / orders.length;
    expect(orders).toHaveLength(24);
    expect(mean((order) => globalArness(order, 1))).toBeCloseTo((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4, 10);
    expect(mean((order) => globalArness(order, 2))).toBeCloseTo((1 + 1 + 2 / 3 + 2 / 4) / 4, 10);
    expect(mean((order) => localArness(order, 1))).toBeCloseTo((3 * 6) / 24 / 4, 10);
  });

  it("of a random order is what `chanceArness` says, for all orders of five and for a window of 256", () => {
    const orders = permutationsOf([0, 1, 2, 3, 4]);
    const mean = (score: (order: number[]) => number) => orders.reduce((sum, order) => sum + score(order), 0) / orders.length;
    for (const k of [1, 2, 3, 4, 5, 6]) {
      const chance = chanceArness(5, k);
      expect(chance.strict).toBeCloseTo(mean((order) => localArness(order, k)), 12);
      expect(chance.set).toBeCloseTo(mean((order) => localArness(order, k, "set")), 12);
      expect(chance.global).toBeCloseTo(mean((order) => globalArness(order, k)), 12);
    }
    expect([1, 2, 3, 4].map((k) => Number(chanceArness(256, k).global.toFixed(4)))).toEqual([0.0239, 0.0439, 0.062, 0.0788]);
    expect(chanceArness(256, 1).strict).toBeCloseTo(255 / 256 ** 2, 12);
    expect(chanceArness(0, 1)).toEqual({ strict: 0, set: 0, global: 0 });
  });

  it("names the steps that count", () => {
    expect(localHits([7, 0, 1, 2, 6, 3, 4, 5], 2)).toEqual([false, false, false, true, false, false, false, true]);
    expect(localHits([1, 0, 2, 4, 3, 5], 2, "set")).toEqual([false, false, true, false, false, true]);
    expect(openRanks([3, 0, 2, 1])).toEqual([3, 0, 1, 0]);
  });

  it("in the set form grows with k in 213 of the 720 orders of six, in the strict form in none", () => {
    const orders = permutationsOf([0, 1, 2, 3, 4, 5]);
    const growing = (form: "strict" | "set") => orders.filter((order) => [1, 2, 3, 4, 5].some((k) => localArness(order, k + 1, form) > localArness(order, k, form))).length;
    expect([growing("set"), growing("strict")]).toEqual([213, 0]);
  });

  it("of nothing is 0", () => {
    expect(localArness([], 1)).toBe(0);
    expect(globalArness([], 1)).toBe(0);
  });
});

function permutationsOf(items: number[]): number[][] {
  return items.length < 2 ? [items] : items.flatMap((item) => permutationsOf(items.filter((other) => other !== item)).map((rest) => [item, ...rest]));
}
