import { expect, test } from "vitest";
import { executionSchema, recipeSchema } from "./config.ts";

test("only the number of steps has no default", () => {
  expect(recipeSchema.parse({ steps: 1 })).toMatchObject({ batchSize: 16, canvasLength: 64, noise: { levels: "independent" }, cutShare: 0, cleanPrefixShare: 0 });
  expect(executionSchema.parse({})).toEqual({ checkpointEverySteps: 200 });
});

test.each([
  ["steps", {}],
  ["", { steps: 1, annealingSteps: 10 }],
  ["", { steps: 1, architecture: {} }],
])("%s: %j is refused: attention is full here, and the model is the checkpoint's", (path, recipe) => {
  expect(recipeSchema.safeParse(recipe).error?.issues.map((issue) => issue.path.join("."))).toEqual([path]);
});
