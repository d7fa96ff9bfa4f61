// Axes: B completions, C completion window, T canvas.
import { reinforcementTasks } from "../test/fixtures.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { recipeSchema, type Estimator } from "./config.ts";
import { drawPasses } from "./estimate.ts";
import { layOutPolicyBatch } from "./policy-batch.ts";
import type { Rollout } from "./rollout.ts";

const MASK = 9;
const estimatorOf = (logProbs: object): Estimator => recipeSchema.parse({ rounds: 1, logProbs }).logProbs;
const COUPLED = estimatorOf({});

function rollout(tokens: readonly number[], promptLength: number, liveLength: number): Rollout {
  const trace = new Int32Array(tokens.length - promptLength);
  return { task: reinforcementTasks[0]!, tokens: Int32Array.from(tokens), promptLength, liveLength, trace, completion: "" };
}

test("two completions on a canvas of six, laid out by hand", () => {
  const draw = (sample: number) => [...drawPasses(COUPLED, { length: 4, start: 0 }, { seed: 35, step: 3, sample })[1]!.hidden];
  expect([draw(0), draw(1)]).toEqual([[0, 1, 0, 0], [1, 0, 1, 0]]);
  const rollouts = [rollout([1, 2, 3, 4, 5, 6], 2, 3), rollout([1, 2, 7, 4, 5, 6], 3, 3)];
  const batch = layOutPolicyBatch({ rollouts, windowLength: 4, maskId: MASK, estimator: COUPLED, seed: 35, step: 3 });
  expect([...batch.tokens]).toEqual([
    ...[1, 2, MASK, MASK, MASK, MASK], // the whole completion hidden, padding behind the end too
    ...[1, 2, 7, MASK, MASK, MASK], // position 2 lies in the window, but is prompt here
    ...[1, 2, 3, MASK, 5, 6], // first masks
    ...[1, 2, 7, 4, MASK, 6],
    ...[1, 2, MASK, 4, MASK, MASK], // complements
    ...[1, 2, 7, MASK, 5, MASK],
  ]);
  // Row i - 1 of a canvas predicts position i; canvas k begins at row 6 k.
  expect([...batch.rows]).toEqual([
    ...[1, 2, 3, 4],
    ...[7, 8, 9, 10],
    ...[24 + 1, 12 + 2, 24 + 3, 24 + 4],
    ...[18 + 1, 30 + 2, 18 + 3, 30 + 4],
  ]);
  expect([...batch.weights]).toEqual(Array.from({ length: 16 }, () => 0.5));
  expect(batch.coverage).toBe(1);
  expect([...batch.targets]).toEqual([3, 4, 5, 6, 7, 4, 5, 6]);
  expect([...batch.live]).toEqual([1, 1, 1, 0, 0, 1, 1, 1]);
  expect(batch.maskSeeds).toEqual([{ seed: 35, step: 3, sample: 0 }, { seed: 35, step: 3, sample: 1 }]);
});

/** Rollouts on one canvas with prompts and answers of any length, and the window that the shortest prompt leaves. */
const rounds = fc
  .record({ canvasLength: fc.integer({ min: 2, max: 14 }), count: fc.integer({ min: 1, max: 5 }), seed: fc.nat(), step: fc.integer({ min: 1, max: 99 }) })
  .chain(({ canvasLength, count, seed, step }) =>
    fc
      .array(
        fc.integer({ min: 1, max: canvasLength - 1 }).chain((promptLength) =>
          fc.record({
            tokens: fc.array(fc.integer({ min: 0, max: MASK - 1 }), { minLength: canvasLength, maxLength: canvasLength }),
            promptLength: fc.constant(promptLength),
            liveLength: fc.integer({ min: 1, max: canvasLength - promptLength }),
          }),
        ),
        { minLength: count, maxLength: count },
      )
      .map((lines) => ({
        rollouts: lines.map(({ tokens, promptLength, liveLength }) => rollout(tokens, promptLength, liveLength)),
        windowLength: canvasLength - Math.min(...lines.map(({ promptLength }) => promptLength)),
        canvasLength,
        seed,
        step,
      })),
  );

test("each live token is hidden once by the full canvas and once by the pair, and predicted from there", () => {
  fc.assert(
    fc.property(rounds, ({ rollouts, windowLength, canvasLength, seed, step }) => {
      const batch = layOutPolicyBatch({ rollouts, windowLength, maskId: MASK, estimator: COUPLED, seed, step });
      const count = rollouts.length * windowLength;
      const canvas = (copy: number, sample: number) => {
        const start = (copy * rollouts.length + sample) * canvasLength;
        return batch.tokens.subarray(start, start + canvasLength);
      };
      rollouts.forEach(({ tokens, promptLength, liveLength }, sample) => {
        for (let position = 0; position < canvasLength; position++) {
          const hidden = [0, 1, 2].map((copy) => canvas(copy, sample)[position] === MASK);
          expect(hidden).toEqual(position < promptLength ? [false, false, false] : [true, hidden[1], !hidden[1]]);
          for (const copy of [0, 1, 2]) if (!hidden[copy]) expect(canvas(copy, sample)[position]).toBe(tokens[position]);
          const offset = position - (canvasLength - windowLength);
          if (offset < 0) continue;
          const index = sample * windowLength + offset;
          expect(batch.targets[index]).toBe(tokens[position]);
          expect(batch.live[index]).toBe(position >= promptLength && position < promptLength + liveLength ? 1 : 0);
          if (position < promptLength) continue;
          expect(batch.rows[index]! + 1).toBe(sample * canvasLength + position);
          const pairRow = batch.rows[count + index]! + 1;
          expect(pairRow).toBe(((hidden[1] ? 1 : 2) * rollouts.length + sample) * canvasLength + position);
        }
      });
      expect([...batch.live].reduce((a, b) => a + b)).toBe(rollouts.reduce((sum, { liveLength }) => sum + liveLength, 0));
      for (const row of batch.rows) expect(row).toBeGreaterThanOrEqual(0);
    }),
  );
});

test("noise range, seed and step reach the masks", () => {
  const rollouts = [rollout(Array.from({ length: 40 }, () => 1), 1, 39)];
  const hidden = (changes: object) => {
    const { tokens } = layOutPolicyBatch({ rollouts, windowLength: 39, maskId: MASK, estimator: COUPLED, seed: 1, step: 1, ...changes });
    return tokens.subarray(40, 80).join();
  };
  expect(hidden({})).toBe(hidden({}));
  expect(hidden({ seed: 2 })).not.toBe(hidden({}));
  expect(hidden({ step: 2 })).not.toBe(hidden({}));
  expect(hidden({ estimator: estimatorOf({ noiseRange: [0.998, 0.999] }) }).match(/9/g)).toHaveLength(39);
});

const estimators = fc.constantFrom(
  ...[{}, { weights: "inverse-level" }, { fullPass: false }, { masks: "independent" }, { masks: "independent", fullPass: false }, { masks: "single" }, { masks: "full" }, { masks: "full", promptNoise: 0.5 }, { masks: "strata" }].map(estimatorOf),
);

test("whatever the estimator, a token is read where it is hidden, with the weights drawn, or is not live", () => {
  fc.assert(
    fc.property(rounds, estimators, ({ rollouts, windowLength, canvasLength, seed, step }, estimator) => {
      const batch = layOutPolicyBatch({ rollouts, windowLength, maskId: MASK, estimator, seed, step });
      const count = rollouts.length * windowLength;
      const hiddenPrompts = estimator.masks === "full" && estimator.promptNoise > 0;
      let covered = 0;
      rollouts.forEach(({ tokens, promptLength, liveLength }, sample) => {
        const windowStart = canvasLength - windowLength;
        const passes = drawPasses(estimator, { length: windowLength, start: promptLength - windowStart }, batch.maskSeeds[sample]!);
        passes.forEach((_, pass) => {
          const prompt = batch.tokens.subarray((pass * rollouts.length + sample) * canvasLength).subarray(0, promptLength);
          if (!hiddenPrompts) expect(prompt).toEqual(tokens.subarray(0, promptLength));
        });
        for (let offset = 0; offset < windowLength; offset++) {
          const position = windowStart + offset;
          const index = sample * windowLength + offset;
          const isAnswer = position >= promptLength && position < promptLength + liveLength;
          const total = passes.reduce((sum, { weight }) => sum + weight[offset]!, 0);
          expect(batch.live[index]).toBe(isAnswer && total > 0 ? 1 : 0);
          covered += batch.live[index]!;
          let read = 0;
          for (let at = index; at < batch.rows.length; at += count) {
            read += batch.weights[at]!;
            if (batch.weights[at] === 0 || position < promptLength) continue;
            expect(batch.tokens[batch.rows[at]! + 1]).toBe(MASK);
            expect((batch.rows[at]! + 1) % canvasLength).toBe(position);
            expect(Math.floor(batch.rows[at]! / canvasLength) % rollouts.length).toBe(sample);
          }
          expect(read).toBeCloseTo(total, 5);
        }
      });
      expect(batch.coverage).toBeCloseTo(covered / rollouts.reduce((sum, { liveLength }) => sum + liveLength, 0), 6);
    }),
  );
});

test("d1 hides some of the prompt, and nothing else differs from the pass that hides all", () => {
  const rollouts = [rollout(Array.from({ length: 40 }, () => 1), 30, 10)];
  const layOut = (promptNoise: number) => layOutPolicyBatch({ rollouts, windowLength: 10, maskId: MASK, estimator: estimatorOf({ masks: "full", promptNoise }), seed: 1, step: 1 });
  const hidden = layOut(0.5).tokens.subarray(0, 30).filter((token) => token === MASK).length;
  expect(hidden).toBeGreaterThan(4);
  expect(hidden).toBeLessThan(26);
  expect(layOut(0.5).tokens.subarray(30)).toEqual(layOut(0).tokens.subarray(30));
  expect({ ...layOut(0.5), tokens: [] }).toEqual({ ...layOut(0), tokens: [] });
});
