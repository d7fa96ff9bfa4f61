// Axes: B completions, C completion window, T canvas.
import type { NamedTensor } from "@diffucoder/formats";
import type { ModelConfig } from "@diffucoder/model";
import { perToken } from "./advantages.ts";
import { recipeSchema, type Estimator } from "./config.ts";
import { estimateShape } from "./estimate.ts";
import { layOutPolicyBatch } from "./policy-batch.ts";
import { Policy } from "./policy.ts";
import type { Rollout } from "./rollout.ts";

/** How well an estimator does on some completions. */
export interface EstimatorQuality {
  readonly name: string;
  /** Forward passes over a completion. */
  readonly passes: number;
  /** Of a completion's log-probability, in nats: mean distance from the reference. What leaves tokens out counts as if they were as likely as the others. */
  readonly bias: number;
  /** Of the same: standard deviation over draws of the masks. */
  readonly deviation: number;
  /** Mean cosine between the policy gradient of one draw and the reference's. */
  readonly cosine: number;
}

export interface EstimatorComparison {
  readonly qualities: readonly EstimatorQuality[];
  /** Cosine between the gradients of the reference's halves: what noise leaves for a perfect estimator to reach. */
  readonly referenceAgreement: number;
}

/**
 * Compares estimators of log-probabilities with the likelihood bound that they approximate: its mean over many complementary pairs, whose
 * noise levels lie in as many strata of (0, 1).
 *
 * @param advantages one of each completion, [B]
 * @source DiffuCoder, arXiv:2506.20639v2, section 4.2: complementary masks as a variance reduction
 */
export async function compareEstimators(options: {
  readonly model: ModelConfig;
  readonly parameters: ReadonlyMap<string, NamedTensor>;
  readonly rollouts: readonly Rollout[];
  readonly advantages: readonly number[];
  readonly windowLength: number;
  readonly estimators: Readonly<Record<string, Estimator>>;
  readonly draws: number;
  readonly referencePairs: number;
  readonly seed: number;
}): Promise<EstimatorComparison> {
  const { estimators, draws, referencePairs } = options;
  const bound = (pair: number): Estimator => ({
    masks: "coupled",
    weights: "inverse-level",
    fullPass: false,
    noiseRange: [Math.max(pair / referencePairs, 1e-3), Math.min((pair + 1) / referencePairs, 1 - 1e-3)],
    levelPer: "completion",
    drawnPer: "update",
  });
  const reference = await measure(options, Array.from({ length: referencePairs }, (_, pair) => bound(pair)));
  const likelihoods = meanOf(reference.map(({ estimates }) => estimates)); // [B]
  const [even, odd] = [0, 1].map((half) => meanOf(reference.flatMap((draw, pair) => (pair % 2 === half ? [draw.gradient] : []))));
  const gradient = meanOf([even!, odd!]);
  const qualities: EstimatorQuality[] = [];
  for (const [name, estimator] of Object.entries(estimators)) {
    const drawn = await measure(options, Array.from({ length: draws }, () => estimator));
    const means = meanOf(drawn.map(({ estimates }) => estimates)); // [B]
    const squares = drawn.flatMap(({ estimates }) => Array.from(estimates, (estimate, i) => (estimate - means[i]!) ** 2));
    qualities.push({
      name,
      passes: estimateShape(estimator).passes,
      bias: mean(Array.from(means, (estimate, i) => estimate - likelihoods[i]!)),
      deviation: Math.sqrt((mean(squares) * draws) / Math.max(1, draws - 1)),
      cosine: mean(drawn.map((draw) => cosine(draw.gradient, gradient))),
    });
  }
  return { qualities, referenceAgreement: cosine(even!, odd!) };
}

/** What one draw of the masks gives. */
interface Draw {
  /** Of each completion, in nats. */
  readonly estimates: Float32Array; // [B]
  /** Of the policy's loss where no ratio has moved, all parameters in a row. */
  readonly gradient: Float32Array;
}

/** One draw under each estimator; all have the same number of passes. */
async function measure({ model, parameters, rollouts, advantages, windowLength, seed }: Parameters<typeof compareEstimators>[0], estimators: readonly Estimator[]): Promise<Draw[]> {
  const canvasLength = rollouts[0]!.tokens.length;
  // With these an update moves nothing, and leaves the gradient as the first moment.
  const optimizer = { beta1: 0, weightDecay: 0, clipNorm: 1e30 };
  const recipe = recipeSchema.parse({ rounds: 1, klWeight: 0, optimizer });
  const policy = await Policy.create(model, { batchSize: rollouts.length, canvasLength, windowLength }, { ...recipe, logProbs: estimators[0]! });
  try {
    policy.writeParameters(parameters);
    const ofTokens = perToken(advantages, windowLength);
    return estimators.map((estimator, i) => {
      const batch = layOutPolicyBatch({ rollouts, windowLength, maskId: model.maskId, estimator, seed, step: i + 1 });
      const logProbs = policy.laterLogProbs(batch);
      policy.update(batch, { advantages: ofTokens, oldLogProbs: logProbs, referenceLogProbs: logProbs }, { learningRate: 0, step: 1 });
      const estimates = Float32Array.from(rollouts, ({ liveLength }, sample) => {
        const own = Array.from({ length: windowLength }, (_, offset) => sample * windowLength + offset).filter((index) => batch.live[index] === 1);
        return (liveLength / Math.max(1, own.length)) * own.reduce((sum, index) => sum + logProbs[index]!, 0);
      });
      return { estimates, gradient: joined([...policy.readOptimizer().first.values()].map(({ data }) => data)) };
    });
  } finally {
    policy.dispose();
  }
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function meanOf(vectors: readonly Float32Array[]): Float32Array {
  const sums = new Float64Array(vectors[0]!.length);
  for (const vector of vectors) for (let i = 0; i < sums.length; i++) sums[i]! += vector[i]!;
  return Float32Array.from(sums, (sum) => sum / vectors.length);
}

function joined(vectors: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(vectors.reduce((length, vector) => length + vector.length, 0));
  let end = 0;
  for (const vector of vectors) all.set(vector, (end += vector.length) - vector.length);
  return all;
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, ofA, ofB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    ofA += a[i]! ** 2;
    ofB += b[i]! ** 2;
  }
  return dot / Math.sqrt(ofA * ofB);
}
