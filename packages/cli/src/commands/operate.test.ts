import { expect, test } from "vitest";
import { changesOf } from "./operate.ts";

test("assignments become a tree of changes, values as YAML", () => {
  expect(changesOf(["recipe.optimizer.learningRate=0.001", "recipe.optimizer.warmupSteps=5", "execution.note=a=b", "recipe.keepSteps=[1, 2]"])).toEqual({
    recipe: { optimizer: { learningRate: 0.001, warmupSteps: 5 }, keepSteps: [1, 2] },
    execution: { note: "a=b" },
  });
  expect(changesOf([])).toEqual({});
});

test.each(["steps=3", "recipe=3", "retry.attempts=3", "recipe.steps", "=3"])("--set %s is refused", (assignment) => {
  expect(() => changesOf([assignment])).toThrow(`--set ${assignment}: expected recipe.KEY=VALUE or execution.KEY=VALUE`);
});
