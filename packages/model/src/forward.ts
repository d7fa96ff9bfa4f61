// Axes: B batch, T tokens per canvas, H hidden, Q query heads, G key-value heads, D head width, F inner width, R rows wanted,
// V vocabulary.
import * as tf from "@tensorflow/tfjs-core";
import { attention } from "./attention.ts";
import { headDimOf, type ModelConfig } from "./config.ts";
import { ModelError } from "./errors.ts";
import { joinedParameters } from "./parameters.ts";
import { rmsNorm } from "./rms-norm.ts";
import { rotaryTables } from "./rotary.ts";
import { swiGlu } from "./swiglu.ts";

export interface ForwardOptions {
  /** Added to the attention scores: 0 where a query (row) may see a key (column), a large negative number elsewhere. */
  readonly attentionBias?: tf.Tensor2D; // [T, T]
  /** Flat rows b * T + t whose logits are wanted; all rows unless given. Past the last attention only they are computed. */
  readonly rows?: tf.Tensor1D; // [R]
}

/**
 * Logits of a bidirectional transformer in the Qwen2 layout: RMSNorm, rotary positions, grouped queries, SwiGLU.
 *
 * The row at position i predicts the token at position i + 1 (the AR head is kept: DiffuCoder, arXiv:2506.20639v2,
 * section 3; use `predictingRow`).
 *
 * @param tokens ids, [B, T], int32
 * @returns logits, [R, V] or [B * T, V]
 * @throws ModelError `WrongShape` when the attention bias is not [T, T]
 */
export function forward(
  config: ModelConfig,
  parameters: Readonly<Record<string, tf.Tensor>>,
  tokens: tf.Tensor2D,
  options: ForwardOptions = {},
): tf.Tensor2D {
  const [, length] = tokens.shape;
  const biasShape = options.attentionBias?.shape ?? [length, length];
  if (biasShape.join() !== `${length},${length}`) {
    throw new ModelError("WrongShape", `attention bias: expected [${length},${length}], found [${biasShape.join()}]`);
  }
  return tf.tidy(() => logitsOf(config, parameters, tokens, options));
}

function logitsOf(config: ModelConfig, parameters: Readonly<Record<string, tf.Tensor>>, tokens: tf.Tensor2D, options: ForwardOptions): tf.Tensor2D {
  const [batch, length] = tokens.shape;
  const { heads, kvHeads, normEpsilon } = config;
  const parameter = <T extends tf.Tensor>(name: string) => parameters[name] as T;
  const embedding = parameter<tf.Tensor2D>("model.embed_tokens.weight");
  const rotation = rotaryTables(length, headDimOf(config), config.ropeTheta);
  const joins = joinedParameters(config);

  let hidden = tf.gather(embedding, tf.reshape(tokens, [batch * length])) as tf.Tensor2D; // [BT, H]
  for (let layer = 0; layer < config.layers; layer++) {
    const nameOf = (name: string) => `model.layers.${layer}.${name}`;
    const weight = <T extends tf.Tensor>(name: string) => parameter<T>(nameOf(name));
    /** Several projections of one input as one matrix product, where the program has not joined them. */
    const joined = <T extends tf.Tensor>(name: string) => (parameters[nameOf(name)] ?? tf.concat(joins[nameOf(name)]!.map((each) => parameter<T>(each)))) as T;

    const normed = rmsNorm(hidden, weight("input_layernorm.weight"), normEpsilon); // [BT, H]
    const projected = linear(normed, joined<tf.Tensor2D>("self_attn.qkv_proj.weight")); // [BT, (Q + 2G) D]
    const bias = joined<tf.Tensor1D>("self_attn.qkv_proj.bias"); // [(Q + 2G) D]
    let mixed = attention(projected, bias, rotation, options.attentionBias, { heads, kvHeads, length }); // [BT, QD]
    if (options.rows !== undefined && layer === config.layers - 1) {
      // After the last attention no row needs another one.
      [hidden, mixed] = [tf.gather(hidden, options.rows), tf.gather(mixed, options.rows)]; // [R, H], [R, QD]
    }
    hidden = tf.add(hidden, linear(mixed, weight("self_attn.o_proj.weight"))); // [BT, H]

    const expanded = rmsNorm(hidden, weight("post_attention_layernorm.weight"), normEpsilon); // [BT, H]
    const gateUp = linear(expanded, joined<tf.Tensor2D>("mlp.gate_up_proj.weight")); // [BT, 2F]
    hidden = tf.add(hidden, linear(swiGlu(gateUp), weight("mlp.down_proj.weight"))); // [BT, H]
  }
  return linear(rmsNorm(hidden, parameter("model.norm.weight"), normEpsilon), config.tied ? embedding : parameter("lm_head.weight")); // [R, V]
}

/** Flat hidden row whose logits describe the token at `position` of canvas `canvas`. Position 0 has none. */
export const predictingRow = (canvas: number, position: number, canvasLength: number): number => canvas * canvasLength + position - 1;

function linear(input: tf.Tensor2D, matrix: tf.Tensor2D): tf.Tensor2D {
  return tf.matMul(input, matrix, false, true);
}
