import { expect, test } from "vitest";
import { noiseNotes } from "./noise.ts";

const curve = (name: string, intervals: readonly (readonly [number, number])[]) => ({ name, points: intervals.map((interval, i) => ({ x: i + 1, mean: (interval[0] + interval[1]) / 2, interval })) });
const base = curve("A", [[0, 1], [0, 1], [0, 1]]);

test.each<[string, readonly (readonly [number, number])[], string]>([
  ["overlaps everywhere", [[1, 2], [0.5, 2], [-1, 0]], "B against A: the difference is inside the noise at each of 3 points."],
  ["parts at some", [[1.1, 2], [0.5, 2], [-1, -0.1]], "B against A: apart at k = 1, 3, inside the noise elsewhere."],
  ["parts everywhere", [[2, 3], [2, 3], [2, 3]], "B against A: apart at each of 3 points."],
  ["has one point", [[2, 3]], "B against A: apart at k = 1."],
])("a curve that %s", (_, intervals, note) => {
  expect(noiseNotes([base, curve("B", intervals)], "k")).toEqual([note]);
});

test("the curve with most points is the one compared with; without a common point there is nothing to say", () => {
  expect(noiseNotes([curve("B", [[2, 3]]), base], "k")).toEqual(["B against A: apart at k = 1."]);
  expect(noiseNotes([base, { name: "C", points: [{ x: 9, mean: 1, interval: [1, 1] }] }], "k")).toEqual([]);
  expect(noiseNotes([base], "k")).toEqual([]);
  expect(noiseNotes([], "k")).toEqual([]);
});

test("many places are counted, not listed", () => {
  const many = (low: number) => curve(low === 0 ? "A" : "B", Array.from({ length: 12 }, (_, i) => [i < 11 ? low : 0, (i < 11 ? low : 0) + 1] as const));
  expect(noiseNotes([many(0), many(5)], "step")).toEqual(["B against A: apart at 11 of 12 points, inside the noise elsewhere."]);
});
