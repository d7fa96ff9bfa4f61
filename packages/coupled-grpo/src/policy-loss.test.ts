// Axes: N completion positions.
import { loadBackend } from "@diffucoder/engine";
import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import type { Objective } from "./config.ts";
import { policyLoss } from "./policy-loss.ts";

beforeAll(async () => {
  await loadBackend();
});

interface Case {
  readonly logProbs: readonly number[];
  readonly oldLogProbs: readonly number[];
  readonly referenceLogProbs: readonly number[];
  readonly advantages: readonly number[];
  readonly live: readonly number[];
}

interface Result {
  readonly loss: number;
  readonly divergence: number;
  readonly clippedShare: number;
  readonly ratios: readonly number[];
}

function tensorsOf({ logProbs, oldLogProbs, referenceLogProbs, advantages, live }: Case) {
  const tensorOf = (list: readonly number[]) => tf.tensor1d([...list]);
  return {
    logProbs: tensorOf(logProbs),
    oldLogProbs: tensorOf(oldLogProbs),
    referenceLogProbs: tensorOf(referenceLogProbs),
    advantages: tensorOf(advantages),
    live: tensorOf(live),
  };
}

interface Options {
  readonly clip: number;
  readonly klWeight: number;
  readonly clipAbove?: number;
  readonly kind?: Objective["kind"];
  readonly batchSize?: number;
}

const optionsOf = ({ klWeight, kind = "token", batchSize = 1, ...clips }: Options) => ({ objective: { kind, ...clips }, klWeight, batchSize });

function evaluate(values: Case, options: Options): Result {
  return tf.tidy(() => {
    const { loss, divergence, clippedShare, ratios } = policyLoss(tensorsOf(values), optionsOf(options));
    return { loss: loss.arraySync(), divergence: divergence.arraySync(), clippedShare: clippedShare.arraySync(), ratios: ratios.arraySync() };
  });
}

function gradient(values: Case, options: Options): number[] {
  return tf.tidy(() => {
    const inputs = tensorsOf(values);
    const loss = (logProbs: tf.Tensor) => policyLoss({ ...inputs, logProbs: logProbs as tf.Tensor1D }, optionsOf(options)).loss;
    return [...tf.grad(loss)(inputs.logProbs).dataSync()];
  });
}

const OLD = [-1, -2, -0.5, -3, -1, -2];
const RATIOS = [1, 1.5, 1.5, 0.5, 0.5, 7];
/** Ratio 1; above and below the clip range, each with both signs of advantage; a dead position that must not matter. */
const CLIPPING: Case = {
  logProbs: OLD.map((value, i) => value + Math.log(RATIOS[i]!)),
  oldLogProbs: OLD,
  referenceLogProbs: OLD.map((value, i) => value + Math.log(RATIOS[i]!)),
  advantages: [2, 1, -1, 1, -1, 100],
  live: [1, 1, 1, 1, 1, 0],
};

test("the loss is the clipped gain on the side where clipping costs, averaged over live tokens", () => {
  const { loss, clippedShare, ratios } = evaluate(CLIPPING, { clip: 0.2, klWeight: 0 });
  // Gains min(ratio A, clip(ratio) A): 2; min(1.5, 1.2); min(-1.5, -1.2); min(0.5, 0.8); min(-0.5, -0.8).
  expect(loss).toBeCloseTo(-(2 + 1.2 - 1.5 + 0.5 - 0.8) / 5, 6);
  expect(clippedShare).toBeCloseTo(4 / 5, 6);
  RATIOS.forEach((ratio, i) => expect(ratios[i]).toBeCloseTo(ratio, 5));
});

test("the range above may be wider than the one below", () => {
  const { loss, clippedShare } = evaluate(CLIPPING, { clip: 0.2, clipAbove: 0.5, klWeight: 0 });
  expect(loss).toBeCloseTo(-(2 + 1.5 - 1.5 + 0.5 - 0.8) / 5, 6);
  expect(clippedShare).toBeCloseTo(2 / 5, 6);
});

/** Three completions of three tokens; the first has one token that is not live, the last none that is. */
const COMPLETIONS: Case = {
  logProbs: [-1, -2, 9, -1, -1, -1, -4, -4, -4],
  oldLogProbs: [-1.5, -2.1, -9, -1.2, -0.4, -1.4, 0, 0, 0],
  referenceLogProbs: [-1, -1, 0, -1, -1.5, -2, 0, 0, 0],
  advantages: [2, 2, 2, -1, -1, -1, 5, 5, 5],
  live: [1, 1, 0, 1, 1, 1, 0, 0, 0],
};
// Mean log-probability now and before: -1.5 and -1.8; -1 and -1.
const FIRST = Math.exp(0.3);

test("a sequence's ratio is that of its mean live log-probabilities, and its penalty k2 of them", () => {
  const { loss, divergence, clippedShare, ratios } = evaluate(COMPLETIONS, { kind: "sequence", batchSize: 3, clip: 0.2, klWeight: 0.5 });
  expect(ratios).toEqual([expect.closeTo(FIRST, 5), 1, 1]);
  expect(clippedShare).toBeCloseTo(1 / 2, 6);
  // The reference's means are -1 and -1.5.
  expect(divergence).toBeCloseTo((0.5 ** 2 / 2 + 0.5 ** 2 / 2) / 2, 5);
  expect(loss).toBeCloseTo(-(1.2 * 2 - 1) / 2 + 0.5 * divergence, 5);
});

test("a sequence's gradient is shared by its live tokens, and zero where clipping binds", () => {
  const found = gradient(COMPLETIONS, { kind: "sequence", batchSize: 3, clip: 0.2, klWeight: 0 });
  [0, 0, 0, 1 / 6, 1 / 6, 1 / 6, 0, 0, 0].forEach((expected, i) => expect(found[i]).toBeCloseTo(expected, 5));
});

test("stable: completions count by their clipped ratios, whatever the sign of their advantage", () => {
  const found = gradient(COMPLETIONS, { kind: "stable", batchSize: 3, clip: 0.2, klWeight: 0 });
  // Weights 1.2 and 1 of 2.2; advantages 2 and -1; two and three live tokens.
  [-(1.2 / 2.2) * 2 / 2, -(1.2 / 2.2) * 2 / 2, 0, ...[1, 1, 1].map(() => (1 / 2.2) / 3), 0, 0, 0].forEach((expected, i) => expect(found[i]).toBeCloseTo(expected, 5));
  // An outlier of ratio 100 with a negative advantage: PPO's clip lets it through, here no gradient exceeds the largest of one completion's.
  const outlier: Case = { ...COMPLETIONS, oldLogProbs: COMPLETIONS.oldLogProbs.map((value, i) => (i > 2 && i < 6 ? -1 - Math.log(100) : value)) };
  const largest = (kind: Objective["kind"]) => Math.max(...gradient(outlier, { kind, batchSize: 3, clip: 0.2, klWeight: 0 }).map(Math.abs));
  expect(largest("sequence")).toBeGreaterThan(10);
  expect(largest("stable")).toBeLessThanOrEqual(1);
});

test.each(["token", "sequence", "stable"] as const)("%s: at equal policies every ratio is 1, nothing is clipped, and no completion without a live token counts", (kind) => {
  const same = { ...COMPLETIONS, oldLogProbs: COMPLETIONS.logProbs, referenceLogProbs: COMPLETIONS.logProbs };
  const { divergence, clippedShare, ratios } = evaluate(same, { kind, batchSize: 3, clip: 0.2, klWeight: 1 });
  expect([divergence, clippedShare]).toEqual([0, 0]);
  expect(new Set(ratios)).toEqual(new Set([1]));
  const found = gradient(same, { kind, batchSize: 3, clip: 0.2, klWeight: 1 });
  expect(found.slice(6).map(Math.abs)).toEqual([0, 0, 0]);
  expect(Math.min(found[3]!, -found[0]!)).toBeGreaterThan(0);
});

test("the penalty is k3 of the step to the reference", () => {
  // k3 = r - ln r - 1, r being how much likelier the reference is: twice, four times, and dead.
  const values: Case = {
    logProbs: [-2, -2, -2],
    oldLogProbs: [-2, -2, -2],
    referenceLogProbs: [-2 + Math.LN2, -2 + 2 * Math.LN2, 5],
    advantages: [0, 0, 0],
    live: [1, 1, 0],
  };
  const { loss, divergence } = evaluate(values, { clip: 0.2, klWeight: 0.5 });
  const expected = (2 - Math.LN2 - 1 + (4 - 2 * Math.LN2 - 1)) / 2;
  expect(divergence).toBeCloseTo(expected, 6);
  expect(loss).toBeCloseTo(0.5 * expected, 6);
});

test("equal policies without advantages cost exactly nothing", () => {
  const same = [-1.25, -3.5, -0.125];
  const result = evaluate({ logProbs: same, oldLogProbs: same, referenceLogProbs: same, advantages: [0, 0, 0], live: [1, 1, 1] }, { clip: 0.2, klWeight: 1 });
  expect(result).toEqual({ loss: 0, divergence: 0, clippedShare: 0, ratios: [1, 1, 1] });
});

test("a batch without a live token costs nothing", () => {
  const { loss, divergence, clippedShare } = evaluate({ ...CLIPPING, referenceLogProbs: OLD, live: OLD.map(() => 0) }, { clip: 0.2, klWeight: 1 });
  expect([loss, divergence, clippedShare].map(Math.abs)).toEqual([0, 0, 0]);
});

const logProb = fc.double({ min: -6, max: 0, noNaN: true });

test("the divergence is never negative", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(logProb, logProb), { minLength: 1, maxLength: 8 }), (pairs) => {
      const current = pairs.map(([value]) => value);
      const zeros = pairs.map(() => 0);
      const { divergence } = evaluate(
        { logProbs: current, oldLogProbs: current, referenceLogProbs: pairs.map(([, value]) => value), advantages: zeros, live: zeros.map(() => 1) },
        { clip: 0.2, klWeight: 1 },
      );
      expect(divergence).toBeGreaterThanOrEqual(-1e-6); // rounding of exp(x) - x - 1 near 0
    }),
  );
});

test("the gradient is zero where clipping binds, and agrees with differences elsewhere", () => {
  const options = { clip: 0.2, klWeight: 0.3 };
  const values = { ...CLIPPING, referenceLogProbs: [-1.5, -1.25, -0.25, -4, -1.75, -2] };
  const found = gradient(values, options);
  // d loss / d logProb = (-ratio A where min takes the unclipped gain + klWeight (1 - exp(ref - cur))) / live tokens
  const unclipped = [true, false, true, true, false, false];
  values.logProbs.forEach((current, i) => {
    const gain = unclipped[i] ? -RATIOS[i]! * values.advantages[i]! : 0;
    const expected = values.live[i] === 0 ? 0 : (gain + options.klWeight * (1 - Math.exp(values.referenceLogProbs[i]! - current))) / 5;
    expect(found[i]).toBeCloseTo(expected, 5);
    const moved = (by: number) => evaluate({ ...values, logProbs: values.logProbs.map((value, j) => (i === j ? value + by : value)) }, options).loss;
    expect(found[i]).toBeCloseTo((moved(0.01) - moved(-0.01)) / 0.02, 3);
  });
});

test("at equal policies the gradient is the plain policy gradient", () => {
  const same = [-1, -2, -3];
  const found = gradient({ logProbs: same, oldLogProbs: same, referenceLogProbs: same, advantages: [1.5, -0.5, 3], live: [1, 1, 0] }, { clip: 0.2, klWeight: 0.1 });
  expect(found).toEqual([-0.75, 0.25, 0].map((value) => expect.closeTo(value, 6)));
});
