import { passAtK } from "@diffucoder/tasks";
import { expect, test } from "vitest";
import { bothCheckpoints, evaluation, sample } from "../../test/analysis-fixtures.ts";
import { poolSeries } from "./series.ts";
import { changesOf, stepsStudies, temperatureSweep } from "./studies.ts";

test("a temperature sweep is pass@k without bias, and AR-ness of what was decoded", () => {
  const passes = [[true, false, false], [true, true, false]];
  const hot = passes.flatMap((task, i) => task.map((passed, index) => sample({ task_id: `t${i}`, temperature: 1, sample: index, passed, order: [3, 2, 1, 0], trace: [3, 2, 1, 0] })));
  const tooLong = sample({ task_id: "t0", passed: false, order: [], trace: [], confidences: [], answerTokens: 0 });
  const { series } = poolSeries([evaluation([...hot, tooLong, sample({ task_id: "t1" })])]);
  const [greedy, sampled] = temperatureSweep(series[0]!);
  expect(greedy).toMatchObject({ temperature: 0, tasks: 2, samplesPerTask: 1, passAtK: [{ k: 1, mean: 0.5 }], global: { mean: 1, tasks: 1 }, local: { mean: 0.75 } });
  expect(sampled).toMatchObject({ temperature: 1, tasks: 2, samplesPerTask: 3, global: { mean: 0.25, samples: 6 }, local: { mean: 0 } });
  expect(sampled!.passAtK.map(({ k }) => k)).toEqual([1, 2, 3]);
  expect(sampled!.passAtK[1]!.mean).toBeCloseTo((passAtK(3, 1, 2) + passAtK(3, 2, 2)) / 2, 12);
});

test("a change is task by task, with what it is over", () => {
  const { pairs } = poolSeries([bothCheckpoints()]);
  const changes = changesOf(pairs[0]!);
  expect(changes.map(({ temperature, measure, mean }) => [temperature, measure, mean])).toEqual([
    [0, "pass@1", 4 / 6],
    [0, "local AR-ness", 0.75],
    [0, "global AR-ness", 0.75],
    [0.5, "pass@1", expect.closeTo((0.5 + 4) / 6, 12)],
    [0.5, "local AR-ness", 0.75],
    [0.5, "global AR-ness", 0.75],
  ]);
  expect(changes[3]).toMatchObject({ before: "instruction-tuning, step 5, bbbbbbbbbbbb", after: "coupled-grpo, step 5, cccccccccccc", steps: 4, tasks: 6, samples: 24 });
  expect(changes[1]!.interval).toEqual([0.75, 0.75]);
});

test("steps are studied where a checkpoint was decoded alike but for their number", () => {
  const { series } = poolSeries([bothCheckpoints(2), bothCheckpoints(4)]);
  expect(series).toHaveLength(4);
  const studies = stepsStudies(series);
  expect(studies.map(({ name, temperature }) => [name.split(",")[0], temperature])).toEqual([["instruction-tuning", 0], ["instruction-tuning", 0.5], ["coupled-grpo", 0], ["coupled-grpo", 0.5]]);
  const grpo = studies[2]!.points;
  expect(grpo.map(({ steps, pass1, loss }) => [steps, pass1.mean, loss?.mean ?? null])).toEqual([[4, expect.closeTo(5 / 6, 12), null], [2, 0, expect.closeTo(-5 / 6, 12)]]);
  expect(studies[0]!.points[1]!.loss).toMatchObject({ mean: 0, tasks: 6 });
  expect(stepsStudies(poolSeries([bothCheckpoints()]).series)).toEqual([]);
});
