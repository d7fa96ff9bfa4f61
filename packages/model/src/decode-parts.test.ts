// Blocks, stopping at an end, and infilling.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MASK, PROMPT, fixedSampler, options, sampler } from "../test/plain-samplers.ts";
import { decode } from "./decode.ts";
import type { CommitRule } from "./position-choice.ts";
import type { Sampler } from "./sampler.ts";
import { ALGORITHMS, type DecodeAlgorithm } from "./token-distribution.ts";

const commitRules: readonly CommitRule[] = [{ rule: "schedule" }, { rule: "threshold", threshold: 0.6 }, { rule: "factor", factor: 1 }];

describe("decoding in blocks", () => {
  it.each(ALGORITHMS)("%s finishes a block before the next, each with its share of the steps", (algorithm) => {
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 20 }), fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 40 }), (length, blockLength, steps) => {
        const [canvas] = decode(sampler(length), options({ algorithm, steps, blockLength }));
        const blocks = canvas!.order.map((offset) => Math.floor(offset / blockLength));
        expect(blocks).toEqual([...blocks].sort((a, b) => a - b));
        expect([...canvas!.order].sort((a, b) => a - b)).toEqual(Array.from({ length: length - 1 }, (_, i) => i));
        for (let start = 0, before = 0; start < length - 1; start += blockLength) {
          const trace = canvas!.trace.subarray(start, start + blockLength);
          const share = Math.max(1, Math.round((steps * trace.length) / (length - 1)));
          for (const step of trace) expect([step >= before, step < before + share]).toEqual([true, true]);
          before = Math.max(...trace) + 1;
        }
      }),
      { numRuns: 50 },
    );
  });

  it("gives each block the schedule of its own steps", () => {
    const even = fixedSampler(Array.from({ length: 8 }, () => [0.5, 0.5]));
    const [canvas] = decode(even, options({ steps: 4, algorithm: "maskgit_plus", temperature: 0, maskId: 1, prompts: [[0]], blockLength: 4 }));
    // 4 masks in 2 steps: floor(4 * 0.4995) and the rest, twice.
    expect([...canvas!.trace]).toEqual([0, 1, 1, 1, 2, 3, 3, 3]);
  });

  it("of one block is decoding without", () => {
    expect(decode(sampler(9), options({ blockLength: 8 }))).toEqual(decode(sampler(9), options()));
    expect(decode(sampler(9), options({ blockLength: 50 }))).toEqual(decode(sampler(9), options()));
  });

  it("gives equal completions alone and in any batch, whatever the rule", () => {
    const prompts = [[1], [2, 3], [0], [3, 3, 3]];
    for (const commit of commitRules) {
      const changes = { prompts, commit, algorithm: "maskgit_plus", blockLength: 3, stop: { endId: 2, fillId: 0 } } as const;
      const together = decode(sampler(9, 4), options(changes));
      expect(decode(sampler(9, 3), options(changes))).toEqual(together);
      prompts.forEach((prompt, i) => {
        expect(decode(sampler(9, 1), options({ ...changes, prompts: [prompt], streamOf: () => options().streamOf(i) }))[0]).toEqual(together[i]);
      });
    }
  });
});

describe("parallel decoding", () => {
  const sure = fixedSampler([
    [0.95, 0.05],
    [0.6, 0.4],
    [0.7, 0.3],
    [0.92, 0.08],
  ]);
  const decodeBy = (commit: CommitRule, steps = 4) => decode(sure, options({ prompts: [[0]], maskId: 9, algorithm: "maskgit_plus", temperature: 0, steps, commit }))[0]!;

  it("by threshold fixes at once what is sure, then one at a time", () => {
    const { trace, order, confidence } = decodeBy({ rule: "threshold", threshold: 0.9 });
    expect([[...trace], order]).toEqual([[0, 2, 1, 0], [0, 3, 2, 1]]);
    [0.95, 0.6, 0.7, 0.92].forEach((value, i) => expect(confidence[i]).toBeCloseTo(value, 6));
  });

  it("by factor fixes what is sure together", () => {
    expect(decodeBy({ rule: "factor", factor: 0.3 }).order).toEqual([0, 3, 2, 1]); // 3 * 0.08 is below 0.3; then one, and one
    expect([...decodeBy({ rule: "factor", factor: 0.3 }).trace]).toEqual([0, 2, 1, 0]);
  });

  it("takes no more steps than it is given", () => {
    expect([...decodeBy({ rule: "threshold", threshold: 0.9 }, 2).trace]).toEqual([0, 1, 1, 0]);
    expect([...decodeBy({ rule: "threshold", threshold: 0.9 }, 1).trace]).toEqual([0, 0, 0, 0]);
  });
});

describe("stopping at an end", () => {
  const END = 2;
  const stop = { endId: END, fillId: 0 };

  it("leaves the answer up to its end as it would be without", () => {
    const algorithm = fc.constantFrom<DecodeAlgorithm[]>(...ALGORITHMS);
    let stopped = 0;
    fc.assert(
      fc.property(algorithm, fc.integer({ min: 2, max: 16 }), fc.nat(), fc.option(fc.integer({ min: 1, max: 6 }), { nil: 16 }), (name, length, seed, blockLength) => {
        const changes = { algorithm: name, blockLength, streamOf: () => ({ seed, stage: "test", purpose: "decode" }) };
        const [whole] = decode(sampler(length), options(changes));
        const [cut] = decode(sampler(length), options({ ...changes, stop }));
        const end = whole!.tokens.indexOf(END, 1);
        const live = end === -1 ? length : end + 1;
        expect(cut!.tokens.subarray(0, live)).toEqual(whole!.tokens.subarray(0, live));
        expect(cut!.trace.subarray(0, live - 1)).toEqual(whole!.trace.subarray(0, live - 1));
        expect(cut!.order).toEqual(whole!.order.slice(0, cut!.order.length));
        cut!.trace.forEach((step, offset) => {
          expect(Number.isNaN(cut!.confidence[offset])).toBe(step === -1);
          expect(cut!.tokens[offset + 1]).toBe(step === -1 ? stop.fillId : whole!.tokens[offset + 1]);
        });
        stopped += Number(cut!.trace.includes(-1));
      }),
    );
    expect(stopped).toBeGreaterThan(5);
  });

  it("saves the blocks behind it, and waits for what is before it", () => {
    // The end is the surest; what stands before it is fixed last.
    const rows = [[0.6, 0.4, 0], [0.02, 0.01, 0.97], [0.9, 0.1, 0], [0.8, 0.2, 0], [0.8, 0.2, 0], [0.8, 0.2, 0]];
    let steps = 0;
    const decodeTo = (blockLength: number) => decode(fixedSampler(rows), options({ prompts: [[1]], maskId: 9, temperature: 0, steps: 6, blockLength, stop, onStep: () => void steps++ }))[0]!;
    expect([...decodeTo(3).tokens]).toEqual([1, 0, END, 0, 0, 0, 0]);
    expect(steps).toBe(2);
    const whole = decodeTo(6);
    expect(whole.trace).not.toContain(-1); // position 0 is the least sure of all
  });

  it("at an end in the prompt goes on", () => {
    expect(decode(fixedSampler([[0.9, 0.1]]), options({ prompts: [[END]], maskId: 9, temperature: 0, stop }))[0]!.order).toEqual([0]);
  });
});

describe("infilling", () => {
  const suffixes = [[3, 0], [2]];
  const prompts = [[1], [2, 2]];

  it("decodes what stands between, and leaves prefix and suffix alone", () => {
    for (const blockLength of [2, 20]) {
      const canvases = decode(sampler(9), options({ prompts, suffixes, blockLength }));
      canvases.forEach(({ tokens, promptLength, trace, confidence, order }, i) => {
        const gap = 9 - prompts[i]!.length - suffixes[i]!.length;
        expect(promptLength).toBe(prompts[i]!.length);
        expect([...tokens.subarray(0, promptLength)]).toEqual(prompts[i]);
        expect([...tokens.subarray(promptLength + gap)]).toEqual(suffixes[i]);
        expect(tokens).not.toContain(MASK);
        expect([trace.length, confidence.length, order.length]).toEqual([gap, gap, gap]);
      });
    }
  });

  it("shows the model the suffix", () => {
    const seen: number[][] = [];
    const base = sampler(5, 1);
    const watched: Sampler = { ...base, logitsOf: (tokens) => (seen.push([...tokens]), base.logitsOf(tokens)) };
    decode(watched, options({ prompts: [PROMPT], suffixes: [[3, 0]], steps: 1 }));
    expect(seen).toEqual([[1, MASK, MASK, 3, 0]]);
  });

  it("refuses a suffix that leaves no room", () => {
    expect(() => decode(sampler(4), options({ prompts: [[1, 2]], suffixes: [[3, 0]] }))).toThrow(
      expect.objectContaining({ code: "PromptTooLong", message: "prompt 0: expected 1 to 1 tokens before a suffix of 2, found 2" }),
    );
    expect(decode(sampler(4), options({ prompts: [[1]], suffixes: [[3, 0]] }))[0]!.order).toEqual([0]);
  });
});
