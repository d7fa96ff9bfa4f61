import { expect, test } from "vitest";
import type { BatchSource, DiffusionBatch } from "./batch-source.ts";
import { aheadCount, batchesAhead } from "./batches-ahead.ts";

const batch = (name: string): DiffusionBatch => ({ originals: [], canvases: [], maskableCount: 0, documents: [name] });

function recorded(count: number) {
  const asked: number[] = [];
  const source: BatchSource = {
    annealed: true,
    trainingBatch: async (step) => {
      asked.push(step);
      if (step === 13) throw new Error("no batch 13");
      return batch(`training ${step}`);
    },
    validationBatch: async (index) => batch(`validation ${index}`),
  };
  const ahead = batchesAhead(source, count, 20);
  return { asked, ahead, named: async (step: number) => (await ahead.trainingBatch(step)).documents[0] };
}

test("batches are those of the source, each made once, `count` at a time", async () => {
  const { asked, ahead, named } = recorded(3);
  expect(await named(5)).toBe("training 5");
  expect(asked).toEqual([5, 6, 7]);
  for (const step of [6, 7, 8]) expect(await named(step)).toBe(`training ${step}`);
  expect(asked).toEqual([5, 6, 7, 8, 9, 10]);
  expect(ahead.annealed).toBe(true);
  expect((await ahead.validationBatch(2)).documents).toEqual(["validation 2"]);
});

test("steps may be left out and asked for again, as a roll-back does", async () => {
  const { asked, named } = recorded(2);
  for (const step of [1, 7, 2]) expect(await named(step)).toBe(`training ${step}`);
  expect(asked).toEqual([1, 2, 7, 8, 2, 3]);
});

test("none behind the last step is made before it is asked for", async () => {
  const { asked, named } = recorded(3);
  for (const step of [19, 20, 21, 22]) expect(await named(step)).toBe(`training ${step}`);
  expect(asked).toEqual([19, 20, 21, 22]);
});

test("a batch that cannot be made fails when it is asked for, not before, and none behind it is made", async () => {
  const { asked, named } = recorded(4);
  for (const step of [11, 12]) expect(await named(step)).toBe(`training ${step}`);
  await expect(named(13)).rejects.toThrow("no batch 13");
  expect(asked).toEqual([11, 12, 13, 13]);
});

test("small batches are made many at a time, large ones singly", () => {
  expect(aheadCount({ batchSize: 16, canvasLength: 64 })).toBe(32);
  expect(aheadCount({ batchSize: 128, canvasLength: 128 })).toBe(8);
  expect(aheadCount({ batchSize: 4, canvasLength: 2048 })).toBe(1);
});
