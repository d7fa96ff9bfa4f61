import { toHuggingFace, trainingFlopsPerToken } from "@diffucoder/model";
import { expect, test } from "vitest";
import { model } from "../test/fixtures.ts";
import { recipeSchema } from "./config.ts";
import { evaluationStage } from "./run-evaluation.ts";

const plan = (recipe: Record<string, unknown>, inputs: Parameters<NonNullable<typeof evaluationStage.plan>>[1]) => evaluationStage.plan!(recipeSchema.parse(recipe), inputs);
const candidate = { facts: { model: toHuggingFace(model) as { [key: string]: number } } };
const recipe = { tasks: { count: 10 }, decoding: { canvasLength: 40, steps: 6, batchSize: 4 }, samples: { perTask: 3 }, passAt: [1] };

test("every step of every canvas passes all tokens through the model, in full batches", () => {
  // 10 tasks make 12 canvases, 4 times (greedy and 3 samples), of 40 tokens, in 6 steps.
  const tokens = 12 * 4 * 40 * 6;
  const { flops, ...rest } = plan(recipe, { candidate });
  expect(rest).toEqual({ tokens, parameterCount: expect.any(Number) as number });
  expect(flops).toBeCloseTo((tokens * trainingFlopsPerToken(model, 40)) / 3, 0);
  expect(plan(recipe, { candidate, baseline: {} })).toMatchObject({ tokens: 2 * tokens, flops: 2 * flops! });
});

test("a benchmark comes on top, with all its tasks unless fewer are asked for", () => {
  const decoding = { canvasLength: 100, steps: 5, batchSize: 8 };
  const humaneval = { name: "humaneval", path: "x", sha256: "0".repeat(64), decoding };
  const own = plan(recipe, { candidate });
  const extra = (benchmark: Record<string, unknown>) => plan({ ...recipe, benchmarks: [benchmark] }, { candidate }).tokens! - own.tokens!;
  expect(extra(humaneval)).toBe(168 * 100 * 5);
  expect(extra({ ...humaneval, name: "mbpp" })).toBe(504 * 100 * 5);
  expect(extra({ ...humaneval, tasks: 9 })).toBe(16 * 100 * 5);
  expect(extra({ ...humaneval, tasks: 8, samples: { perTask: 3, temperatures: [0.2, 1] } })).toBe(7 * 8 * 100 * 5);
  expect(plan({ ...recipe, benchmarks: [humaneval] }, { candidate }).flops! - own.flops!).toBeCloseTo((168 * 100 * 5 * trainingFlopsPerToken(model, 100)) / 3, 0);
});

test("without the candidate's model only the tokens are known", () => {
  const unknown = { tokens: 12 * 4 * 40 * 6, notes: ["operations: not known, since the candidate's model is not"] };
  expect(plan(recipe, {})).toEqual(unknown);
  expect(plan(recipe, { candidate: {} })).toEqual(unknown);
});
