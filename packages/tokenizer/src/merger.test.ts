import fc from "fast-check";
import { expect, it } from "vitest";
import { Merger, type Merge } from "./merger.ts";

/** The definition: the pair of lowest rank, the leftmost of equal ones, one at a time. */
function oneByOne(merges: readonly Merge[], given: readonly number[]): number[] {
  const ids = [...given];
  for (;;) {
    const ranks = ids.slice(1).map((right, i) => merges.findIndex(([l, r]) => l === ids[i] && r === right));
    const best = Math.min(...ranks.filter((rank) => rank >= 0));
    if (best === Infinity) return ids;
    ids.splice(ranks.indexOf(best), 2, merges[best]![2]);
  }
}

it("merges by rank, then from the left", () => {
  const merger = new Merger([[2, 3, 10], [1, 2, 11], [1, 10, 12]]);
  expect(merger.merge([1, 2, 3])).toEqual([12]);
  expect(merger.merge([1, 2, 1, 2])).toEqual([11, 11]);
  expect(merger.merge([])).toEqual([]);
  expect(new Merger([]).merge([4, 4])).toEqual([4, 4]);
});

it("takes merges in any order, also those that make a token of lower rank possible, or one token in two ways", () => {
  // (10, 3) ranks above what makes 10: once 10 is there, it goes first, before the next (1, 2).
  expect(new Merger([[10, 3, 20], [1, 2, 10], [3, 1, 30]]).merge([1, 2, 3, 1, 2])).toEqual([20, 10]);
  const merge = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5 }), fc.integer({ min: 2, max: 6 }));
  const merges = fc.uniqueArray(merge, { selector: ([left, right]) => 10 * left + right, maxLength: 12 });
  fc.assert(
    fc.property(merges, fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 16 }), (drawn, ids) => {
      expect(new Merger(drawn).merge(ids)).toEqual(oneByOne(drawn, ids));
    }),
    { numRuns: 2000 },
  );
});
