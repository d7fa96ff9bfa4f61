import { stream } from "@diffucoder/random";
import { expect, test } from "vitest";
import { NearDuplicateIndex, jaccard, shinglesOf } from "./near-duplicates.ts";

const numbered = (count: number, first = 0) => Array.from({ length: count }, (_, i) => `w${first + i}`);

/** Runs of five words as text: what the index hashes. */
function runsOf(text: string): Set<string> {
  const words = text.match(/\w+/g) ?? [];
  return new Set(Array.from({ length: Math.max(1, words.length - 4) }, (_, i) => words.slice(i, i + 5).join(" ")));
}

function similarity(left: ReadonlySet<string>, right: ReadonlySet<string>): number {
  const shared = [...left].filter((run) => right.has(run)).length;
  return shared / (left.size + right.size - shared);
}

test("a text of n words has n - 4 runs of five, each counted once", () => {
  expect(shinglesOf(numbered(5).join(" ")).size).toBe(1);
  expect(shinglesOf(numbered(6).join(" ")).size).toBe(2);
  expect(shinglesOf(numbered(100).join("\n")).size).toBe(96);
  expect(shinglesOf("a ".repeat(50)).size).toBe(1);
});

test("fewer than five words are one run, and a text without words stands for itself", () => {
  expect(shinglesOf("x = 1")).toEqual(shinglesOf("x(1)"));
  expect(shinglesOf("x = 1")).not.toEqual(shinglesOf("x = 2"));
  expect(shinglesOf("()\n").size).toBe(1);
  expect(shinglesOf("()\n")).not.toEqual(shinglesOf("[]\n"));
});

test("similarity is the shared part of all runs", () => {
  const set = (...values: number[]) => new Set(values);
  expect(jaccard(set(1, 2, 3), set(2, 3, 4, 5))).toBe(2 / 5);
  expect(jaccard(set(1, 2), set(1, 2))).toBe(1);
  expect(jaccard(set(1), set(2))).toBe(0);
});

test("the first of two alike texts stays and is named with the similarity", () => {
  const index = new NearDuplicateIndex(0.8);
  const words = numbered(104); // 100 runs
  expect(index.addUnlessNear("first", words.join(" "))).toBeUndefined();
  // Another last word changes one run of 100: 99 shared of 101.
  expect(index.addUnlessNear("second", [...words.slice(0, -1), "other"].join(" "))).toEqual({ id: "first", similarity: 99 / 101 });
});

test("a pair at the threshold is dropped, one just below it stays", () => {
  const words = numbered(104);
  const changed = [...words.slice(0, -1), "other"].join(" ");
  const at = new NearDuplicateIndex(99 / 101);
  at.addUnlessNear("first", words.join(" "));
  expect(at.addUnlessNear("second", changed)?.id).toBe("first");
  const above = new NearDuplicateIndex(99 / 101 + 1e-9);
  above.addUnlessNear("first", words.join(" "));
  expect(above.addUnlessNear("second", changed)).toBeUndefined();
});

test("likeness is not passed on: what was dropped drops nothing", () => {
  // b is a moved on by five words, c is b moved on by five: 91 of 101 runs shared by neighbours (0.905), 86 of 106 by a and c (0.811).
  const [a, b, c] = [0, 5, 10].map((first) => numbered(100, first).join(" ")) as [string, string, string];
  expect(similarity(runsOf(a), runsOf(b))).toBeCloseTo(91 / 101, 12);
  expect(similarity(runsOf(a), runsOf(c))).toBeCloseTo(86 / 106, 12);
  const index = new NearDuplicateIndex(0.85);
  expect(index.addUnlessNear("a", a)).toBeUndefined();
  expect(index.addUnlessNear("b", b)).toEqual({ id: "a", similarity: 91 / 101 });
  expect(index.addUnlessNear("c", c)).toBeUndefined();
  expect(index.addUnlessNear("b again", b)?.id).toBe("a");
});

test("texts of punctuation only are like none but themselves", () => {
  const index = new NearDuplicateIndex(0.5);
  expect(index.addUnlessNear("round", "()\n")).toBeUndefined();
  expect(index.addUnlessNear("square", "[]\n")).toBeUndefined();
  expect(index.addUnlessNear("round again", "()\n")).toEqual({ id: "round", similarity: 1 });
});

/** Families of texts, each a base with some of its words replaced, so that similarities within one spread over [0.4, 1]. */
function families(count: number, members: number): string[] {
  const draws = stream({ seed: 1, stage: "test", purpose: "families" });
  return Array.from({ length: count }, (_, family) => {
    const base = Array.from({ length: 60 + draws.integer(120) }, () => `v${family}_${draws.integer(60)}`);
    return Array.from({ length: members }, () => {
      const copy = [...base];
      const start = draws.integer(base.length);
      const end = Math.min(base.length, start + draws.integer(Math.ceil(base.length / 8)));
      for (let i = start; i < end; i++) copy[i] = `z${draws.integer(1000)}`;
      return copy.join(" ");
    });
  }).flat();
}

test("against comparison of all pairs: nothing is dropped that is not alike, and nearly all that is alike is found", () => {
  const texts = families(40, 10);
  const index = new NearDuplicateIndex(0.8);
  const kept: Set<string>[] = [];
  let alike = 0;
  let missed = 0;
  let close = 0;
  for (const text of texts) {
    const runs = runsOf(text);
    const similarities = kept.map((other) => similarity(runs, other));
    const most = Math.max(0, ...similarities);
    const near = index.addUnlessNear(String(kept.length), text);
    if (near !== undefined) expect(near.similarity).toBe(similarities[Number(near.id)]);
    if (near !== undefined) expect(near.similarity).toBeGreaterThanOrEqual(0.8);
    if (most >= 0.8) alike++;
    if (most >= 0.8 && near === undefined) missed++;
    if (Math.abs(most - 0.8) < 0.1) close++;
    if (near === undefined) kept.push(runs);
  }
  expect(close).toBeGreaterThan(200); // most of the 400 do lie around the threshold
  expect(alike).toBeGreaterThan(100);
  expect(missed / alike).toBeLessThan(0.05); // what banding promises at 0.8 itself
});

test("texts at the threshold become candidates as often as banding promises", () => {
  // `shared` runs in both, (100 - shared) / 2 in either alone: similarity s = shared / 100, missed with (1 - s^8)^16.
  // s = 0.9: (1 - 0.4305)^16 = 0.0001. s = 0.6: (1 - 0.0168)^16 = 0.76, standard deviation over 200 trials 0.03.
  const draws = stream({ seed: 2, stage: "test", purpose: "candidates" });
  const missedAt = (shared: number) => {
    const trials = 200;
    let missed = 0;
    for (let trial = 0; trial < trials; trial++) {
      const word = () => `v${draws.uint32()}`;
      const head = Array.from({ length: shared + 4 }, word);
      const tail = () => Array.from({ length: (100 - shared) / 2 }, word);
      const index = new NearDuplicateIndex(0.01);
      index.addUnlessNear("a", [...head, ...tail()].join(" "));
      if (index.addUnlessNear("b", [...head, ...tail()].join(" ")) === undefined) missed++;
    }
    return missed / trials;
  };
  expect(missedAt(90)).toBeLessThan(0.02);
  const atSixty = missedAt(60);
  expect(atSixty).toBeGreaterThan(0.64);
  expect(atSixty).toBeLessThan(0.88);
});
