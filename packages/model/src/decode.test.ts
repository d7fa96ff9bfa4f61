import { stream } from "@diffucoder/random";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MASK, PROMPT, VOCABULARY, fixedSampler, options, sampler } from "../test/plain-samplers.ts";
import { decode } from "./decode.ts";
import type { DecodeOptions } from "./decode-options.ts";
import type { Sampler } from "./sampler.ts";
import { ALGORITHMS, confidenceOf, filteredProbs, type DecodeAlgorithm } from "./token-distribution.ts";

/** Number of positions fixed in each step. */
function transferCounts(length: number, steps: number): number[] {
  const even = fixedSampler(Array.from({ length }, () => [0.5, 0.5]));
  const [canvas] = decode(even, options({ steps, algorithm: "maskgit_plus", temperature: 0, maskId: 1, prompts: [[0]] }));
  const counts = new Array<number>(steps).fill(0);
  for (const step of canvas!.trace) counts[step]!++;
  return counts;
}

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
  it.each(ALGORITHMS)("%s fixes every position once and leaves the prompt alone", (algorithm) => {
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
    let steps = 0;
    const base = sampler(4, 2);
    const watched: Sampler = { ...base, logitsOf: (tokens) => (seen.push([...tokens]), base.logitsOf(tokens)) };
    const canvases = decode(watched, options({ prompts: [[1], [2], [3]], steps: 2, algorithm: "maskgit_plus", onStep: () => void steps++ }));
    expect([seen.length, steps]).toEqual([4, 4]);
    expect(seen[0]).toEqual([1, MASK, MASK, MASK, 2, MASK, MASK, MASK]);
    expect(seen[2]).toEqual([3, MASK, MASK, MASK, 0, 0, 0, 0]); // the second batch has one canvas; the other rows are idle
    for (const [i, { tokens, trace }] of canvases.slice(0, 2).entries()) {
      // What the first step fixed is what the second one saw.
      expect(seen[1]!.slice(4 * i, 4 * i + 4)).toEqual([...tokens].map((token, at) => (at === 0 || trace[at - 1] === 0 ? token : MASK)));
    }
  });

  it("asks again only when something was fixed, and not when nothing is left", () => {
    const seen: string[] = [];
    const base = sampler(4, 1);
    const watched: Sampler = { ...base, logitsOf: (tokens) => (seen.push(tokens.join()), base.logitsOf(tokens)) };
    const [canvas] = decode(watched, options({ steps: 40, algorithm: "maskgit_plus" }));
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toHaveLength(new Set(canvas!.trace).size);
    expect(Math.max(...canvas!.trace)).toBe(39); // steps that fix nothing count as steps
  });

  it.each(ALGORITHMS)("%s keeps how sure the model was of each position when it was fixed", (algorithm) => {
    const base = sampler(6, 1);
    const readings: Float32Array[] = [];
    const watched: Sampler = { ...base, logitsOf: (tokens) => (readings.push(base.logitsOf(tokens)), readings.at(-1)!) };
    const [canvas] = decode(watched, options({ algorithm, temperature: 0, steps: 5 }));
    const stepsRead = [...new Set([...canvas!.trace].sort((a, b) => a - b))];
    canvas!.trace.forEach((step, offset) => {
      const logits = readings[stepsRead.indexOf(step)]!.subarray(offset * VOCABULARY, (offset + 1) * VOCABULARY);
      const probs = filteredProbs(logits, { temperature: 1 });
      expect(canvas!.confidence[offset]).toBe(confidenceOf(algorithm, probs, canvas!.tokens[offset + 1]!));
    });
  });

  it.each<Partial<DecodeOptions>>([{}, { temperature: 0.5, topP: 0.6, topK: 2 }, { algorithm: "origin", steps: 40 }, { blockLength: 2 }])("keeps the entropy of every position at the first pass, whatever is drawn (%o)", (changes) => {
    const base = sampler(7, 2);
    const prompts = [[1], [2, 3], [0]];
    const kept = decode(base, options({ prompts, ...changes, keepFirstPass: true }));
    const plain = decode(base, options({ prompts, ...changes }));
    kept.forEach(({ firstEntropy, ...canvas }, i) => {
      const { firstEntropy: none, ...same } = plain[i]!;
      expect([canvas, none]).toEqual([same, undefined]);
      const empty = Int32Array.from({ length: 14 }, (_, at) => prompts[i]![at] ?? MASK);
      const logits = base.logitsOf(empty);
      const expected = Array.from(canvas.trace, (_, offset) => {
        const row = prompts[i]!.length + offset - 1;
        const powers = [...logits.subarray(row * VOCABULARY, (row + 1) * VOCABULARY)].map(Math.exp);
        const sum = powers.reduce((a, b) => a + b);
        return Math.log(sum) - powers.reduce((mean, power) => mean + (power / sum) * Math.log(power), 0);
      });
      expect([...firstEntropy!]).toEqual(expected.map((entropy) => expect.closeTo(entropy, 6) as number));
    });
  });

  it.each([
    [{ steps: 0 }, "steps: expected a whole number above 0, found 0"],
    [{ steps: 1.5 }, "steps: expected a whole number above 0, found 1.5"],
    [{ temperature: -1 }, "temperature: expected 0 or more, found -1"],
    [{ temperature: NaN }, "temperature: expected 0 or more, found NaN"],
    [{ topP: 0 }, "topP: expected above 0, at most 1, found 0"],
    [{ topP: 1.1 }, "topP: expected above 0, at most 1, found 1.1"],
    [{ topK: 0 }, "topK: expected a whole number above 0, found 0"],
    [{ positionTemperature: -0.1 }, "positionTemperature: expected 0 or more, found -0.1"],
    [{ blockLength: 0 }, "blockLength: expected a whole number above 0, found 0"],
    [{ suffixes: [] }, "suffixes: expected as many as prompts, 1, found 0"],
    [{ commit: { rule: "threshold", threshold: 0.9 } }, "algorithm: expected maskgit_plus or topk_margin with the commit rule threshold, found entropy"],
    [{ algorithm: "maskgit_plus", commit: { rule: "threshold", threshold: 1.2 } }, "threshold: expected 0 to 1, found 1.2"],
    [{ algorithm: "maskgit_plus", commit: { rule: "factor", factor: 0 } }, "factor: expected above 0, found 0"],
    [{ algorithm: "topk_margin", commit: { rule: "factor", factor: 1 }, positionTemperature: 1 }, "positionTemperature: expected 0 with the commit rule factor, found 1"],
  ] satisfies [Partial<DecodeOptions>, string][])("refuses %o", (changes, message) => {
    expect(() => decode(sampler(4), options(changes as Partial<DecodeOptions>))).toThrow(expect.objectContaining({ code: "WrongOptions", retryable: false, message }));
  });

  it("refuses logits that are no numbers", () => {
    expect(() => decode(fixedSampler([[NaN, 0.5]]), options({ prompts: [[0]] }))).toThrow(expect.objectContaining({ code: "NonFiniteLogits" }));
  });
});
