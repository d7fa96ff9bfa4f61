import type { Score } from "@diffucoder/tasks";
import { expect, test } from "vitest";
import { groupsOf, rewardOf } from "./reward.ts";

const score = (format: number, passRate: number): Score => ({ passed: passRate === 1, passRate, format, status: "failed", cause: "" });

test.each([
  [1, 1, 2.5],
  [1, 0.5, 1.5],
  [1, 0, 0.5],
  [0.5, 0, 0.25],
  [0, 0, 0],
])("format %d and pass rate %d earn %d under the weights of the paper", (format, passRate, reward) => {
  expect(rewardOf(score(format, passRate), { code: 2, format: 0.5 })).toBe(reward);
});

test("checks passed count only in the full format", () => {
  expect(rewardOf(score(0.5, 1), { code: 2, format: 0.5 })).toBe(0.25);
  expect(rewardOf(score(0, 1), { code: 2, format: 0.5 })).toBe(0);
});

test("a fault of the sandbox is no reward, not a reward of zero", () => {
  expect(rewardOf({ status: null, faultOf: "sandbox", cause: "no answer" }, { code: 2, format: 0.5 })).toBeNull();
});

test("groups are runs of values", () => {
  expect(groupsOf([1, 2, 3, 4, 5, 6], 3)).toEqual([[1, 2, 3], [4, 5, 6]]);
  expect(groupsOf([1, 2], 1)).toEqual([[1], [2]]);
  expect(groupsOf([], 4)).toEqual([]);
});
