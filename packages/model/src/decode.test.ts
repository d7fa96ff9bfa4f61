import { stream } from "@diffucoder/random";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decode, drawIndex, filteredProbs, noiseTimes, type DecodeAlgorithm, type DecodeOptions } from "./decode.ts";
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

/** A sampler whose distributions never change: `rows` are the probabilities at each masked position. */
function fixedSampler(rows: readonly (readonly number[])[], batchSize = 1): Sampler {
  const vocabSize = rows[0]!.length;
  const logits = Float32Array.from(Array.from({ length: batchSize }, () => rows).flat(2), Math.log);
  return { batchSize, canvasLength: rows.length + 1, windowLength: rows.length, vocabSize, logitsOf: () => logits };
}

/** Number of positions fixed in each step. */
function transferCounts(length: number, steps: number): number[] {
  const even = fixedSampler(Array.from({ length }, () => [0.5, 0.5]));
  const [canvas] = decode(even, options({ steps, algorithm: "maskgit_plus", temperature: 0, maskId: 1, prompts: [[0]] }));
  const counts = new Array<number>(steps).fill(0);
  for (const step of canvas!.trace) counts[step]!++;
  return counts;
}

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

describe("transfer counts", () => {
  // As the reference's single-precision arithmetic gives them: zero at first, one a step, the rest in the last step.
  it.each([
    [32, 1],
    [64, 1],
    [128, 1],
    [256, 1],
    [512, 1],
    [768, 1],
    [1024, 2],
    [2048, 3],
  ])("at one step a token begin with nothing and end with the rest (%i)", (length, zeros) => {
    const counts = transferCounts(length, length);
    expect(counts).toEqual([...new Array<number>(zeros).fill(0), ...new Array<number>(length - zeros - 1).fill(1), zeros + 1]);
  });

  it.each([
    [256, 128, 1, 2, 3],
    [512, 256, 1, 2, 3],
    [256, 64, 3, 4, 5],
    [512, 128, 3, 4, 5],
  ])("of %i tokens in %i steps are those of the reference", (length, steps, first, middle, last) => {
    expect(transferCounts(length, steps)).toEqual([first, ...new Array<number>(steps - 2).fill(middle), last]);
  });

  it("of 256 tokens in 100 steps are those of the reference", () => {
    const counts = transferCounts(256, 100);
    expect([counts[0], counts.at(-1)]).toEqual([2, 4]);
    expect(counts.filter((count) => count === 2)).toHaveLength(45);
    expect(counts.filter((count) => count === 3)).toHaveLength(54);
  });

  it("with more steps than tokens leave none over", () => {
    const counts = transferCounts(3, 50);
    expect(counts.reduce((a, b) => a + b)).toBe(3);
    expect(transferCounts(7, 1)).toEqual([7]);
  });
});

describe("the choice of positions", () => {
  // Entropies 0.752, 1.040 and 0.693; margins 0.22, 0.25 and 0. In two steps the first fixes floor(3 * 0.4995) = 1.
  const rows = [
    [0.6, 0.38, 0.02],
    [0.5, 0.25, 0.25],
    [0.5, 0.5, 0],
  ];

  it.each<[DecodeAlgorithm, number[]]>([
    ["maskgit_plus", [0, 1, 2]], // by the likeliest: 0.6, then 0.5 twice, the lower position first
    ["topk_margin", [1, 0, 2]],
    ["entropy", [2, 0, 1]],
  ])("by %s goes to the surest, then the next", (algorithm, order) => {
    const [canvas] = decode(fixedSampler(rows), options({ prompts: [[0]], maskId: 9, algorithm, temperature: 0, steps: 2 }));
    expect(canvas!.order).toEqual(order);
    expect([...canvas!.trace]).toEqual([0, 1, 2].map((position) => (position === order[0] ? 0 : 1)));
    expect([...canvas!.tokens]).toEqual([0, 0, 0, 0]); // the likeliest everywhere, the lower id of equals
    expect(canvas!.promptLength).toBe(1);
  });

  it("by maskgit_plus goes by the token that was drawn, not by the likeliest", () => {
    const key = { seed: 3, stage: "test", purpose: "decode" };
    const [canvas] = decode(fixedSampler(rows), options({ prompts: [[0]], maskId: 9, algorithm: "maskgit_plus", temperature: 1, steps: 1, streamOf: () => key }));
    const draws = stream(key);
    const drawn = rows.map((probs) => {
      const uniform = draws.uniform(); // one for each masked position, from left to right
      const token = probs.findIndex((_, id) => uniform < probs.slice(0, id + 1).reduce((a, b) => a + b));
      return { token, confidence: probs[token]! };
    });
    expect([...canvas!.tokens.subarray(1)]).toEqual(drawn.map(({ token }) => token));
    expect(drawn.map(({ token }) => token)).not.toEqual([0, 0, 0]);
    const surest = [0, 1, 2].sort((one, other) => drawn[other]!.confidence - drawn[one]!.confidence || one - other);
    expect(canvas!.order).toEqual(surest);
  });

  it("by origin takes each position with probability 1 - s/t, and all that are left in the last step", () => {
    const wide = fixedSampler(Array.from({ length: 10_000 }, () => [0.5, 0.5]));
    const [canvas] = decode(wide, options({ prompts: [[0]], maskId: 9, algorithm: "origin", steps: 4 }));
    const counts = [0, 1, 2, 3].map((step) => canvas!.trace.filter((at) => at === step).length);
    // A quarter each, within four standard errors of 43.3. By its share alone the last step would leave about ten.
    for (const count of counts) expect(Math.abs(count - 2500)).toBeLessThan(174);
    expect(counts.reduce((a, b) => a + b)).toBe(10_000);
    expect(canvas!.order).not.toEqual([...canvas!.order].sort((a, b) => a - b));
  });

  it("at a temperature of its own draws positions in proportion to exp(confidence / temperature), without replacement", () => {
    const prompts = Array.from({ length: 3000 }, () => [0]);
    const canvases = decode(fixedSampler(rows, 50), options({ prompts, maskId: 9, algorithm: "maskgit_plus", temperature: 0, positionTemperature: 0.1, steps: 2 }));
    // Confidences 0.6, 0.5 and 0.5: e^6 to e^5 to e^5, that is e / (e + 2) = 0.576 and 0.212 twice.
    const shares = [0, 1, 2].map((position) => canvases.filter(({ order }) => order[0] === position).length / 3000);
    [0.576, 0.212, 0.212].forEach((share, i) => expect(Math.abs(shares[i]! - share)).toBeLessThan(4 * Math.sqrt(0.25 / 3000)));
  });

  it("draws tokens in proportion to their probability", () => {
    const prompts = Array.from({ length: 3000 }, () => [0]);
    const canvases = decode(fixedSampler([[0.5, 0, 0.3, 0.2]], 50), options({ prompts, maskId: 9, temperature: 1, steps: 1 }));
    const shares = [0, 1, 2, 3].map((token) => canvases.filter(({ tokens }) => tokens[1] === token).length / 3000);
    [0.5, 0, 0.3, 0.2].forEach((share, i) => expect(Math.abs(shares[i]! - share)).toBeLessThan(share === 0 ? 1e-9 : 4 * Math.sqrt(0.25 / 3000)));
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
        expect(canvas!.trace).toHaveLength(length - 1);
        for (const step of canvas!.trace) expect([step >= 0, step < steps]).toEqual([true, true]);
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

  it("refuses a prompt that leaves no room, or more than the window, naming it", () => {
    expect(() => decode(sampler(4), options({ prompts: [[1], [1, 1, 1, 1]] }))).toThrow(
      expect.objectContaining({ code: "PromptTooLong", retryable: false, message: "prompt 1: expected 1 to 3 tokens, found 4" }),
    );
    expect(() => decode(sampler(4), options({ prompts: [[]] }))).toThrow("prompt 0: expected 1 to 3 tokens, found 0");
    const narrow = { ...sampler(6), windowLength: 3 };
    expect(() => decode(narrow, options({ prompts: [[1, 1]] }))).toThrow("prompt 0: expected 3 to 5 tokens, found 2");
    expect(() => decode({ ...sampler(4), windowLength: 4 }, options({ prompts: [[]] }))).toThrow("prompt 0: expected 1 to 3 tokens, found 0");
  });

  it("keeps mask tokens in a prompt as they are, and of prompts keeps no hold", () => {
    const prompt = Int32Array.of(1, MASK, 2);
    const [canvas] = decode(sampler(6), options({ prompts: [prompt] }));
    expect([...canvas!.tokens.subarray(0, 3)]).toEqual([1, MASK, 2]);
    expect(canvas!.trace).toHaveLength(3);
    expect([...prompt]).toEqual([1, MASK, 2]);
  });

  it("asks for logits once a step and batch, with masks where nothing is fixed yet", () => {
    const seen: number[][] = [];
    const base = sampler(3, 2);
    const watched: Sampler = { ...base, logitsOf: (tokens) => (seen.push([...tokens]), base.logitsOf(tokens)) };
    const canvases = decode(watched, options({ prompts: [[1], [2], [3]], steps: 2, algorithm: "maskgit_plus" }));
    expect(seen).toHaveLength(4);
    expect(seen[0]).toEqual([1, MASK, MASK, 2, MASK, MASK]);
    expect(seen[2]).toEqual([3, MASK, MASK, 0, 0, 0]); // the second batch has one canvas; the other rows are idle
    for (const [i, { tokens, trace }] of canvases.slice(0, 2).entries()) {
      // What the first step fixed is what the second one saw.
      expect(seen[1]!.slice(3 * i, 3 * i + 3)).toEqual([...tokens].map((token, at) => (at === 0 || trace[at - 1] === 0 ? token : MASK)));
    }
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
});

describe("drawIndex", () => {
  it("gives each index its share of the numbers from 0 to 1, and none to the impossible", () => {
    const probs = Float64Array.of(0, 0.5, 0, 0.25, 0.25, 0);
    expect([0, 0.49, 0.5, 0.74, 0.75, 1 - 2 ** -53].map((uniform) => drawIndex(probs, uniform))).toEqual([1, 1, 3, 3, 4, 4]);
    const short = Float64Array.of(...new Array<number>(10).fill(0.1), 0); // sums to 0.9999999999999999
    expect(drawIndex(short, 1 - 2 ** -53)).toBe(9);
  });
});
