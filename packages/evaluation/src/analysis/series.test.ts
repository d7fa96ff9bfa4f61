import { expect, test } from "vitest";
import { bothCheckpoints, evaluation, sample } from "../../test/analysis-fixtures.ts";
import { decodedAt, poolSeries, temperaturesOf } from "./series.ts";
import { differenceOverTasks, estimateOverTasks } from "./task-estimate.ts";

test("seeds and runs of one checkpoint are pooled; what two evaluations share counts once", () => {
  const first = evaluation([sample(), sample({ temperature: 1 })], { name: "one" });
  const second = evaluation([sample(), sample({ temperature: 1, seed: 8 })], { name: "two", seed: 8 });
  const { series, pairs } = poolSeries([first, second]);
  expect(series).toHaveLength(1);
  expect(series[0]).toMatchObject({ name: "coupled-grpo, step 5, cccccccccccc", runs: ["one", "two"], seeds: [7, 8] });
  expect(series[0]!.samples.map(({ temperature, seed }) => [temperature, seed])).toEqual([[0, 7], [1, 7], [1, 8]]);
  expect(temperaturesOf(series[0]!)).toEqual([0, 1]);
  expect(pairs).toEqual([]);
});

test("other steps make another series, and a pair is within one evaluation", () => {
  const { series, pairs } = poolSeries([bothCheckpoints(4), bothCheckpoints(2), bothCheckpoints(4)]);
  expect(series.map(({ decoding, samples }) => [decoding.steps, samples.length])).toEqual([[4, 18], [4, 18], [2, 18], [2, 18]]);
  expect(pairs.map(({ before, after }) => [series.indexOf(before as never), series.indexOf(after as never)])).toEqual([[0, 1], [2, 3]]);
});

test("what was not decoded has no order", () => {
  const [series] = poolSeries([evaluation([sample({ order: [], trace: [], confidences: [] }), sample({ task_id: "b" })])]).series;
  expect(decodedAt(series!, 0).map(({ task_id }) => task_id)).toEqual(["b"]);
});

test("an estimate weighs tasks, not answers, alike", () => {
  const samples = [sample({ passed: true }), sample({ passed: false, sample: 1 }), sample({ task_id: "b", passed: true })];
  const passed = ({ passed: value }: { passed: boolean }) => (value ? 1 : 0);
  expect(estimateOverTasks(samples, passed)).toMatchObject({ mean: 0.75, tasks: 2, samples: 3 });
  expect(estimateOverTasks(samples, ({ task_id }) => (task_id === "b" ? 4 : undefined))).toEqual({ mean: 4, interval: [4, 4], tasks: 1, samples: 1 });
  expect(estimateOverTasks(samples, () => undefined)).toBeUndefined();
  expect(differenceOverTasks(samples, [sample({ passed: true }), sample({ task_id: "c" })], passed)).toEqual({ mean: 0.5, interval: [0.5, 0.5], tasks: 1, samples: 3 });
  expect(differenceOverTasks(samples, [sample({ task_id: "c" })], passed)).toBeUndefined();
});
