import { stream } from "@diffucoder/random";
import { expect, test } from "vitest";
import { drawCleanPrefix, drawEnd } from "./sequence-lengths.ts";

const draws = () => stream({ seed: 5, stage: "t", purpose: "lengths" });
const many = <T>(draw: (source: ReturnType<typeof draws>) => T): T[] => {
  const source = draws();
  return Array.from({ length: 4000 }, () => draw(source));
};

test("an end is uniform from 2 to the whole canvas, a clean prefix from 1 to all but one token", () => {
  for (const [lengths, expected] of [
    [many((source) => drawEnd(6, 1, source)), [2, 3, 4, 5, 6]],
    [many((source) => drawCleanPrefix(6, 1, source)), [1, 2, 3, 4, 5]],
  ] as const) {
    for (const length of expected) {
      // 4000 draws of 1 in 5: 800, within four standard deviations of 25.3.
      expect(Math.abs(lengths.filter((found) => found === length).length - 800)).toBeLessThan(4 * 25.3);
    }
    expect(new Set(lengths)).toEqual(new Set(expected));
  }
});

test("both come as often as their share says, and never at 0", () => {
  const cut = many((source) => drawEnd(6, 0.1, source)).filter((end) => end !== undefined);
  const prefixed = many((source) => drawCleanPrefix(6, 0.1, source)).filter((first) => first > 0);
  for (const { length } of [cut, prefixed]) expect(Math.abs(length - 400)).toBeLessThan(4 * 19);
  expect(new Set(many((source) => drawEnd(6, 0, source)))).toEqual(new Set([undefined]));
  expect(new Set(many((source) => drawCleanPrefix(6, 0, source)))).toEqual(new Set([0]));
});
