import { expect, test } from "vitest";
import { z } from "zod";
import { packedRecipe, trainingExecution, trainingRecipe } from "./config.ts";

const schema = z.strictObject(trainingRecipe);

test("only the number of steps has no default", () => {
  expect(schema.parse({ steps: 5 })).toEqual({
    steps: 5,
    batchSize: 16,
    microBatches: 1,
    canvasLength: 64,
    noise: { levels: "independent", smallest: 1e-3 },
    lossWeights: { kind: "inverse-level" },
    optimizer: { learningRate: 1e-3, warmupSteps: 20, finalShare: 0.1, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 },
    validationBatches: 4,
  });
  expect(trainingExecution.parse({})).toEqual({ checkpointEverySteps: 200 });
  expect(z.strictObject(packedRecipe).parse({ steps: 5 })).toEqual({ ...schema.parse({ steps: 5 }), cutShare: 0, cleanPrefixShare: 0 });
  expect(schema.parse({ steps: 5, lossWeights: { kind: "cart" }, rollback: { everySteps: 2 } })).toMatchObject({ lossWeights: { kind: "cart", share: 0.3 }, rollback: { everySteps: 2, limit: 5 } });
});

test.each([
  ["steps", { steps: 0 }],
  ["steps", { steps: undefined }],
  ["batchSize", { batchSize: 0 }],
  ["microBatches", { microBatches: 0 }],
  ["canvasLength", { canvasLength: 1 }],
  ["validationBatches", { validationBatches: 0 }],
  ["noise.levels", { noise: { levels: "antithetic" } }],
  ["noise.smallest", { noise: { smallest: 0 } }],
  ["noise.smallest", { noise: { smallest: 1 } }],
  ["noise", { noise: { largest: 1 } }],
  ["lossWeights.kind", { lossWeights: { kind: "flat" } }],
  ["lossWeights.share", { lossWeights: { kind: "cart", share: 1 } }],
  ["lossWeights", { lossWeights: { kind: "inverse-level", share: 0.3 } }],
  ["rollback.everySteps", { rollback: {} }],
  ["rollback.limit", { rollback: { everySteps: 1, limit: 0 } }],
  ["rollback.largestGradientNorm", { rollback: { everySteps: 1, largestGradientNorm: 0 } }],
  ["optimizer.learningRate", { optimizer: { learningRate: 0 } }],
  ["optimizer.warmupSteps", { optimizer: { warmupSteps: -1 } }],
  ["optimizer.finalShare", { optimizer: { finalShare: 1.1 } }],
  ["optimizer.finalShare", { optimizer: { finalShare: -0.1 } }],
  ["optimizer.beta1", { optimizer: { beta1: 1 } }],
  ["optimizer.beta1", { optimizer: { beta1: -0.1 } }],
  ["optimizer.beta2", { optimizer: { beta2: 1 } }],
  ["optimizer.beta2", { optimizer: { beta2: -0.1 } }],
  ["optimizer.epsilon", { optimizer: { epsilon: 0 } }],
  ["optimizer.weightDecay", { optimizer: { weightDecay: -0.1 } }],
  ["optimizer.clipNorm", { optimizer: { clipNorm: 0 } }],
  ["optimizer", { optimizer: { momentum: 0.9 } }],
  ["", { dropout: 0.1 }],
])("%s: %j is refused by name", (path, changes) => {
  const { error } = schema.safeParse({ steps: 5, ...changes });
  expect(error?.issues.map((issue) => issue.path.join("."))).toEqual([path]);
});

test.each([{ cutShare: 1.1 }, { cutShare: -0.1 }, { cleanPrefixShare: 1.1 }, { cleanPrefixShare: -0.1 }])("%j is refused", (changes) => {
  expect(z.strictObject(packedRecipe).safeParse({ steps: 5, ...changes }).success).toBe(false);
});

test.each([{ checkpointEverySteps: 0 }, { checkpointEverySteps: 1.5 }, { steps: 5 }])("execution %j is refused", (execution) => {
  expect(trainingExecution.safeParse(execution).success).toBe(false);
});
