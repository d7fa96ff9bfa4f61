import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cartWeights, inverseLevelWeights } from "./loss-weights.ts";

const canvasOf = (length: number, masked: readonly number[], end?: number) => ({
  tokens: new Int32Array(length),
  masked,
  noiseLevel: 0.25,
  ...(end === undefined ? {} : { end }),
});

it("1/t is the weight of every hidden token", () => {
  expect(inverseLevelWeights(canvasOf(4, [1, 3]))).toEqual([4, 4]);
  expect(inverseLevelWeights(canvasOf(4, []))).toEqual([]);
});

describe("CART weights", () => {
  it("sum the visible neighbours' geometric shares, by hand", () => {
    // Visible 0, 3, 5. Position 1: distances 1, 2, 4. Position 2: 2, 1, 3. Position 4: 4, 1, 1. With p = 1/2:
    const expected = [0.25 * (1 + 1 / 2 + 1 / 8), 0.25 * (1 / 2 + 1 + 1 / 4), 0.25 * (1 / 8 + 1 + 1)];
    cartWeights(0.5)(canvasOf(6, [1, 2, 4])).forEach((weight, i) => expect(weight).toBeCloseTo(expected[i]!, 12));
  });

  it("do not see what lies behind the end of a cut canvas", () => {
    expect(cartWeights(0.5)(canvasOf(6, [1, 2], 4))).toEqual(cartWeights(0.5)(canvasOf(4, [1, 2])));
    expect(cartWeights(0.5)(canvasOf(6, [1, 2]))).not.toEqual(cartWeights(0.5)(canvasOf(4, [1, 2])));
  });

  it("near 1 for a token hidden alone on a long canvas, and 0 where nothing is visible", () => {
    expect(cartWeights(0.3)(canvasOf(201, [100]))[0]).toBeCloseTo(1, 12);
    expect(cartWeights(0.3)(canvasOf(3, [0, 1, 2]))).toEqual([0, 0, 0]);
  });

  it("equal the sum of their definition", () => {
    const canvases = fc.integer({ min: 2, max: 24 }).chain((length) => fc.record({ length: fc.constant(length), masked: fc.subarray(Array.from({ length }, (_, i) => i)) }));
    fc.assert(
      fc.property(canvases, fc.double({ min: 0.05, max: 0.95, noNaN: true }), ({ length, masked }, share) => {
        const visible = Array.from({ length }, (_, i) => i).filter((i) => !masked.includes(i));
        const weights = cartWeights(share)(canvasOf(length, masked));
        expect(weights).toHaveLength(masked.length);
        masked.forEach((position, i) => {
          const sum = visible.reduce((total, other) => total + share * (1 - share) ** (Math.abs(position - other) - 1), 0);
          expect(weights[i]).toBeCloseTo(sum / 2, 10);
        });
      }),
    );
  });
});
