// Axes: N completion positions.
import { loadBackend } from "@diffucoder/engine";
import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
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

function evaluate(values: Case, options: { clip: number; klWeight: number }): Result {
  return tf.tidy(() => {
    const { loss, divergence, clippedShare, ratios } = policyLoss(tensorsOf(values), options);
    return { loss: loss.arraySync(), divergence: divergence.arraySync(), clippedShare: clippedShare.arraySync(), ratios: ratios.arraySync() };
  });
}

function gradient(values: Case, options: { clip: number; klWeight: number }): number[] {
  return tf.tidy(() => {
    const inputs = tensorsOf(values);
    const loss = (logProbs: tf.Tensor) => policyLoss({ ...inputs, logProbs: logProbs as tf.Tensor1D }, options).loss;
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
