import fc from "fast-check";
import { expect, test } from "vitest";
import { sampleOrder } from "./sample-order.ts";

const key = { seed: 1, stage: "s", root: "r", sampleCount: 50 };
const drawsOf = (changes: object, from = 0, count = 50) => Array.from({ length: count }, (_, i) => sampleOrder({ ...key, ...changes })(from + i));

test("every epoch uses every sample once", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.nat(1000), fc.nat(5), (sampleCount, seed, epoch) => {
      const order = sampleOrder({ ...key, seed, sampleCount });
      const draws = Array.from({ length: sampleCount }, (_, i) => order(epoch * sampleCount + i));
      expect(draws.sort((a, b) => a - b)).toEqual(Array.from({ length: sampleCount }, (_, i) => i));
    }),
  );
});

test("a draw does not depend on what was asked before", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(400), { minLength: 1, maxLength: 30 }), (draws) => {
      const walked = sampleOrder(key);
      expect(draws.map((draw) => walked(draw))).toEqual(draws.map((draw) => sampleOrder(key)(draw)));
    }),
  );
});

test("seed, stage, data and epoch each change the order", () => {
  const own = drawsOf({});
  for (const other of [drawsOf({ seed: 2 }), drawsOf({ stage: "t" }), drawsOf({ root: "q" }), drawsOf({}, 50), drawsOf({}, 100)]) expect(other).not.toEqual(own);
  expect(drawsOf({}, 50)).not.toEqual(drawsOf({}, 100));
  expect(drawsOf({})).toEqual(own);
});
