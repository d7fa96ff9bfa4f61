// Axes: B batch, T tokens per canvas, R masked rows (padded), V vocabulary.
import type { GraphSpec, InputSpec } from "@diffucoder/engine";
import * as tf from "@tensorflow/tfjs-core";
import type { ModelConfig } from "./config.ts";
import { tokenCrossEntropy } from "./cross-entropy.ts";
import { ModelError } from "./errors.ts";
import { forward, predictingRow } from "./forward.ts";
import { inverseLevelWeights, type LossWeights } from "./loss-weights.ts";
import type { NoisedCanvas } from "./noise.ts";

export interface DiffusionBatchShape {
  readonly batchSize: number;
  readonly canvasLength: number;
  /** Masked rows the graph has room for. */
  readonly rowCapacity: number;
  /** Whether the graph takes an attention bias. */
  readonly annealed: boolean;
}

/**
 * Masked-diffusion training loss, in nats per maskable token.
 *
 * Cross-entropy counts only at hidden positions and is weighted by 1/noiseLevel (or by other `LossWeights`): the linear
 * schedule hides a token with exactly that probability, so that the mean over maskable tokens is an unbiased bound. Outputs:
 * `loss` (sum of weighted losses / maskable tokens), `lossPerMasked` (the same sum / hidden tokens, DiffuLLaMA's
 * normaliser) and `crossEntropy` (unweighted mean over hidden tokens; ln V for uniform logits).
 *
 * @source DiffuCoder, arXiv:2506.20639v2, eq. 11
 */
export function diffusionLossGraph(config: ModelConfig, shape: DiffusionBatchShape): GraphSpec {
  const { batchSize, canvasLength, rowCapacity, annealed } = shape;
  const rows = (dtype: InputSpec["dtype"]): InputSpec => ({ dtype, shape: [rowCapacity] });
  return {
    inputs: {
      tokens: { dtype: "int32", shape: [batchSize, canvasLength] },
      rows: rows("int32"),
      targets: rows("int32"),
      weights: rows("float32"),
      isPresent: rows("float32"),
      maskableCount: { dtype: "float32", shape: [] },
      ...(annealed ? { attentionBias: { dtype: "float32", shape: [canvasLength, canvasLength] } as const } : {}),
    },
    build: (inputs, variables) => {
      const { tokens, rows: wanted, targets, weights, isPresent, maskableCount, attentionBias } = inputs as Record<string, tf.Tensor>;
      const logits = forward(config, variables, tokens as tf.Tensor2D, {
        rows: wanted as tf.Tensor1D,
        ...(attentionBias === undefined ? {} : { attentionBias: attentionBias as tf.Tensor2D }),
      }); // [R, V]
      const losses = tokenCrossEntropy(logits, targets as tf.Tensor1D); // [R]
      const weighted = tf.sum(tf.mul(losses, weights!)); // []
      const hiddenCount = tf.maximum(tf.sum(isPresent!), 1); // []
      return {
        loss: tf.div(weighted, maskableCount!),
        lossPerMasked: tf.div(weighted, hiddenCount),
        crossEntropy: tf.div(tf.sum(tf.mul(losses, isPresent!)), hiddenCount),
      };
    },
  };
}

export interface DiffusionFeeds {
  readonly tokens: Int32Array;
  readonly rows: Int32Array;
  readonly targets: Int32Array;
  readonly weights: Float32Array;
  readonly isPresent: Float32Array;
  readonly maskableCount: Float32Array;
}

/**
 * Lays out noised canvases for the loss graph; unused rows keep weight 0.
 *
 * @throws ModelError `WrongShape` when the rows do not hold all hidden tokens
 */
export function diffusionFeeds(options: {
  readonly canvases: readonly NoisedCanvas[];
  readonly originals: readonly ArrayLike<number>[];
  readonly maskableCount: number;
  readonly rowCapacity: number;
  /** 1/t unless given. */
  readonly weightsOf?: LossWeights | undefined;
}): DiffusionFeeds {
  const { canvases, originals, maskableCount, rowCapacity, weightsOf = inverseLevelWeights } = options;
  const canvasLength = canvases[0]!.tokens.length;
  const hiddenCount = canvases.reduce((sum, { masked }) => sum + masked.length, 0);
  if (hiddenCount > rowCapacity) throw new ModelError("WrongShape", `masked rows: expected at most ${rowCapacity}, found ${hiddenCount}`);
  const feeds = {
    tokens: new Int32Array(canvases.length * canvasLength),
    rows: new Int32Array(rowCapacity),
    targets: new Int32Array(rowCapacity),
    weights: new Float32Array(rowCapacity),
    isPresent: new Float32Array(rowCapacity),
    maskableCount: Float32Array.of(Math.max(1, maskableCount)),
  };
  let row = 0;
  canvases.forEach((noised, canvas) => {
    feeds.tokens.set(noised.tokens, canvas * canvasLength);
    const weights = weightsOf(noised);
    noised.masked.forEach((position, i) => {
      feeds.rows[row] = predictingRow(canvas, position, canvasLength);
      feeds.targets[row] = originals[canvas]![position]!;
      feeds.weights[row] = weights[i]!;
      feeds.isPresent[row] = 1;
      row++;
    });
  });
  return feeds;
}
