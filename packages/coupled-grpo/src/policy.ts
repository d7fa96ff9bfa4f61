// Axes: B completions, C completion window, N = B * C, T canvas, V vocabulary, P passes, R reads.
import { createProgram, type Program } from "@diffucoder/engine";
import type { NamedTensor } from "@diffucoder/formats";
import { decays, forward, joinedParameters, parameterShapes, tokenCrossEntropy, type ModelConfig } from "@diffucoder/model";
import * as tf from "@tensorflow/tfjs-core";
import type { Recipe } from "./config.ts";
import { estimateShape } from "./estimate.ts";
import type { PolicyBatch } from "./policy-batch.ts";
import { policyLoss } from "./policy-loss.ts";

export interface PolicyShape {
  readonly batchSize: number;
  readonly windowLength: number;
  readonly canvasLength: number;
}

/** What one optimizer step reports. */
export interface PolicyUpdate {
  readonly loss: number;
  readonly gradientNorm: number;
  readonly divergence: number;
  readonly clippedShare: number;
  readonly ratios: Float32Array; // [N], or [B] where completions have one
}

/**
 * The model as a policy: log-probabilities of sampled tokens, and clipped updates on them.
 *
 * Log-probabilities before an update come from the graph that computes the update (the runtime may fuse a
 * forward-only graph differently), so that every ratio is exactly 1 until the weights move.
 */
export class Policy {
  readonly #program: Program;
  readonly #count: number;

  private constructor(program: Program, shape: PolicyShape) {
    this.#program = program;
    this.#count = shape.batchSize * shape.windowLength;
  }

  static async create(model: ModelConfig, shape: PolicyShape, recipe: Recipe): Promise<Policy> {
    const { batchSize, windowLength, canvasLength } = shape;
    const count = batchSize * windowLength;
    const { passes, reads } = estimateShape(recipe.logProbs);
    const perToken = { dtype: "float32", shape: [count] } as const;
    const program = await createProgram({
      variables: parameterShapes(model),
      joins: joinedParameters(model),
      dtype: "fp32",
      optimizer: {
        beta1: recipe.optimizer.beta1,
        beta2: recipe.optimizer.beta2,
        epsilon: recipe.optimizer.epsilon,
        weightDecay: recipe.optimizer.weightDecay,
        decays: decays(model),
        clipNorm: recipe.optimizer.clipNorm,
      },
      graphs: {
        update: {
          train: true,
          inputs: {
            tokens: { dtype: "int32", shape: [passes * batchSize, canvasLength] },
            rows: { dtype: "int32", shape: [reads * count] },
            weights: { dtype: "float32", shape: [reads * count] },
            targets: { dtype: "int32", shape: [count] },
            live: perToken,
            advantages: perToken,
            oldLogProbs: perToken,
            referenceLogProbs: perToken,
          },
          build: (inputs, variables) => {
            const logProbs = sampledLogProbs(model, inputs, variables, reads); // [N]
            const { loss, divergence, clippedShare, ratios } = policyLoss(
              {
                logProbs,
                oldLogProbs: inputs.oldLogProbs as tf.Tensor1D,
                referenceLogProbs: inputs.referenceLogProbs as tf.Tensor1D,
                advantages: inputs.advantages as tf.Tensor1D,
                live: inputs.live as tf.Tensor1D,
              },
              { objective: recipe.objective, klWeight: recipe.klWeight, batchSize },
            );
            return { loss, logProbs, divergence, clippedShare, ratios };
          },
        },
      },
    });
    return new Policy(program, shape);
  }

  /** Log-probability of each sampled token under the current weights, in nats, to the bit as an update that comes next would have it. */
  logProbs(batch: PolicyBatch): Float32Array {
    return this.#logProbs(batch, true);
  }

  /** The same for a later update, which finds other weights, so that the last bits may differ: no gradient is computed. */
  laterLogProbs(batch: PolicyBatch): Float32Array {
    return this.#logProbs(batch, false);
  }

  /** The same under the reference's weights. */
  referenceLogProbs(batches: readonly PolicyBatch[], reference: ReadonlyMap<string, NamedTensor>): Float32Array[] {
    const own = this.readParameters();
    this.writeParameters(reference);
    try {
      return batches.map((batch) => this.#logProbs(batch, false));
    } finally {
      this.writeParameters(own);
    }
  }

  #logProbs(batch: PolicyBatch, likeTraining: boolean): Float32Array {
    const zeros = new Float32Array(this.#count);
    const feeds = { ...feedsOf(batch), advantages: zeros, oldLogProbs: zeros, referenceLogProbs: zeros };
    return this.#program.run("update", feeds, ["logProbs"], { likeTraining }).logProbs as Float32Array;
  }

  /** One optimizer step; `step` counts from 1 over the whole stage. */
  update(
    batch: PolicyBatch,
    terms: { advantages: Float32Array; oldLogProbs: Float32Array; referenceLogProbs: Float32Array },
    at: { learningRate: number; step: number },
  ): PolicyUpdate {
    const { loss, gradientNorm, outputs } = this.#program.trainStep("update", { ...feedsOf(batch), ...terms }, at);
    return {
      loss,
      gradientNorm,
      divergence: outputs.divergence![0]!,
      clippedShare: outputs.clippedShare![0]!,
      ratios: outputs.ratios as Float32Array,
    };
  }

  readParameters(): Map<string, NamedTensor> {
    return this.#program.readVariables();
  }

  writeParameters(parameters: ReadonlyMap<string, NamedTensor>): void {
    this.#program.writeVariables(parameters);
  }

  readOptimizer(): ReturnType<Program["readOptimizer"]> {
    return this.#program.readOptimizer();
  }

  writeOptimizer(state: Parameters<Program["writeOptimizer"]>[0]): void {
    this.#program.writeOptimizer(state);
  }

  dispose(): void {
    this.#program.dispose();
  }
}

function feedsOf({ tokens, rows, weights, targets, live }: PolicyBatch) {
  return { tokens, rows, weights, targets, live };
}

/** Of each sampled token, the weighted sum of its log-probabilities in the passes that it is read from. */
function sampledLogProbs(model: ModelConfig, inputs: Record<string, tf.Tensor>, variables: Record<string, tf.Tensor>, reads: number): tf.Tensor1D {
  const logits = forward(model, variables, inputs.tokens as tf.Tensor2D, { rows: inputs.rows as tf.Tensor1D }); // [RN, V]
  const targets = tf.tile<tf.Tensor1D>(inputs.targets as tf.Tensor1D, [reads]); // [RN]
  const losses = tf.mul(tokenCrossEntropy(logits as tf.Tensor2D, targets), inputs.weights!); // [RN]
  return tf.neg(tf.sum(tf.reshape(losses, [reads, -1]), 0)); // [N]
}
