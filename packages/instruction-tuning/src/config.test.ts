import { expect, test } from "vitest";
import { executionSchema, recipeSchema } from "./config.ts";

test("prompts lose their noise over the first epoch, and no step is kept, unless the recipe says otherwise", () => {
  expect(recipeSchema.parse({ steps: 1 })).toMatchObject({ tasks: { families: ["named"], count: 2048 }, conditionEpochs: 1, keepSteps: [], batchSize: 16 });
  expect(executionSchema.parse({})).toEqual({ checkpointEverySteps: 200 });
});

test.each([
  ["steps", {}],
  ["tasks.families", { steps: 1, tasks: { families: [] } }],
  ["tasks.count", { steps: 1, tasks: { count: 0 } }],
  ["tasks", { steps: 1, tasks: { split: "heldout" } }],
  ["conditionEpochs", { steps: 1, conditionEpochs: -1 }],
  ["keepSteps.0", { steps: 1, keepSteps: [0] }],
  ["keepSteps", { steps: 4, keepSteps: [4, 5] }],
  ["", { steps: 1, annealingSteps: 1 }],
  ["", { steps: 1, cutShare: 0.01 }],
])("%s: %j is refused by name", (path, recipe) => {
  expect(recipeSchema.safeParse(recipe).error?.issues.map((issue) => issue.path.join("."))).toEqual([path]);
});

test("the last step may be kept, a later one is refused with the reason", () => {
  expect(recipeSchema.parse({ steps: 4, keepSteps: [4] }).keepSteps).toEqual([4]);
  expect(() => recipeSchema.parse({ steps: 4, keepSteps: [5] })).toThrow("expected steps of the training, at most `steps`");
});
