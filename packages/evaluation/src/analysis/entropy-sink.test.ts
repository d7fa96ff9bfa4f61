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

test("a sink at the first pass, worked by hand", () => {
  const firstEntropies = Array.from({ length: 20 }, (_, position) => (position < 8 ? 0 : Math.log(4)));
  const { firstPass, whenFixed } = entropySink([{ ...long(() => 0.5), firstEntropies }, { ...long(() => 0.5), task_id: "other", temperature: 1 }], OPTIONS);
  expect(firstPass!.halfLife).toBe(8);
  expect(firstPass!.firstMass).toMatchObject({ mean: expect.closeTo(8 / 11, 12) as number, tasks: 1 });
  expect(firstPass!.evenMass).toBe(8 / 20);
  expect(firstPass!.byPosition.map(({ mean }) => mean)).toEqual(firstEntropies.map((nats) => expect.closeTo(Math.exp(-nats), 12) as number));
  expect(whenFixed).toMatchObject({ halfLife: null, firstMass: { tasks: 2 } });
  expect(entropySink([long(() => 1)], OPTIONS).firstPass).toBeNull();
});

test("a sink when fixed, worked by hand", () => {
  const { whenFixed, fixedAt, earlyNearPrompt } = entropySink([long((position) => (position < 8 ? 1 : 0.25))], OPTIONS);
  expect(whenFixed.halfLife).toBe(8);
  expect(whenFixed.firstMass!.mean).toBeCloseTo(8 / 11, 12);
  expect(whenFixed.evenMass).toBe(8 / 20);
  expect(earlyNearPrompt.mean).toBe(1);
  expect(whenFixed.byPosition).toHaveLength(20);
  expect(whenFixed.byPosition[8]).toMatchObject({ positions: { from: 8, to: 9 }, mean: 0.25 });
  expect(fixedAt[8]).toMatchObject({ positions: { from: 8, to: 9 }, mean: 4 / 9 });
});

test("without a sink: certainty stays, and what is far is fixed first", () => {
  const { whenFixed, fixedAt, earlyNearPrompt } = entropySink([long(() => 0.5, [...Array(20).keys()].reverse())], OPTIONS);
  expect(whenFixed.halfLife).toBeNull();
  expect(whenFixed.firstMass!.mean).toBeCloseTo(whenFixed.evenMass, 12);
  expect(earlyNearPrompt.mean).toBe(0);
  expect(fixedAt[0]!.mean).toBe(1);
});

test("positions that only long answers have are over those; an answer sure of nothing has no mass to share", () => {
  const nothing = sample({ task_id: "short", confidences: [0, 0, 0, 0] });
  const { whenFixed } = entropySink([nothing, long(() => 1)], OPTIONS);
  expect(whenFixed.byPosition[0]).toMatchObject({ mean: 0.5, tasks: 2 });
  expect(whenFixed.byPosition[4]).toMatchObject({ mean: 1, tasks: 1 });
  expect(whenFixed.firstMass).toMatchObject({ mean: 8 / 20, tasks: 1 });
  expect(entropySink([nothing], OPTIONS).whenFixed.firstMass).toBeUndefined();
});
