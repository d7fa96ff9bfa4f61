import { chanceArness } from "@diffucoder/model";
import fc from "fast-check";
import { expect, test } from "vitest";
import { sample } from "../../test/analysis-fixtures.ts";
import { arnessAtEachK, arnessAtEachStep, globalAtOne, localAtOne } from "./arness-curves.ts";

test("AR-ness of the window and of the answer alone, in both definitions, worked by hand", () => {
  // Of six positions the answer has four, and those were fixed as 1, 0, 2, 3.
  const samples = [sample({ order: [5, 1, 0, 2, 3, 4], trace: [2, 1, 3, 4, 5, 0], confidences: [0, 0, 0, 0, 0, 0], answerTokens: 4 })];
  const [one, two] = arnessAtEachK(samples, "window", [1, 2]);
  expect([one!.strict.mean, one!.set.mean, one!.global.mean]).toEqual([2 / 6, 2 / 6, 4 / 6]);
  expect([two!.strict.mean, two!.set.mean, two!.global.mean]).toEqual([1 / 6, 2 / 6, 5 / 6]);
  const [answer] = arnessAtEachK(samples, "answer", [1]);
  expect([answer!.strict.mean, answer!.global.mean, answer!.strict.tasks, answer!.strict.samples]).toEqual([1 / 4, 3 / 4, 1, 1]);
  expect([localAtOne(samples[0]!), globalAtOne(samples[0]!)]).toEqual([2 / 6, 4 / 6]);
});

test("chance is over the lengths there are, and answers without a position do not count", () => {
  const two = sample({ task_id: "b", order: [0, 1], trace: [0, 1], confidences: [1, 1], answerTokens: 0 });
  const [one] = arnessAtEachK([sample(), two], "window", [1]);
  expect(one!.chance).toEqual({ strict: (3 / 16 + 1 / 4) / 2, set: (3 / 16 + 1 / 4) / 2, global: (chanceArness(4, 1).global + 3 / 4) / 2 });
  expect(arnessAtEachK([sample(), two], "answer", [1])[0]!.strict).toMatchObject({ tasks: 1, samples: 1 });
  expect(arnessAtEachK([two], "answer")).toEqual([]);
  expect(arnessAtEachK([sample()], "window").map(({ k }) => k)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test("by step: steps that fix nothing are left out, and the first position follows nothing", () => {
  const samples = [sample({ order: [0, 1, 3, 2], trace: [0, 2, 3, 2] })];
  const points = arnessAtEachStep(samples, 4);
  expect(points.map(({ steps, local, global }) => [steps.from, local?.mean, global.mean])).toEqual([
    [0, undefined, 1],
    [2, 1 / 2, 1 / 2],
    [3, 0, 1],
  ]);
});

test("steps add up to the whole: global AR-ness by step, weighted by what each step fixed, is global AR-ness", () => {
  const decodes = fc.integer({ min: 1, max: 80 }).chain((length) => fc.record({ order: fc.shuffledSubarray([...Array(length).keys()], { minLength: length, maxLength: length }), steps: fc.integer({ min: 1, max: 80 }) }));
  fc.assert(
    fc.property(decodes, ({ order, steps }) => {
      const trace = [...order.keys()].map((position) => Math.floor((order.indexOf(position) * steps) / order.length));
      const one = sample({ order, trace, confidences: trace });
      const hits = arnessAtEachStep([one], steps).reduce((sum, { steps: { from, to }, global }) => sum + global.mean * trace.filter((step) => step >= from && step < to).length, 0);
      expect(hits / order.length).toBeCloseTo(globalAtOne(one), 10);
    }),
    { numRuns: 30 },
  );
});
