import fc from "fast-check";
import { expect, test } from "vitest";
import { sample } from "../../test/analysis-fixtures.ts";
import { binsOf } from "./bins.ts";
import { orderMap } from "./order-map.ts";

const OPTIONS = { algorithm: "maskgit_plus", steps: 4 };

test("from left to right it is a diagonal, with each cell's certainty", () => {
  expect(orderMap([sample()], OPTIONS)).toEqual(
    [1, 0.5, 0.5, 0].map((certainty, i) => ({ positions: { from: i, to: i + 1 }, steps: { from: i, to: i + 1 }, share: 1, certainty })),
  );
  const mixed = orderMap([sample(), sample({ order: [3, 2, 1, 0], trace: [3, 2, 1, 0], confidences: [0, 0, 0, 0] })], OPTIONS);
  expect(mixed.filter(({ positions }) => positions.from === 0)).toEqual([
    { positions: { from: 0, to: 1 }, steps: { from: 0, to: 1 }, share: 0.5, certainty: 1 },
    { positions: { from: 0, to: 1 }, steps: { from: 3, to: 4 }, share: 0.5, certainty: 0 },
  ]);
});

test("over all steps the shares of any positions come to 1, however long and in however many steps", () => {
  const traces = fc.integer({ min: 1, max: 600 }).chain((steps) => fc.record({ steps: fc.constant(steps), trace: fc.array(fc.nat(steps - 1), { minLength: 1, maxLength: 300 }) }));
  fc.assert(
    fc.property(traces, ({ steps, trace }) => {
      const cells = orderMap([sample({ order: [...trace.keys()], trace, confidences: trace.map(() => 1) })], { ...OPTIONS, steps });
      for (const [, column] of Map.groupBy(cells, ({ positions }) => positions.from)) expect(column.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 10);
      expect(new Set(cells.map(({ positions }) => positions.from)).size).toBe(binsOf(trace.length, 48).length);
    }),
    { numRuns: 50 },
  );
});

test("bins cover a length once, and are at most so many", () => {
  expect(binsOf(5, 3)).toEqual([{ from: 0, to: 2 }, { from: 2, to: 4 }, { from: 4, to: 5 }]);
  expect(binsOf(0, 3)).toEqual([]);
  fc.assert(fc.property(fc.nat(2000), fc.integer({ min: 1, max: 50 }), (length, most) => {
    const bins = binsOf(length, most);
    expect(bins.length).toBeLessThanOrEqual(most);
    expect(bins.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, i) => from + i))).toEqual([...Array(length).keys()]);
  }));
});
