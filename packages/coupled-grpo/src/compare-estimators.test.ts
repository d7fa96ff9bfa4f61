import { loadBackend } from "@diffucoder/engine";
import { initialParameters } from "@diffucoder/model";
import { beforeAll, expect, test } from "vitest";
import { randomRollouts, untrainedModel } from "../test/fixtures.ts";
import { compareEstimators, type EstimatorComparison } from "./compare-estimators.ts";
import { recipeSchema } from "./config.ts";

const model = untrainedModel(0.4);
const rollouts = randomRollouts();
const estimatorOf = (logProbs: object) => recipeSchema.parse({ rounds: 1, logProbs }).logProbs;

let comparison: EstimatorComparison;
const qualityOf = (name: string) => comparison.qualities.find((quality) => quality.name === name)!;

beforeAll(async () => {
  await loadBackend();
  comparison = await compareEstimators({
    model,
    parameters: initialParameters(model, 2),
    rollouts,
    advantages: [2, -2, 1, -1],
    windowLength: 7,
    estimators: {
      full: estimatorOf({ masks: "full" }),
      single: estimatorOf({ masks: "single" }),
      coupled: estimatorOf({ fullPass: false }),
      bound: estimatorOf({ fullPass: false, weights: "inverse-level", noiseRange: [0.01, 0.99] }),
      paper: estimatorOf({ weights: "inverse-level" }),
    },
    draws: 24,
    referencePairs: 64,
    seed: 1,
  });
}, 60_000);

test("passes are those of the estimators, in the order given", () => {
  expect(comparison.qualities.map(({ name, passes }) => [name, passes])).toEqual([["full", 1], ["single", 1], ["coupled", 2], ["bound", 2], ["paper", 3]]);
});

test("an estimator that draws nothing has no deviation; a pair has less than a single mask", () => {
  expect(qualityOf("full").deviation).toBe(0);
  expect(qualityOf("coupled").deviation).toBeGreaterThan(0);
  expect(qualityOf("coupled").deviation).toBeLessThan(qualityOf("single").deviation);
});

test("the bound is unbiased within its noise, and the paper's sum is no log-probability", () => {
  const { bias, deviation } = qualityOf("bound");
  expect(Math.abs(bias)).toBeLessThan((5 * deviation) / Math.sqrt(24 * rollouts.length) + 0.5);
  expect(qualityOf("paper").bias).toBeLessThan(-3);
});

test("gradients point where the reference's does, a pair's more than a single mask's", () => {
  expect(comparison.referenceAgreement).toBeGreaterThan(0.8);
  for (const { cosine } of comparison.qualities) {
    expect(cosine).toBeGreaterThan(0.2);
    expect(cosine).toBeLessThanOrEqual(1);
  }
  expect(qualityOf("coupled").cosine).toBeGreaterThan(qualityOf("single").cosine);
});
