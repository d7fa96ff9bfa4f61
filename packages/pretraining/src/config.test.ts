import { expect, test } from "vitest";
import { executionSchema, recipeSchema } from "./config.ts";

test("attention is full from the first step unless annealing is asked for, and there is no new model unless described", () => {
  const { architecture, objective, annealingSteps, batchSize, cutShare, cleanPrefixShare } = recipeSchema.parse({ steps: 1 });
  expect([architecture, objective, annealingSteps, batchSize, cutShare, cleanPrefixShare]).toEqual([undefined, "diffusion", 0, 16, 0, 0]);
  expect(executionSchema.parse({})).toEqual({ checkpointEverySteps: 200 });
});

test.each([
  ["steps", {}],
  ["annealingSteps", { steps: 1, annealingSteps: -1 }],
  ["architecture.layers", { steps: 1, architecture: { hiddenSize: 16, intermediateSize: 32, layers: 0, heads: 2, kvHeads: 1 } }],
  ["", { steps: 1, keepSteps: [1] }],
  ["objective", { steps: 1, objective: "prefix" }],
  ["annealingSteps", { steps: 1, objective: "autoregressive", annealingSteps: 5 }],
  ["cutShare", { steps: 1, objective: "autoregressive", cutShare: 0.01 }],
  ["cleanPrefixShare", { steps: 1, objective: "autoregressive", cleanPrefixShare: 0.01 }],
  ["lossWeights", { steps: 1, objective: "autoregressive", lossWeights: { kind: "cart" } }],
])("%s: %j is refused by name", (path, recipe) => {
  expect(recipeSchema.safeParse(recipe).error?.issues.map((issue) => issue.path.join("."))).toEqual([path]);
});

test("the same keys are accepted with diffusion", () => {
  const recipe = { steps: 1, annealingSteps: 5, cutShare: 0.01, cleanPrefixShare: 0.01, lossWeights: { kind: "cart" } };
  expect(recipeSchema.safeParse(recipe).success).toBe(true);
  expect(recipeSchema.safeParse({ steps: 1, objective: "autoregressive", annealingSteps: 0, cutShare: 0 }).success).toBe(true);
});
