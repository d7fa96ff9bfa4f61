import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { noiseTimes, transferShare } from "./transfer-schedule.ts";

describe("noise levels of the steps", () => {
  it("fall in a straight line from 1 to 1e-3, in single precision", () => {
    expect([...noiseTimes(1)]).toEqual([1, Math.fround(1e-3)]);
    [1, 0.75025, 0.5005, 0.25075, 0.001].forEach((time, i) => expect(noiseTimes(4)[i]).toBeCloseTo(time, 6));
    // Every product, quotient and sum is rounded: in double precision the fourth would be 0.57185715.
    expect(noiseTimes(7)[3]).toBe(0.5718570947647095);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), (steps) => {
        const times = noiseTimes(steps);
        expect(times).toHaveLength(steps + 1);
        expect([times[0], times[steps]]).toEqual([1, Math.fround(1e-3)]);
        for (let i = 0; i < steps; i++) expect(times[i + 1]).toBeLessThan(times[i]!);
      }),
      { numRuns: 30 },
    );
  });
});

describe("the share of masked positions that a step fixes", () => {
  it("is 1 - s/t, and everything in the last step", () => {
    const times = noiseTimes(4);
    [1 - 0.75025, 1 - 0.5005 / 0.75025, 1 - 0.25075 / 0.5005, 1].forEach((share, step) => expect(transferShare(times, step)).toBeCloseTo(share, 6));
    expect(transferShare(noiseTimes(1), 0)).toBe(1);
  });
});
