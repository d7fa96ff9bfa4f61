import { expect, test } from "vitest";
import type { BatchSource, DiffusionBatch } from "./batch-source.ts";
import { timeSource } from "./timed-source.ts";

const batch: DiffusionBatch = { originals: [], canvases: [], maskableCount: 0, documents: ["a"] };

/** A clock that only `pass` moves, and a source that takes 3 ms for each training batch and 50 for each of validation. */
function slowSource() {
  let time = 1000;
  const pass = (ms: number) => void (time += ms);
  const take = async (ms: number) => {
    await Promise.resolve();
    pass(ms);
    return batch;
  };
  const asked: number[] = [];
  const source: BatchSource = { annealed: true, trainingBatch: (step) => (asked.push(step), take(3)), validationBatch: () => take(50) };
  return { timed: timeSource(source, () => time), pass, asked };
}

test("the share of waiting counts from the first training batch, and training batches alone", async () => {
  const { timed, pass, asked } = slowSource();
  pass(500); // before the loop
  await timed.validationBatch(0);
  for (const step of [1, 2]) {
    expect(await timed.trainingBatch(step)).toBe(batch);
    pass(7); // the step
  }
  expect(timed.waitShare()).toBeCloseTo(6 / 20, 10);
  expect(asked).toEqual([1, 2]);
  expect(timed.annealed).toBe(true);
});

test("a source that nothing was asked of, or whose clock stood still, waited for nothing", async () => {
  expect(slowSource().timed.waitShare()).toBe(0);
  const still = timeSource({ annealed: false, trainingBatch: async () => batch, validationBatch: async () => batch }, () => 5);
  await still.trainingBatch(1);
  expect(still.waitShare()).toBe(0);
});
