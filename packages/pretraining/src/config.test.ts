import { expect, test } from "vitest";
import { executionSchema, recipeSchema } from "./config.ts";

test("attention is full from the first step unless annealing is asked for, and there is no new model unless described", () => {
  const { architecture, annealingSteps, batchSize } = recipeSchema.parse({ steps: 1 });
  expect([architecture, annealingSteps, batchSize]).toEqual([undefined, 0, 16]);
  expect(executionSchema.parse({})).toEqual({ checkpointEverySteps: 200 });
});

test.each([
  ["steps", {}],
  ["annealingSteps", { steps: 1, annealingSteps: -1 }],
  ["architecture.layers", { steps: 1, architecture: { hiddenSize: 16, intermediateSize: 32, layers: 0, heads: 2, kvHeads: 1 } }],
  ["", { steps: 1, keepSteps: [1] }],
])("%s: %j is refused by name", (path, recipe) => {
  expect(recipeSchema.safeParse(recipe).error?.issues.map((issue) => issue.path.join("."))).toEqual([path]);
});
