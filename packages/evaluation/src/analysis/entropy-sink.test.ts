import { expect, test } from "vitest";
import { sample } from "../../test/analysis-fixtures.ts";
import { certaintyOf, entropySink } from "./entropy-sink.ts";

const OPTIONS = { algorithm: "maskgit_plus", steps: 10 };
const long = (confidenceOf: (position: number) => number, order = [...Array(20).keys()]) =>
  sample({ order, trace: [...order.keys()].map((position) => Math.floor(order.indexOf(position) / 2)), confidences: Array.from({ length: 20 }, (_, position) => confidenceOf(position)) });

test("a negative entropy becomes a certainty; other measures are one", () => {
  expect(certaintyOf(0, "entropy")).toBe(1);
  expect(certaintyOf(-Math.log(4), "entropy")).toBeCloseTo(1 / 4, 12);
  expect(certaintyOf(1e-9, "entropy")).toBe(1);
  expect(certaintyOf(0.3, "topk_margin")).toBe(0.3);
});

test("a sink, worked by hand", () => {
  const sink = entropySink([long((position) => (position < 8 ? 1 : 0.25))], OPTIONS);
  expect(sink.halfLife).toBe(8);
  expect(sink.firstMass.mean).toBeCloseTo(8 / 11, 12);
  expect(sink.evenMass).toBe(8 / 20);
  expect(sink.earlyNearPrompt.mean).toBe(1);
  expect(sink.byPosition).toHaveLength(20);
  expect(sink.byPosition[8]).toMatchObject({ positions: { from: 8, to: 9 }, certainty: { mean: 0.25 }, fixedAt: { mean: 4 / 9 } });
});

test("without a sink: certainty stays, and what is far is fixed first", () => {
  const sink = entropySink([long(() => 0.5, [...Array(20).keys()].reverse())], OPTIONS);
  expect(sink.halfLife).toBeNull();
  expect(sink.firstMass.mean).toBeCloseTo(sink.evenMass, 12);
  expect(sink.earlyNearPrompt.mean).toBe(0);
  expect(sink.byPosition[0]!.fixedAt.mean).toBe(1);
});

test("positions that only long answers have are over those; an answer sure of nothing has no mass to share", () => {
  const sink = entropySink([sample({ task_id: "short", confidences: [0, 0, 0, 0] }), long(() => 1)], OPTIONS);
  expect(sink.byPosition[0]!.certainty).toMatchObject({ mean: 0.5, tasks: 2 });
  expect(sink.byPosition[4]!.certainty).toMatchObject({ mean: 1, tasks: 1 });
  expect(sink.firstMass).toMatchObject({ mean: 8 / 20, tasks: 1 });
});
