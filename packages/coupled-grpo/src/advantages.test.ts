import fc from "fast-check";
import { expect, test } from "vitest";
import { advantagesOf, mixedGroupShare, perToken } from "./advantages.ts";

const leaveOneOutAdvantages = (rewards: readonly (number | null)[]) => advantagesOf(rewards, "leave-one-out");

const rewards = fc.array(fc.double({ min: 0, max: 2.5, noNaN: true }), { minLength: 2, maxLength: 12 });

test("an advantage is the reward minus the mean of the others", () => {
  // 1 - (0 + 0) / 2, then twice 0 - (1 + 0) / 2
  expect([...leaveOneOutAdvantages([1, 0, 0])]).toEqual([1, -0.5, -0.5]);
  // Not divided by the spread of the group: 2.5 - 0.5, 0.5 - 2.5
  expect([...leaveOneOutAdvantages([2.5, 0.5])]).toEqual([2, -2]);
  expect([...leaveOneOutAdvantages([0.5, 0.5, 0.5])]).toEqual([0, 0, 0]);
});

test("a missing reward is left out of the means and gets advantage 0", () => {
  // Known are 2.5, 0.25, 0.25: 2.5 - 0.25; 0.25 - (2.5 + 0.25) / 2
  expect([...leaveOneOutAdvantages([2.5, null, 0.25, 0.25])]).toEqual([2.25, 0, -1.125, -1.125]);
});

test("a group with fewer than two known rewards teaches nothing", () => {
  expect([...leaveOneOutAdvantages([null, 2.5, null])]).toEqual([0, 0, 0]);
  expect([...leaveOneOutAdvantages([null, null])]).toEqual([0, 0]);
  expect([...leaveOneOutAdvantages([1])]).toEqual([0]);
  expect([...leaveOneOutAdvantages([])]).toEqual([]);
});

test("advantages sum to zero and are G / (G - 1) times the distance from the mean", () => {
  fc.assert(
    fc.property(rewards, (values) => {
      const advantages = leaveOneOutAdvantages(values);
      const size = values.length;
      const mean = values.reduce((a, b) => a + b) / size;
      expect(advantages.reduce((a, b) => a + b)).toBeCloseTo(0, 5);
      values.forEach((reward, i) => expect(advantages[i]).toBeCloseTo((size / (size - 1)) * (reward - mean), 5));
    }),
  );
});

test("the mean of all for a baseline, and its standard deviations for a unit", () => {
  expect([...advantagesOf([2, 0, null, 1], "mean")]).toEqual([1, -1, 0, 0]);
  // Standard deviation of 2, 0 and 1: 1.
  [...advantagesOf([2, 0, null, 1], "standardized")].forEach((advantage, i) => expect(advantage).toBeCloseTo([1 / 1.0001, -1 / 1.0001, 0, 0][i]!, 6));
  expect([...advantagesOf([0.5, 0.5], "standardized")]).toEqual([0, 0]);
});

test("missing rewards change nothing for the known ones", () => {
  fc.assert(
    fc.property(rewards, fc.nat(), fc.constantFrom("leave-one-out", "mean", "standardized"), (values, at, baseline) => {
      const index = at % (values.length + 1);
      const withGap = advantagesOf([...values.slice(0, index), null, ...values.slice(index)], baseline);
      expect(withGap.filter((_, i) => i !== index)).toEqual(advantagesOf(values, baseline));
      expect(withGap[index]).toBe(0);
    }),
  );
});

test("only groups whose known rewards differ count as mixed", () => {
  expect(mixedGroupShare([[1, 0], [1, 1], [null, 1], [null, null], [0, null, 2]])).toBe(2 / 5);
  expect(mixedGroupShare([[1, 0]])).toBe(1);
  expect(mixedGroupShare([])).toBe(0);
});

test("a completion's advantage is that of each position of its window", () => {
  expect(perToken([2, -1], 3)).toEqual(Float32Array.of(2, 2, 2, -1, -1, -1));
});
