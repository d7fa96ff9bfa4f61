import type { Score } from "@diffucoder/tasks";
import { expect, test } from "vitest";
import { recipeSchema } from "./config.ts";
import { groupsOf, rewardOf } from "./reward.ts";

const score = (format: number, passRate: number, status: Score["status"] = passRate === 1 ? "passed" : "failed"): Score => ({ passed: passRate === 1, passRate, format, status, cause: "" });
const fault = { status: null, faultOf: "sandbox", cause: "no answer" } as const;
const recipeWith = (changes: object) => recipeSchema.parse({ rounds: 1, ...changes });

test.each([
  [1, 1, 2.5],
  [1, 0.5, 1.5],
  [1, 0, 0.5],
  [0.5, 0, 0.25],
  [0, 0, 0],
])("format %d and pass rate %d earn %d under the weights of the paper", (format, passRate, reward) => {
  expect(rewardOf(score(format, passRate), recipeWith({}))).toBe(reward);
});

test("weights of the recipe count, checks passed only in the full format", () => {
  expect(rewardOf(score(1, 0.5), recipeWith({ reward: { code: 8, format: 1 } }))).toBe(5);
  expect(rewardOf(score(0.5, 1), recipeWith({}))).toBe(0.25);
  expect(rewardOf(score(0, 1), recipeWith({}))).toBe(0);
});

test("a binary reward is 1 for a program that passes and 0 for any other", () => {
  const recipe = recipeWith({ reward: { kind: "binary" } });
  expect([score(1, 1), score(1, 0.9), score(0, 0)].map((each) => rewardOf(each, recipe))).toEqual([1, 0, 0]);
});

test("RLTF's reward tells kinds of failure apart, and a wrong program by its share of checks", () => {
  const recipe = recipeWith({ reward: { kind: "rltf" } });
  const rewardFor = (passRate: number, status: Score["status"]) => rewardOf(score(1, passRate, status), recipe);
  expect((["malformed", "syntax"] as const).map((status) => rewardFor(0, status))).toEqual([-1, -1]);
  expect((["error", "timeout", "memory", "output-limit", "crashed"] as const).map((status) => rewardFor(0.5, status))).toEqual([-0.6, -0.6, -0.6, -0.6, -0.6]);
  [-0.3, 0.025, 0.35, 0.675].forEach((reward, i) => expect(rewardFor(i / 4, "failed")).toBeCloseTo(reward, 12));
  expect(rewardFor(1, "passed")).toBe(1);
});

test("a fault of the sandbox is no reward, not a reward of zero, unless the recipe takes it for one", () => {
  for (const kind of ["weighted", "binary", "rltf"]) expect(rewardOf(fault, recipeWith({ reward: { kind } }))).toBeNull();
  expect(rewardOf(fault, recipeWith({ faults: "zero" }))).toBe(0);
});

test("groups are runs of values", () => {
  expect(groupsOf([1, 2, 3, 4, 5, 6], 3)).toEqual([[1, 2, 3], [4, 5, 6]]);
  expect(groupsOf([1, 2], 1)).toEqual([[1], [2]]);
  expect(groupsOf([], 4)).toEqual([]);
});
