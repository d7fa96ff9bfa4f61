// Axes: B completions, C completion window, N = B * C, T canvas, V vocabulary.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadBackend } from "@diffucoder/engine";
import { loadCheckpoint, saveCheckpoint, type NamedTensor } from "@diffucoder/formats";
import { createSampler, initialParameters } from "@diffucoder/model";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { randomRollouts, untrainedModel } from "../test/fixtures.ts";
import { perToken } from "./advantages.ts";
import { recipeSchema } from "./config.ts";
import { PRESET_NAMES } from "./presets.ts";
import { layOutPolicyBatch, type PolicyBatch } from "./policy-batch.ts";
import { Policy } from "./policy.ts";

const VOCABULARY = 23;
const MASK = 22;
const SHAPE = { batchSize: 4, canvasLength: 10, windowLength: 7 };
const COUNT = SHAPE.batchSize * SHAPE.windowLength;
const model = untrainedModel(0.3);
const rollouts = randomRollouts();
const ADVANTAGES = [2, -2, 1, -1];
const advantages = perToken(ADVANTAGES, SHAPE.windowLength);

const batchAt = (step: number): PolicyBatch =>
  layOutPolicyBatch({ rollouts, windowLength: SHAPE.windowLength, maskId: MASK, estimator: recipeSchema.parse({ rounds: 1 }).logProbs, seed: 1, step });

type Changes = Readonly<Record<string, unknown>> & { readonly optimizer?: object };

const open: Policy[] = [];
let shared: Policy;

async function createPolicy(changes: Changes = {}): Promise<Policy> {
  const optimizer = { weightDecay: 0, clipNorm: 10, ...changes.optimizer };
  const policy = await Policy.create(model, SHAPE, recipeSchema.parse({ rounds: 1, klWeight: 0, ...changes, optimizer }));
  policy.writeParameters(initialParameters(model, 2));
  open.push(policy);
  return policy;
}

/** The shared policy as it was when new: recording its graph takes longer than all that a test does with it. */
function freshPolicy(parameters: ReadonlyMap<string, NamedTensor> = initialParameters(model, 2)): Policy {
  shared.writeParameters(parameters);
  shared.writeOptimizer({ first: zeros, second: zeros });
  return shared;
}

const zeros = new Map([...initialParameters(model, 2)].map(([name, { shape, data }]) => [name, { shape, data: new Float32Array(data.length) }]));

beforeAll(async () => {
  shared = await createPolicy();
});

afterAll(() => open.forEach((policy) => policy.dispose()));

/** The updates of one round, as the stage makes them: all old log-probabilities first. */
function round(policy: Policy, steps: readonly number[], learningRate = 0.01) {
  const batches = steps.map(batchAt);
  const old = batches.map((batch, i) => (i === 0 ? policy.logProbs(batch) : policy.laterLogProbs(batch)));
  return steps.map((step, i) => policy.update(batches[i]!, { advantages, oldLogProbs: old[i]!, referenceLogProbs: old[i]! }, { learningRate, step }));
}

const ones = new Float32Array(COUNT).fill(1);

test.skipIf(process.env.DIFFUCODER_BACKEND !== undefined)("these tests run on the native backend, where graphs of different use round differently", async () => {
  expect(await loadBackend()).toBe("native");
});

test("before any update every ratio is exactly 1, and before the second update of a round it is not", () => {
  const [first, second] = round(freshPolicy(), [1, 2]);
  expect(first!.ratios).toEqual(ones);
  expect(first!.clippedShare).toBe(0);
  expect(first!.divergence).toBe(0);
  expect(second!.ratios).not.toEqual(ones);
  expect(second!.divergence).toBeGreaterThan(0);
});

test("every ratio is exactly 1 again at the start of each later round", () => {
  const policy = freshPolicy();
  for (const steps of [[1, 2], [3, 4], [5, 6]]) expect(round(policy, steps)[0]!.ratios).toEqual(ones);
});

test("a policy resumed from a checkpoint has ratios of exactly 1 and goes on to the bit", async () => {
  const policy = freshPolicy();
  round(policy, [1, 2]);
  const folder = await mkdtemp(join(tmpdir(), "policy-"));
  await saveCheckpoint(folder, { config: {}, parameters: policy.readParameters(), tokenizerJson: "", optimizer: policy.readOptimizer(), trainerState: {}, metrics: [] });
  const { parameters, optimizer } = await loadCheckpoint(async (path) => join(folder, path), true);
  await rm(folder, { recursive: true });
  const resumed = await createPolicy();
  resumed.writeParameters(parameters);
  resumed.writeOptimizer(optimizer!);
  expect(resumed.logProbs(batchAt(3))).toEqual(policy.logProbs(batchAt(3)));
  const updates = round(resumed, [3, 4]);
  expect(updates[0]!.ratios).toEqual(ones);
  expect(updates).toEqual(round(policy, [3, 4]));
  expect(resumed.readParameters()).toEqual(policy.readParameters());
  expect(resumed.readOptimizer()).toEqual(policy.readOptimizer());
});

test("a model that knows nothing gives every token log-probability -ln V", () => {
  const logProbs = freshPolicy(zeros).logProbs(batchAt(1));
  for (const value of logProbs) expect(value).toBeCloseTo(-Math.log(VOCABULARY), 5);
});

test("a log-probability is the mean of those on the full canvas and on the half that hides the token", async () => {
  const parameters = initialParameters(model, 2);
  const batch = batchAt(1);
  const logProbs = freshPolicy(parameters).logProbs(batch);
  const sampler = await createSampler(model, { ...SHAPE, batchSize: 3 * SHAPE.batchSize, dtype: "fp32" });
  sampler.setParameters(parameters);
  const logits = sampler.logitsOf(batch.tokens); // [3B, C, V]
  sampler.dispose();
  const logProbOn = (copy: number, sample: number, offset: number) => {
    const start = ((copy * SHAPE.batchSize + sample) * SHAPE.windowLength + offset) * VOCABULARY;
    const row = logits.subarray(start, start + VOCABULARY);
    const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
    return row[batch.targets[sample * SHAPE.windowLength + offset]!]! - Math.log(total);
  };
  rollouts.forEach(({ promptLength }, sample) => {
    for (let offset = promptLength - 3; offset < SHAPE.windowLength; offset++) {
      const isHidden = (copy: number) => batch.tokens[(copy * SHAPE.batchSize + sample) * SHAPE.canvasLength + offset + 3] === MASK;
      const expected = (logProbOn(0, sample, offset) + logProbOn(isHidden(1) ? 1 : 2, sample, offset)) / 2;
      expect(logProbs[sample * SHAPE.windowLength + offset]).toBeCloseTo(expected, 4);
    }
  });
});

test("an update makes completions of positive advantage likelier, and those of negative advantage less likely", () => {
  const policy = freshPolicy();
  const batch = batchAt(1);
  const before = policy.logProbs(batch);
  for (let step = 1; step <= 3; step++) round(policy, [step]);
  const after = policy.logProbs(batch);
  ADVANTAGES.forEach((advantage, sample) => {
    let change = 0;
    for (let i = sample * SHAPE.windowLength; i < (sample + 1) * SHAPE.windowLength; i++) change += batch.live[i]! * (after[i]! - before[i]!);
    expect(change * advantage).toBeGreaterThan(0.05);
  });
});

test("tokens behind the end of an answer teach nothing", () => {
  const changedAfterEnd = rollouts.map((rollout, sample) => ({ ...rollout, liveLength: sample === 0 ? 7 : 1 }));
  const batch = layOutPolicyBatch({ rollouts: changedAfterEnd, windowLength: SHAPE.windowLength, maskId: MASK, estimator: recipeSchema.parse({ rounds: 1 }).logProbs, seed: 1, step: 1 });
  const updateWith = (dead: number) => {
    const policy = freshPolicy();
    const old = policy.logProbs(batch);
    const weighted = advantages.map((advantage, i) => (batch.live[i] === 1 ? advantage : dead));
    return policy.update(batch, { advantages: weighted, oldLogProbs: old, referenceLogProbs: old }, { learningRate: 0.01, step: 1 });
  };
  expect(updateWith(50)).toEqual(updateWith(0));
});

test("the reference's log-probabilities are those under its weights, and the policy's own weights come back", () => {
  const other = initialParameters(model, 3);
  const batches = [batchAt(1), batchAt(2)];
  const expected = batches.map((batch) => freshPolicy(other).logProbs(batch));
  const policy = freshPolicy();
  const own = policy.readParameters();
  const found = policy.referenceLogProbs(batches, other);
  found.forEach((logProbs, i) => logProbs.forEach((logProb, token) => expect(logProb).toBeCloseTo(expected[i]![token]!, 5)));
  expect(found).toHaveLength(2);
  expect(policy.logProbs(batchAt(1))).not.toEqual(found[0]);
  expect(policy.readParameters()).toEqual(own);
  expect(() => policy.referenceLogProbs([{ ...batchAt(1), tokens: new Int32Array(1) }], other)).toThrow();
  expect(policy.readParameters()).toEqual(own);
});

test("log-probabilities for a later update are the same but for the last bits", () => {
  const policy = freshPolicy();
  const exact = policy.logProbs(batchAt(1));
  policy.laterLogProbs(batchAt(1)).forEach((logProb, i) => expect(logProb).toBeCloseTo(exact[i]!, 5));
});

test("reading log-probabilities leaves weights and moments alone", () => {
  const policy = freshPolicy();
  const [parameters, optimizer] = [policy.readParameters(), policy.readOptimizer()];
  policy.logProbs(batchAt(1));
  expect(policy.readParameters()).toEqual(parameters);
  expect(policy.readOptimizer()).toEqual(optimizer);
});

test("clip and klWeight of the recipe reach the loss", async () => {
  const batch = batchAt(1);
  const updateWith = async (changes: Changes) => {
    const policy = await createPolicy(changes);
    const current = policy.logProbs(batch);
    const shifted = (by: number) => current.map((value) => value - by);
    const terms = { advantages: new Float32Array(COUNT), oldLogProbs: shifted(Math.log(1.25)), referenceLogProbs: shifted(Math.LN2) };
    return policy.update(batch, terms, { learningRate: 0.01, step: 1 });
  };
  expect((await updateWith({ objective: { clip: 0.3 } })).clippedShare).toBe(0);
  const { loss, divergence, clippedShare } = await updateWith({ objective: { clip: 0.2 }, klWeight: 0.5 });
  expect(clippedShare).toBe(1);
  // The reference is half as likely everywhere: k3 = 1/2 + ln 2 - 1.
  expect(divergence).toBeCloseTo(Math.LN2 - 0.5, 5);
  expect(loss).toBeCloseTo(0.5 * (Math.LN2 - 0.5), 5);
});

/** Largest absolute value over all parameters of two sets' difference. */
function distance(a: ReadonlyMap<string, NamedTensor>, b: ReadonlyMap<string, NamedTensor>): number {
  return Math.max(...[...a].flatMap(([name, { data }]) => [...data].map((value, i) => Math.abs(value - b.get(name)!.data[i]!))));
}

const normOf = (tensors: ReadonlyMap<string, NamedTensor>) => Math.sqrt([...tensors.values()].reduce((sum, { data }) => sum + data.reduce((a, b) => a + b * b, 0), 0));

test("beta1, beta2 and clipNorm of the recipe reach the optimizer", async () => {
  const policy = await createPolicy({ optimizer: { beta1: 0.75, beta2: 0.5, clipNorm: 0.01 } });
  const [{ gradientNorm } = { gradientNorm: 0 }] = round(policy, [1]);
  expect(gradientNorm).toBeGreaterThan(0.1); // reported as it was before clipping
  const { first, second } = policy.readOptimizer();
  // After one step from zero: first = (1 - beta1) g, second = (1 - beta2) g^2, with g clipped to norm 0.01.
  expect(normOf(first) / 0.25).toBeCloseTo(0.01, 5);
  const [name, { data }] = [...first].find(([key]) => key.endsWith("q_proj.weight"))!;
  data.forEach((value, i) => expect(second.get(name)!.data[i]).toBeCloseTo(0.5 * (value / 0.25) ** 2, 9));
});

test("epsilon, learning rate and weight decay of the recipe reach the optimizer", async () => {
  const start = initialParameters(model, 2);
  const movedBy = (policy: Policy, learningRate: number) => {
    round(policy, [1], learningRate);
    return policy.readParameters();
  };
  // Adam's first step moves every weight that has a gradient by the learning rate.
  expect(distance(movedBy(freshPolicy(), 0.01), start)).toBeCloseTo(0.01, 3);
  expect(distance(movedBy(freshPolicy(), 0.02), start)).toBeCloseTo(0.02, 3);
  // An epsilon that dwarfs the gradient leaves the decay alone, and that only matrices have.
  const decayed = movedBy(await createPolicy({ optimizer: { epsilon: 1e6, weightDecay: 0.5 } }), 0.1);
  for (const [name, { shape, data }] of start) {
    const share = shape.length > 1 ? 1 - 0.1 * 0.5 : 1;
    data.forEach((value, i) => expect(decayed.get(name)!.data[i]).toBeCloseTo(share * value, 5));
  }
});

test.each(PRESET_NAMES)("%s: before any update every ratio is exactly 1 and nothing diverges, and an update moves the policy", async (preset) => {
  const policy = await createPolicy({ preset });
  const { logProbs: estimator } = recipeSchema.parse({ rounds: 1, preset });
  const batchOf = (step: number) => layOutPolicyBatch({ rollouts, windowLength: SHAPE.windowLength, maskId: MASK, estimator, seed: 1, step });
  const batch = batchOf(1);
  const old = policy.logProbs(batch);
  const update = () => policy.update(batch, { advantages, oldLogProbs: old, referenceLogProbs: old }, { learningRate: 0.01, step: 1 });
  const { ratios, divergence, clippedShare, gradientNorm } = update();
  expect(new Set(ratios)).toEqual(new Set([1]));
  expect([divergence, clippedShare]).toEqual([0, 0]);
  expect(gradientNorm).toBeGreaterThan(0);
  expect(new Set(update().ratios)).not.toEqual(new Set([1]));
});

test("an estimate is the sum of what its reads give, each with its weight", async () => {
  const policy = await createPolicy({ logProbs: { masks: "independent" } });
  const batch = layOutPolicyBatch({ rollouts, windowLength: SHAPE.windowLength, maskId: MASK, estimator: recipeSchema.parse({ rounds: 1, logProbs: { masks: "independent" } }).logProbs, seed: 1, step: 1 });
  const only = (read: number) => policy.logProbs({ ...batch, weights: batch.weights.map((_, i) => Number(Math.floor(i / COUNT) === read)) });
  const reads = [0, 1, 2].map(only);
  policy.logProbs(batch).forEach((logProb, i) => {
    const expected = reads.reduce((sum, values, read) => sum + batch.weights[read * COUNT + i]! * values[i]!, 0);
    expect(logProb).toBeCloseTo(expected, 5);
  });
});

test("no tensor is left behind", () => {
  const policy = freshPolicy();
  const before = tf.memory().numTensors;
  round(policy, [1, 2]);
  policy.referenceLogProbs([batchAt(1)], policy.readParameters());
  expect(tf.memory().numTensors).toBe(before);
});
