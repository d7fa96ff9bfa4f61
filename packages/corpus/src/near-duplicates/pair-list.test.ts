import fc from "fast-check";
import { expect, test } from "vitest";
import { PairList, keepDistinct } from "./pair-list.ts";

test("pairs come sorted and once, however many were added", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom(0, 1, 2, 2 ** 32 - 2), fc.constantFrom(1, 3, 2 ** 31, 2 ** 32 - 1)), { maxLength: 200 }), (pairs) => {
      const list = new PairList(2);
      for (const [first, second] of pairs) list.add(first, second);
      const expected = [...new Set(pairs.map(([first, second]) => (BigInt(first) << 32n) | BigInt(second)))].sort((a, b) => (a < b ? -1 : 1));
      expect([...list.sorted()]).toEqual(expected);
      list.add(5, 6);
      expect(list.sorted().length).toBe(expected.length + 1);
    }),
  );
});

test("distinct values are moved to the front", () => {
  const values = BigUint64Array.of(1n, 1n, 2n, 2n ** 32n, 2n ** 32n, 2n ** 32n + 2n);
  expect(keepDistinct(values)).toBe(4);
  expect([...values.subarray(0, 4)]).toEqual([1n, 2n, 2n ** 32n, 2n ** 32n + 2n]);
});
