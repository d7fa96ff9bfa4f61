import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decode, filteredProbs, type DecodeAlgorithm, type DecodeOptions } from "./decode.ts";
import type { Sampler } from "./sampler.ts";

const VOCABULARY = 5;
const MASK = 4;
const PROMPT = [1];

/** A sampler with a real distribution: logits depend on the position and on the token before it. */
function sampler(canvasLength: number, batchSize = 2): Sampler {
  const windowLength = canvasLength - 1;
  return {
    batchSize,
    canvasLength,
    windowLength,
    vocabSize: VOCABULARY,
    logitsOf: (tokens) =>
      Float32Array.from({ length: batchSize * windowLength * VOCABULARY }, (_, i) => {
        const id = i % VOCABULARY;
        const cell = Math.floor(i / VOCABULARY);
        const position = 1 + (cell % windowLength);
        const before = tokens[Math.floor(cell / windowLength) * canvasLength + position - 1]!;
        return id === MASK ? -50 : 2 * Math.sin(3 * id + 5 * position + 7 * before);
      }),
  };
}

const options = (changes: Partial<DecodeOptions> = {}): DecodeOptions => ({
  prompts: [PROMPT],
  maskId: MASK,
  steps: 8,
  algorithm: "entropy",
  temperature: 1,
  streamOf: (prompt) => ({ seed: 7, stage: "test", sample: prompt, purpose: "decode" }),
  ...changes,
});

/** Number of positions fixed in each step. */
function transferCounts(length: number, steps: number): number[] {
  const [canvas] = decode(sampler(length + 1), options({ steps, algorithm: "maskgit_plus", temperature: 0 }));
  const counts = new Array<number>(steps).fill(0);
  for (const step of canvas!.trace) counts[step]!++;
  return counts;
}

describe("transfer counts", () => {
  it.each([32, 64, 128, 256])("at one step a token begin with 0 and end with 2 (%i)", (length) => {
    const counts = transferCounts(length, length);
    expect([counts[0], counts.at(-1)]).toEqual([0, 2]);
    expect(new Set(counts.slice(1, -1))).toEqual(new Set([1]));
  });

  it.each([
    [256, 128, 1, 2, 3],
    [512, 256, 1, 2, 3],
    [256, 64, 3, 4, 5],
    [512, 128, 3, 4, 5],
  ])("of %i tokens in %i steps are those of the reference", (length, steps, first, middle, last) => {
    const counts = transferCounts(length, steps);
    expect([counts[0], counts.at(-1)]).toEqual([first, last]);
    expect(new Set(counts.slice(1, -1))).toEqual(new Set([middle]));
  });

  it("of 256 tokens in 100 steps are those of the reference", () => {
    const counts = transferCounts(256, 100);
    expect([counts[0], counts.at(-1)]).toEqual([2, 4]);
    expect(counts.filter((count) => count === 2)).toHaveLength(45);
    expect(counts.filter((count) => count === 3)).toHaveLength(54);
  });
});

describe("decode", () => {
  const algorithms: DecodeAlgorithm[] = ["origin", "maskgit_plus", "topk_margin", "entropy"];

  it.each(algorithms)("%s fixes every position once and leaves the prompt alone", (algorithm) => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 20 }), fc.integer({ min: 1, max: 24 }), (length, steps) => {
        const [canvas] = decode(sampler(length), options({ algorithm, steps }));
        expect(canvas!.tokens).not.toContain(MASK);
        expect(canvas!.tokens[0]).toBe(PROMPT[0]);
        expect([...canvas!.order].sort((a, b) => a - b)).toEqual(Array.from({ length: length - 1 }, (_, i) => i));
        const stepsInOrder = canvas!.order.map((offset) => canvas!.trace[offset]!);
        expect(stepsInOrder).toEqual([...stepsInOrder].sort((a, b) => a - b));
      }),
    );
  });

  it("gives equal completions alone and in any batch", () => {
    const prompts = [[1], [2, 3], [0], [3, 3, 3]];
    const together = decode(sampler(9, 4), options({ prompts }));
    prompts.forEach((prompt, i) => {
      const alone = decode(sampler(9, 1), options({ prompts: [prompt], streamOf: () => options().streamOf(i) }));
      expect(together[i]).toEqual(alone[0]);
    });
    expect(decode(sampler(9, 3), options({ prompts }))).toEqual(together);
  });

  it("differs between streams, and at temperature 0 does not", () => {
    const of = (seed: number, temperature: number) =>
      decode(sampler(16), options({ temperature, streamOf: () => ({ seed, stage: "test", purpose: "decode" }) }))[0]!.tokens;
    expect(of(1, 1)).not.toEqual(of(2, 1));
    expect(of(1, 0)).toEqual(of(2, 0));
  });

  it("chooses positions at random when asked to", () => {
    const orderAt = (positionTemperature: number) => decode(sampler(16), options({ temperature: 0, positionTemperature }))[0]!.order;
    expect(orderAt(5)).not.toEqual(orderAt(0));
  });

  it("refuses a prompt that leaves no room", () => {
    expect(() => decode(sampler(4), options({ prompts: [[1, 1, 1, 1]] }))).toThrow("expected 1 to 3 tokens, found 4");
    expect(() => decode(sampler(4), options({ prompts: [[]] }))).toThrow("found 0");
  });
});

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

  it("divides by the temperature first", () => {
    expect(rounded(filteredProbs(logits, { temperature: 0.5 }))).toEqual([0.5333, 0.3, 0.1333, 0.0333]);
  });
});
