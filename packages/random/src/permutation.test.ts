import fc from "fast-check";
import { expect, test } from "vitest";
import { permutation } from "./permutation.ts";
import type { StreamKey } from "./stream.ts";

const KEY: StreamKey = { seed: 7, stage: "pretraining", step: 3, sample: 1, purpose: "noise" };
const all = (size: number, key = KEY): number[] => Array.from({ length: size }, (_, position) => position).map(permutation(size, key));
const counting = (size: number): number[] => Array.from({ length: size }, (_, i) => i);
const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);

test("a permutation takes every value exactly once, for any size and key", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), fc.nat(), (size, seed) => {
      expect(sorted(all(size, { ...KEY, seed }))).toEqual(counting(size));
    }),
    { numRuns: 60 },
  );
});

// Around the sizes where the network gains a pair of bits: 4, 16, 64, 256, 1024, 4096.
test.each([1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1023, 1024, 1025, 4095, 4096, 4097])("size %d is a bijection", (size) => {
  expect(sorted(all(size))).toEqual(counting(size));
});

test("the order of a key never changes: resumed training depends on it", () => {
  // Computed apart from this code, from the paper's definition in Python integers.
  expect(all(10)).toEqual([0, 2, 5, 9, 4, 3, 6, 1, 7, 8]);
  expect(all(17)).toEqual([2, 5, 11, 8, 12, 14, 9, 1, 7, 6, 10, 16, 4, 3, 0, 13, 15]);
  expect([0, 1, 2 ** 31, 2 ** 32 - 1].map(permutation(2 ** 32, KEY))).toEqual([1862922029, 801409170, 4228796015, 3005743126]);
});

test("a position may be asked for at any time and in any order", () => {
  const order = permutation(1000, KEY);
  const forward = counting(1000).map(order);
  const backward = counting(1000).reverse().map(order).reverse();
  expect(backward).toEqual(forward);
});

test("the largest sizes stay in range and do not repeat", () => {
  for (const size of [2 ** 31 + 1, 2 ** 32 - 1, 2 ** 32]) {
    const order = permutation(size, KEY);
    const positions = [...counting(2000), ...counting(2000).map((i) => size - 1 - i), ...counting(2000).map((i) => 2 ** 31 - 2000 + i)];
    const values = new Set([...new Set(positions)].map(order));
    expect(values.size).toBe(new Set(positions).size);
    for (const value of values) expect(Number.isInteger(value) && value >= 0 && value < size).toBe(true);
    expect(Math.max(...values)).toBeGreaterThan(size * 0.99); // the upper part is reached
  }
});

test("other keys give other orders", () => {
  const orders = [KEY, { ...KEY, seed: 8 }, { ...KEY, step: 4 }, { ...KEY, purpose: "other" }].map((key) => all(100, key).join());
  expect(new Set(orders).size).toBe(orders.length);
});

test("over many keys, each position takes each value about equally often", () => {
  const [size, keys] = [64, 1280];
  const counts = counting(size).map(() => new Array<number>(size).fill(0));
  for (let seed = 0; seed < keys; seed++) all(size, { ...KEY, seed }).forEach((value, position) => counts[position]![value]!++);
  const expected = keys / size;
  const statistic = counts.flat().reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  // 63 * 63 degrees of freedom: a uniform choice gives 1.00 with a standard deviation of 0.022 for each of them.
  expect(statistic / 63 ** 2).toBeLessThan(1.15);
});

test.each([0, -1, 1.5, NaN, 2 ** 32 + 1])("size %d is refused", (size) => {
  expect(() => permutation(size, KEY)).toThrow(new RangeError(`size: expected an integer in [1, 2^32], found ${size}`));
});

test.each([-1, 10, 0.5, NaN])("position %d of 10 is refused", (position) => {
  expect(() => permutation(10, KEY)(position)).toThrow(new RangeError(`position: expected an integer in [0, 10), found ${position}`));
});
