// Axes: C completion window.
import { stream } from "@diffucoder/random";
import fc from "fast-check";
import { expect, test } from "vitest";
import { recipeSchema, type Estimator } from "./config.ts";
import { drawHiddenPrompt, drawPasses, estimateShape, type MaskSeed } from "./estimate.ts";

const estimatorOf = (logProbs: object): Estimator => recipeSchema.parse({ rounds: 1, logProbs }).logProbs;
const COUPLED = estimatorOf({});
const WEIGHTED = estimatorOf({ weights: "inverse-level" });

const maskSeed = fc.record({ seed: fc.nat(), step: fc.integer({ min: 1, max: 1e6 }), sample: fc.nat(512) });
const window = fc.nat(40).chain((length) => fc.record({ length: fc.constant(length), start: fc.nat(length) }));
const noiseRange = fc.tuple(fc.double({ min: 0.01, max: 0.5, noNaN: true }), fc.double({ min: 0.51, max: 0.99, noNaN: true }));
const fullPass = fc.boolean();
const estimators = fc
  .oneof(
    fc.record({ masks: fc.constant("coupled"), noiseRange, fullPass, weights: fc.constantFrom("none", "inverse-level"), levelPer: fc.constantFrom("completion", "batch") }),
    fc.record({ masks: fc.constant("independent"), noiseRange, fullPass }),
    fc.record({ masks: fc.constant("single"), noiseRange }),
    fc.record({ masks: fc.constant("full") }),
    fc.record({ masks: fc.constant("strata"), count: fc.integer({ min: 2, max: 6 }) }),
  )
  .map(estimatorOf);

/** Over passes, how often each position behind the start is hidden and what its log-probabilities count together. */
function sums(estimator: Estimator, { length, start }: { length: number; start: number }, seed: MaskSeed): { hidden: number[]; weight: number[] } {
  const passes = drawPasses(estimator, { length, start }, seed);
  const over = (key: "hidden" | "weight") => Array.from({ length: length - start }, (_, i) => passes.reduce((sum, pass) => sum + pass[key][start + i]!, 0));
  return { hidden: over("hidden"), weight: over("weight") };
}

test("a pass counts only where it hides, and has as many passes and reads as its shape says", () => {
  fc.assert(
    fc.property(estimators, window, maskSeed, (estimator, place, seed) => {
      const passes = drawPasses(estimator, place, seed);
      const shape = estimateShape(estimator);
      expect(passes).toHaveLength(shape.passes);
      for (const { hidden, weight } of passes) {
        expect([hidden.length, weight.length]).toEqual([place.length, place.length]);
        hidden.forEach((isHidden, i) => expect(weight[i]! > 0).toBe(isHidden === 1));
      }
      for (const reads of sums(estimator, place, seed).hidden) expect(reads).toBeLessThanOrEqual(shape.reads);
      expect(drawPasses(estimator, place, seed)).toEqual(passes);
    }),
  );
});

test("where weights are no powers of the level, those of a token sum to 1; only one mask alone leaves tokens out", () => {
  fc.assert(
    fc.property(estimators, window, maskSeed, (estimator, place, seed) => {
      fc.pre(!("weights" in estimator && estimator.weights === "inverse-level"));
      const mayLeaveOut = estimator.masks === "single" || (estimator.masks === "independent" && !estimator.fullPass);
      for (const sum of sums(estimator, place, seed).weight) if (!(mayLeaveOut && sum === 0)) expect(sum).toBeCloseTo(1, 6);
    }),
  );
});

test("a pair and strata hide every token exactly once, beside the pass that hides all", () => {
  const once = fc
    .oneof(
      fc.record({ masks: fc.constant("coupled"), noiseRange, fullPass }),
      fc.record({ masks: fc.constant("strata"), count: fc.integer({ min: 2, max: 6 }) }),
    )
    .map(estimatorOf);
  fc.assert(
    fc.property(once, window, maskSeed, (estimator, place, seed) => {
      const expected = estimator.masks === "coupled" && estimator.fullPass ? 2 : 1;
      for (const times of sums(estimator, place, seed).hidden) expect(times).toBe(expected);
    }),
  );
});

test("strata are as large as each other, to one token; two of them are a pair at level 1/2", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 6 }), window, maskSeed, (count, { length, start }, seed) => {
      const sizes = drawPasses(estimatorOf({ masks: "strata", count }), { length, start }, seed).map(({ hidden }) => hidden.slice(start).reduce((a, b) => a + b, 0));
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      expect(sizes.reduce((a, b) => a + b)).toBe(length - start);
    }),
  );
  const orders = Array.from({ length: 50 }, (_, sample) => drawPasses(estimatorOf({ masks: "strata", count: 2 }), { length: 8, start: 0 }, { seed: 1, step: 1, sample })[0]!.hidden.join(""));
  expect(new Set(orders).size).toBeGreaterThan(25);
});

test("with weights 1/t the pair's mean is unbiased, and its sum with the full pass is the paper's", () => {
  const place = { length: 60, start: 0 };
  const [full, first, second] = drawPasses(WEIGHTED, place, { seed: 1, step: 1, sample: 0 });
  const level = 0.2 + 0.6 * stream({ seed: 1, stage: "coupled-grpo", step: 1, sample: 0, purpose: "coupled-masks" }).uniform();
  expect(new Set(full!.weight)).toEqual(new Set([0.5]));
  expect(Math.max(...first!.weight)).toBeCloseTo(0.5 / level, 6);
  expect(Math.max(...second!.weight)).toBeCloseTo(0.5 / (1 - level), 6);
  const bound = estimatorOf({ fullPass: false, weights: "inverse-level" });
  expect(drawPasses(bound, place, { seed: 1, step: 1, sample: 0 })).toEqual([first, second]);
  const draws = Array.from({ length: 4000 }, (_, sample) => sums(bound, { length: 5, start: 0 }, { seed: 2, step: 1, sample }).weight);
  // A weight has standard deviation below 0.5: means of 4000 are within 0.04 of 1 at five sigma.
  for (let i = 0; i < 5; i++) expect(draws.reduce((sum, weights) => sum + weights[i]!, 0) / draws.length).toBeCloseTo(1, 1);
});

test("two independent masks leave some tokens to the full pass alone, and hide some twice", () => {
  const { hidden } = sums(estimatorOf({ masks: "independent" }), { length: 400, start: 0 }, { seed: 1, step: 1, sample: 0 });
  expect(new Set(hidden)).toEqual(new Set([1, 2, 3]));
  const [full, first, second] = drawPasses(estimatorOf({ masks: "independent" }), { length: 400, start: 0 }, { seed: 1, step: 1, sample: 0 });
  full!.weight.forEach((weight, i) => expect(weight).toBeCloseTo(1 / (1 + first!.hidden[i]! + second!.hidden[i]!), 6));
});

/** First masks of many pairs: the level that each was drawn at, and the share that it hides. */
const pairs = Array.from({ length: 2000 }, (_, sample) => {
  const seed = { seed: 3, step: 1, sample };
  const [, first] = drawPasses(COUPLED, { length: 50, start: 0 }, seed);
  const [, weighted] = drawPasses(WEIGHTED, { length: 50, start: 0 }, seed);
  return { level: 0.5 / Math.max(...weighted!.weight), share: first!.hidden.reduce((a, b) => a + b) / 50 };
});

test("the noise level is uniform in its range, and the share that the first mask hides", () => {
  const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
  const levels = pairs.map(({ level }) => level);
  expect(mean(levels)).toBeCloseTo(0.5, 1);
  expect(Math.min(...levels)).toBeLessThan(0.21);
  expect(Math.max(...levels)).toBeGreaterThan(0.79);
  expect(levels.every((level) => level > 0.1999 && level < 0.8001)).toBe(true);
  // 100 000 draws of standard deviation below 0.5: the mean is within 0.008 of its expectation at five sigma.
  expect(Math.abs(mean(pairs.map(({ share, level }) => share - level)))).toBeLessThan(0.008);
  // Low and high levels apart: a share that ignored the level would be 0.5 in both.
  const shareWhere = (isIn: (level: number) => boolean) => mean(pairs.filter(({ level }) => isIn(level)).map(({ share }) => share));
  expect(shareWhere((level) => level < 0.3)).toBeCloseTo(0.25, 1);
  expect(shareWhere((level) => level > 0.7)).toBeCloseTo(0.75, 1);
});

test("another seed, step or completion draws other masks and levels, in every estimator that draws", () => {
  const seed = { seed: 1, step: 1, sample: 0 };
  for (const masks of ["coupled", "independent", "single", "strata"]) {
    const drawn = [seed, { ...seed, seed: 2 }, { ...seed, step: 2 }, { ...seed, sample: 1 }].map((key) => drawPasses(estimatorOf({ masks }), { length: 64, start: 0 }, key));
    expect(new Set(drawn.map((passes) => passes.map(({ hidden }) => hidden.join("")).join())).size).toBe(4);
  }
});

test("a level for the whole batch is the same for its completions, but their masks are their own", () => {
  const draw = (levelPer: string, key: object) => drawPasses(estimatorOf({ weights: "inverse-level", levelPer }), { length: 64, start: 0 }, { seed: 1, step: 1, sample: 0, ...key })[1]!;
  const levelOf = ({ weight }: { weight: Float32Array }) => Math.max(...weight);
  expect(levelOf(draw("batch", { sample: 1 }))).toBe(levelOf(draw("batch", {})));
  expect(draw("batch", { sample: 1 }).hidden).not.toEqual(draw("batch", {}).hidden);
  expect(levelOf(draw("batch", { step: 2 }))).not.toBe(levelOf(draw("batch", {})));
  expect(levelOf(draw("batch", { seed: 2 }))).not.toBe(levelOf(draw("batch", {})));
  expect(levelOf(draw("completion", { sample: 1 }))).not.toBe(levelOf(draw("completion", {})));
});

test("masks come from a stream named for them", () => {
  const draws = stream({ seed: 5, stage: "coupled-grpo", step: 7, sample: 2, purpose: "coupled-masks" });
  const [, first] = drawPasses(estimatorOf({ noiseRange: [0.25, 0.75] }), { length: 8, start: 0 }, { seed: 5, step: 7, sample: 2 });
  const level = 0.25 + 0.5 * draws.uniform();
  expect([...first!.hidden]).toEqual(Array.from({ length: 8 }, () => Number(draws.uniform() < level)));
});

test("only d1 hides some of a prompt: its share, anew for each update", () => {
  const hidden = (logProbs: object, step = 1) => drawHiddenPrompt(estimatorOf(logProbs), 2000, { seed: 1, step, sample: 0 });
  const count = (mask: Uint8Array) => mask.reduce((a, b) => a + b, 0);
  for (const masks of ["coupled", "independent", "single", "full", "strata"]) expect(count(hidden({ masks }))).toBe(0);
  const noisy = { masks: "full", promptNoise: 0.15 };
  expect(Math.abs(count(hidden(noisy)) - 300)).toBeLessThan(80); // five sigma
  expect(hidden(noisy)).toEqual(hidden(noisy));
  expect(hidden(noisy, 2)).not.toEqual(hidden(noisy));
});
