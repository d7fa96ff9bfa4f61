import { parameterCount, toHuggingFace, trainingFlopsPerToken, trainingMemoryBytes } from "@diffucoder/model";
import { NUMERICS } from "@diffucoder/test-kit";
import { expect, test } from "vitest";
import { model } from "../test/fixtures.ts";
import { planTraining, plannedModel, refuseWithoutMemory } from "./plan.ts";

test("a plan counts tokens, operations, parameters and memory", () => {
  const facts = { model: toHuggingFace(model) as never };
  expect(planTraining(model, { steps: 10, batchSize: 4, canvasLength: 8 }, facts)).toEqual({
    tokens: 320,
    flops: 320 * trainingFlopsPerToken(model, 8),
    parameterCount: parameterCount(model),
    peakMemoryBytes: trainingMemoryBytes(model, 32),
    facts,
  });
});

test("a state to go back to adds weights and both moments", () => {
  const peak = (rollback?: { everySteps: number; limit: number }) =>
    planTraining(model, { steps: 10, batchSize: 4, canvasLength: 8, ...(rollback === undefined ? {} : { rollback }) }, {}).peakMemoryBytes!;
  expect(peak({ everySteps: 5, limit: 1 }) - peak()).toBe(12 * parameterCount(model));
});

test("parts of a batch take the activations of one part, and a sum of gradients", () => {
  const peak = (batchSize: number, microBatches: number) => planTraining(model, { steps: 10, batchSize, canvasLength: 8, microBatches }, {}).peakMemoryBytes!;
  expect(peak(4, 2)).toBe(peak(2, 1) + 4 * parameterCount(model));
  expect(() => peak(4, 3)).toThrow("microBatches: expected a divisor of batchSize 4, found 3");
});

test("a plan beyond the memory of the process is refused with both figures, unless a GPU computes", () => {
  const on = (memoryBytes: number, instructionSet = "avx2") => () => refuseWithoutMemory("s", { peakMemoryBytes: 3e9 }, { memoryBytes, numerics: { ...NUMERICS, instructionSet } });
  expect(on(3e9)).not.toThrow();
  expect(on(2.9e9)).toThrow(expect.objectContaining({ code: "NotEnoughMemory", retryable: false, details: { stage: "s", plannedBytes: 3e9, memoryBytes: 2.9e9 } }) as Error);
  expect(on(2.9e9)).toThrow("stage s, memory: expected at most 2.9 GB, all that is here, found a plan of 3.0 GB. Raise `microBatches`, or lower `batchSize` or `tasksPerRound`, or start a worker");
  for (const gpu of ["gpu", "sm_90, NVIDIA H200, driver 1"]) expect(on(1, gpu)).not.toThrow();
});

test("the planned model is the one in the facts of an input's plan, if it has any", () => {
  expect(plannedModel({ facts: { model: toHuggingFace(model) as never } })).toEqual({ ...model, headDim: 8 });
  expect(plannedModel({ facts: { vocabSize: 4 } })).toBeUndefined();
  expect(plannedModel({})).toBeUndefined();
  expect(plannedModel(undefined)).toBeUndefined();
});
