import { stream } from "@diffucoder/random";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Bounds } from "./confidence-doubt.ts";
import { chooseInParallel, chooseMostConfident, inQuestion, type CommitRule, type OpenPosition, type ParallelRule } from "./position-choice.ts";

const tight = (confidence: number): Bounds => ({ lowest: confidence - 1e-9, highest: confidence + 1e-9 });

const draws = () => stream({ seed: 1, stage: "test", purpose: "choice" });

const UNKNOWN: Bounds = { lowest: -Infinity, highest: Infinity };

/** Open positions of given confidence. */
function open(confidences: readonly number[]): OpenPosition[] {
  return confidences.map((confidence, position) => ({ position, draw: () => ({ token: 100 + position, confidence }) }));
}

const positionsOf = (fixed: readonly { position: number }[]) => fixed.map(({ position }) => position);

describe("parallel decoding", () => {
  it("by threshold fixes all that are above it, the most confident first", () => {
    const fixed = chooseInParallel(open([0.91, 0.9, 0.99, 0.2]), { rule: "threshold", threshold: 0.9 });
    expect(fixed).toEqual([
      { position: 2, token: 102, confidence: 0.99 },
      { position: 0, token: 100, confidence: 0.91 },
    ]);
  });

  it("by threshold fixes the most confident when none is above it", () => {
    expect(positionsOf(chooseInParallel(open([0.3, 0.8, 0.8]), { rule: "threshold", threshold: 0.9 }))).toEqual([1]);
  });

  it("by factor fixes the n surest while (n + 1)(1 - the n-th confidence) stays below it", () => {
    // 2 * 0.01, 3 * 0.1, 4 * 0.2 and 5 * 0.5: 0.02, 0.3, 0.8, 2.5.
    const confidences = [0.5, 0.99, 0.8, 0.9];
    expect(positionsOf(chooseInParallel(open(confidences), { rule: "factor", factor: 1 }))).toEqual([1, 3, 2]);
    expect(positionsOf(chooseInParallel(open(confidences), { rule: "factor", factor: 0.25 }))).toEqual([1]);
    expect(positionsOf(chooseInParallel(open(confidences), { rule: "factor", factor: 0.001 }))).toEqual([1]); // always one
    expect(positionsOf(chooseInParallel(open(confidences), { rule: "factor", factor: 3 }))).toEqual([1, 3, 2, 0]);
    expect(positionsOf(chooseInParallel(open([0.5]), { rule: "factor", factor: 1 }))).toEqual([0]); // 2 * 0.5 is not below 1, but one is
  });
});

describe("bounds", () => {
  const rules = fc.oneof<fc.Arbitrary<CommitRule>[]>(
    fc.constant({ rule: "schedule" }),
    fc.double({ min: 0, max: 1, noNaN: true }).map((threshold) => ({ rule: "threshold", threshold })),
    fc.double({ min: 0.01, max: 4, noNaN: true }).map((factor) => ({ rule: "factor", factor })),
  );
  // Often close to each other or equal, so that bounds alone cannot tell.
  const confidence = fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 0.5, 0.50001, 0.500011, 0.9, 1));
  const slack = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1e-4, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }));

  it("never change a choice, however wide they are", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(confidence, slack, slack, fc.boolean()), { minLength: 1, maxLength: 20 }), fc.nat(20), rules, (cells, count, commit) => {
        const confidences = cells.map(([exact]) => exact);
        const bounds = cells.map(([exact, below, above, isKnown]) => (isKnown ? { lowest: exact - below, highest: exact + above } : UNKNOWN));
        const choose = (positions: OpenPosition[]) => (commit.rule === "schedule" ? chooseMostConfident(positions, count, 0, draws()) : chooseInParallel(positions, commit));
        const all = open(confidences);
        const questions = inQuestion(bounds, commit.rule === "schedule" ? { count } : commit).map((index) => all[index]!);
        expect(choose(questions)).toEqual(choose(all));
      }),
      { numRuns: 500 },
    );
  });

  it("spare those that are clearly not chosen", () => {
    const confidences = [0.2, 0.9, 0.1, 0.9, 0.5];
    const askedBy = (choice: { count: number } | ParallelRule) => inQuestion(confidences.map(tight), choice);
    expect(askedBy({ count: 2 })).toEqual([1, 3]);
    expect(askedBy({ count: 1 })).toEqual([1, 3]); // equal by their bounds
    expect(askedBy({ count: 0 })).toEqual([]);
    expect(askedBy({ rule: "threshold", threshold: 0.4 })).toEqual([1, 3, 4]);
    expect(askedBy({ rule: "threshold", threshold: 0.95 })).toEqual([1, 3]);
    expect(askedBy({ rule: "factor", factor: 0.5 })).toEqual([1, 3]); // 2 * 0.1, 3 * 0.1, 4 * 0.5
  });
});
