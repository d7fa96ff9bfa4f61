import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { drawIndex, entropyOf, filteredProbs } from "./token-distribution.ts";

describe("filteredProbs", () => {
  const logits = Float32Array.from([0.4, 0.3, 0.2, 0.1], Math.log);
  const rounded = (probs: Float64Array) => [...probs].map((prob) => Math.round(prob * 1e4) / 1e4);

  it("keeps the first token that crosses top-p", () => {
    expect(rounded(filteredProbs(logits, { temperature: 1, topP: 0.5 }))).toEqual([0.5714, 0.4286, 0, 0]);
    expect(rounded(filteredProbs(logits, { temperature: 1, topP: 0.39 }))).toEqual([1, 0, 0, 0]);
  });

  it("keeps the k likeliest and ties with the last of them", () => {
    expect(rounded(filteredProbs(logits, { temperature: 1, topK: 1 }))).toEqual([1, 0, 0, 0]);
    const tied = Float32Array.from([0.4, 0.2, 0.2, 0.2], Math.log);
    expect(rounded(filteredProbs(tied, { temperature: 1, topK: 2 }))).toEqual([0.4, 0.2, 0.2, 0.2]);
  });

  it("cuts by top-p before top-k", () => {
    // 0.4 and 0.3 cross 0.6; of them one is kept. Alone, top-k 3 would keep 0.2 as well.
    expect(rounded(filteredProbs(logits, { temperature: 1, topP: 0.6, topK: 1 }))).toEqual([1, 0, 0, 0]);
    expect(rounded(filteredProbs(logits, { temperature: 1, topP: 0.6, topK: 3 }))).toEqual([0.5714, 0.4286, 0, 0]);
    expect(rounded(filteredProbs(logits, { temperature: 1, topP: 1, topK: 9 }))).toEqual([0.4, 0.3, 0.2, 0.1]);
  });

  it("goes on when top-p is just reached, and keeps everything when it never is", () => {
    const even = (count: number) => new Float32Array(count).fill(-3);
    expect([...filteredProbs(even(4), { temperature: 1, topP: 0.5 })]).toEqual([1 / 3, 1 / 3, 1 / 3, 0]); // a quarter twice is not more than a half
    // Ten times 0.1 is 0.9999999999999999 in double precision.
    expect([...filteredProbs(even(10), { temperature: 1, topP: 0.9999999999999999 })].map((prob) => prob.toFixed(6))).toEqual(new Array(10).fill("0.100000"));
  });

  it("divides by the temperature first; at 0 the probabilities are those of temperature 1", () => {
    expect(rounded(filteredProbs(logits, { temperature: 0.5 }))).toEqual([0.5333, 0.3, 0.1333, 0.0333]);
    expect(rounded(filteredProbs(logits, { temperature: 0 }))).toEqual([0.4, 0.3, 0.2, 0.1]);
    // Tempered first, 0.5333 alone crosses one half.
    expect(rounded(filteredProbs(logits, { temperature: 0.5, topP: 0.5 }))).toEqual([1, 0, 0, 0]);
  });

  it("survives logits of any height", () => {
    expect([...filteredProbs(Float32Array.of(1e4, 0, -1e4), { temperature: 0.1 })]).toEqual([1, 0, 0]);
  });

  it("keeps what sorting every token would keep", () => {
    const level = fc.oneof(fc.double({ min: -30, max: 0, noNaN: true }), fc.constantFrom(-20, -8, -1, -Infinity));
    fc.assert(
      fc.property(fc.array(level, { minLength: 1, maxLength: 40 }), fc.double({ min: 0.01, max: 1, noNaN: true }), fc.option(fc.integer({ min: 1, max: 45 }), { nil: undefined }), (levels, topP, topK) => {
        const logits = Float32Array.of(0, ...levels);
        const probs = filteredProbs(logits, { temperature: 1 });
        const ranked = [...probs.keys()].sort((a, b) => probs[b]! - probs[a]! || a - b);
        let mass = 0;
        const crossing = topP < 1 ? ranked.findIndex((id) => (mass += probs[id]!) > topP) : -1;
        let kept = crossing === -1 ? ranked : ranked.slice(0, crossing + 1);
        if (topK !== undefined && topK < kept.length) kept = kept.filter((id) => probs[id]! >= probs[kept[topK - 1]!]!);
        const keptMass = kept.reduce((sum, id) => sum + probs[id]!, 0);
        const expected = probs.map((prob, id) => (kept.includes(id) ? prob / keptMass : 0));
        expect(filteredProbs(logits, { temperature: 1, topP, ...(topK === undefined ? {} : { topK }) })).toEqual(topP >= 1 && topK === undefined ? probs : expected);
      }),
      { numRuns: 500 },
    );
  });

  it("refuses logits that are no distribution", () => {
    for (const logits of [[NaN, 0], [-Infinity, -Infinity], [Infinity, 0]]) {
      expect(() => filteredProbs(Float32Array.from(logits), { temperature: 1 })).toThrow(expect.objectContaining({ code: "NonFiniteLogits", retryable: false }));
    }
  });
});

describe("entropyOf", () => {
  it("is 0 where one token is certain, ln n where n are equally likely", () => {
    expect(entropyOf(Float64Array.of(0, 1, 0))).toBe(0);
    expect(entropyOf(new Float64Array(8).fill(1 / 8))).toBeCloseTo(Math.log(8), 12);
    expect(entropyOf(Float64Array.of(0.5, 0.25, 0.25))).toBeCloseTo(1.5 * Math.LN2, 12);
  });
});

describe("drawIndex", () => {
  it("gives each index its share of the numbers from 0 to 1, and none to the impossible", () => {
    const probs = Float64Array.of(0, 0.5, 0, 0.25, 0.25, 0);
    expect([0, 0.49, 0.5, 0.74, 0.75, 1 - 2 ** -53].map((uniform) => drawIndex(probs, uniform))).toEqual([1, 1, 3, 3, 4, 4]);
    const short = Float64Array.of(...new Array<number>(10).fill(0.1), 0); // sums to 0.9999999999999999
    expect(drawIndex(short, 1 - 2 ** -53)).toBe(9);
  });
});
