// Axes: B batch, T tokens per canvas, H hidden, Q query heads, G key-value heads, S query heads per key-value head,
// D head width, R rows wanted, V vocabulary.
import * as tf from "@tensorflow/tfjs-core";
import { headDimOf, type ModelConfig } from "./config.ts";
import { ModelError } from "./errors.ts";

export interface ForwardOptions {
  /** Added to the attention scores: 0 where a query (row) may see a key (column), a large negative number elsewhere. */
  readonly attentionBias?: tf.Tensor2D; // [T, T]
  /** Flat rows b * T + t whose logits are wanted; all rows unless given. Only they reach the head. */
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
  const parameter = <T extends tf.Tensor>(name: string) => parameters[name] as T;
  const embedding = parameter<tf.Tensor2D>("model.embed_tokens.weight");
  const rotation = rotaryTables(length, headDimOf(config), config.ropeTheta);
  const bias = options.attentionBias === undefined ? undefined : foldedBias(options.attentionBias, config.heads / config.kvHeads);

  let hidden = tf.gather(embedding, tf.reshape(tokens, [batch * length])) as tf.Tensor2D; // [BT, H]
  for (let layer = 0; layer < config.layers; layer++) {
    const weight = <T extends tf.Tensor>(name: string) => parameter<T>(`model.layers.${layer}.${name}`);
    const attended = attention(config, weight, rmsNorm(hidden, weight("input_layernorm.weight"), config.normEpsilon), { batch, length, rotation, bias });
    hidden = tf.add(hidden, attended); // [BT, H]
    const expanded = feedForward(weight, rmsNorm(hidden, weight("post_attention_layernorm.weight"), config.normEpsilon));
    hidden = tf.add(hidden, expanded); // [BT, H]
  }
  if (options.rows !== undefined) hidden = tf.gather(hidden, options.rows); // [R, H]
  const normed = rmsNorm(hidden, parameter("model.norm.weight"), config.normEpsilon);
  return linear(normed, config.tied ? embedding : parameter("lm_head.weight")); // [R, V]
}

/** Flat hidden row whose logits describe the token at `position` of canvas `canvas`. Position 0 has none. */
export const predictingRow = (canvas: number, position: number, canvasLength: number): number => canvas * canvasLength + position - 1;

interface AttentionFrame {
  readonly batch: number;
  readonly length: number;
  readonly rotation: RotaryTables;
  readonly bias: tf.Tensor2D | undefined;
}

/**
 * Grouped-query attention. The S query heads that share a key-value head are laid out as S * T rows of it, so that
 * keys and values are never repeated.
 */
function attention(
  config: ModelConfig,
  weight: <T extends tf.Tensor>(name: string) => T,
  input: tf.Tensor2D,
  { batch, length, rotation, bias }: AttentionFrame,
): tf.Tensor2D {
  const { heads, kvHeads } = config;
  const width = headDimOf(config);
  const project = (name: string, count: number) => {
    const flat = tf.add(linear(input, weight(`self_attn.${name}.weight`)), weight(`self_attn.${name}.bias`)); // [BT, count D]
    return tf.transpose(tf.reshape(flat, [batch, length, count, width]), [0, 2, 1, 3]) as tf.Tensor4D; // [B, count, T, D]
  };
  const grouped = [batch, kvHeads, (heads / kvHeads) * length, width] as [number, number, number, number];
  const queries = tf.reshape(rotate(project("q_proj", heads), rotation), grouped); // [B, G, ST, D]
  const keys = rotate(project("k_proj", kvHeads), rotation); // [B, G, T, D]
  const values = project("v_proj", kvHeads); // [B, G, T, D]

  const scaled = tf.mul(queries, 1 / Math.sqrt(width)); // [B, G, ST, D]
  const scores = tf.matMul(scaled, keys, false, true); // [B, G, ST, T]
  const weights = tf.softmax(bias === undefined ? scores : tf.add(scores, bias)); // [B, G, ST, T]
  const mixed = tf.reshape(tf.matMul(weights, values), [batch, heads, length, width]); // [B, Q, T, D]
  const flat = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch * length, heads * width]) as tf.Tensor2D; // [BT, QD]
  return linear(flat, weight("self_attn.o_proj.weight")); // [BT, H]
}

function feedForward(weight: <T extends tf.Tensor>(name: string) => T, input: tf.Tensor2D): tf.Tensor2D {
  const gate = linear(input, weight("mlp.gate_proj.weight"));
  const up = linear(input, weight("mlp.up_proj.weight"));
  return linear(tf.mul(tf.mul(gate, tf.sigmoid(gate)), up), weight("mlp.down_proj.weight"));
}

function linear(input: tf.Tensor2D, matrix: tf.Tensor2D): tf.Tensor2D {
  return tf.matMul(input, matrix, false, true);
}

/** @source Zhang and Sennrich, "Root Mean Square Layer Normalization", arXiv:1910.07467, eq. 4 */
function rmsNorm(input: tf.Tensor2D, scale: tf.Tensor1D, epsilon: number): tf.Tensor2D {
  const meanSquare = tf.mean(tf.square(input), -1, true); // [rows, 1]
  return tf.mul(tf.mul(input, tf.rsqrt(tf.add(meanSquare, epsilon))), scale);
}

interface RotaryTables {
  readonly cos: tf.Tensor2D; // [T, D]
  readonly sin: tf.Tensor2D; // [T, D], first half negated
}

/**
 * Rotary position tables in the half-rotate layout: channel i turns with channel i + D/2.
 *
 * @source Su et al., "RoFormer", arXiv:2104.09864, eq. 34
 */
function rotaryTables(length: number, width: number, theta: number): RotaryTables {
  const half = width / 2;
  const angle = (position: number, channel: number) => position * theta ** (-(channel % half) / half);
  const table = (value: (position: number, channel: number) => number) =>
    tf.tensor2d(
      Float32Array.from({ length: length * width }, (_, i) => value(Math.floor(i / width), i % width)),
      [length, width],
    );
  return {
    cos: table((position, channel) => Math.cos(angle(position, channel))),
    sin: table((position, channel) => (channel < half ? -1 : 1) * Math.sin(angle(position, channel))),
  };
}

function rotate(input: tf.Tensor4D, { cos, sin }: RotaryTables): tf.Tensor4D {
  const [first, second] = tf.split(input, 2, -1);
  return tf.add(tf.mul(input, cos), tf.mul(tf.concat([second!, first!], -1), sin));
}

/** Repeats a [T, T] bias for each of the S query heads folded into rows. */
function foldedBias(bias: tf.Tensor2D, repeats: number): tf.Tensor2D {
  return tf.tile(bias, [repeats, 1]); // [ST, T]
}
