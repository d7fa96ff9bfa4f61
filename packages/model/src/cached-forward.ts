// Axes: B batch, T canvas, N positions evaluated, L layers, H hidden, Q query heads, G key-value heads, S query heads per
// key-value head, D head width, R rows wanted, V vocabulary.
import * as tf from "@tensorflow/tfjs-core";
import { headDimOf, type ModelConfig } from "./config.ts";
import { rmsNorm } from "./rms-norm.ts";
import { rotaryTables, rotate, type RotaryTables } from "./rotary.ts";
import { swiGlu } from "./swiglu.ts";

/** Keys (turned to their positions) and values of every position of a canvas. */
export interface KeyValues {
  readonly keys: tf.Tensor5D; // [L, B, G, T, D]
  readonly values: tf.Tensor5D; // [L, B, G, T, D]
}

/** A part of each canvas, to be evaluated on top of keys and values from before. */
export interface CanvasPart {
  readonly tokens: tf.Tensor2D; // [B, N], int32
  /** Where on the canvas each token stands. */
  readonly positions: tf.Tensor2D; // [B, N], int32
  readonly cache: KeyValues;
  /** Added to the attention scores: 0 for a key that counts, a large negative number for one that does not; cached keys first. */
  readonly keyBias: tf.Tensor2D; // [B, T + N]
}

/**
 * `forward` on whole canvases, up to the head.
 *
 * @param tokens [B, T], int32
 * @returns hidden states, [B * T, H], and the keys and values that led to them
 */
export function forwardKeeping(config: ModelConfig, parameters: Readonly<Record<string, tf.Tensor>>, tokens: tf.Tensor2D): KeyValues & { readonly hidden: tf.Tensor2D } {
  const tables = rotaryTables(tokens.shape[1], headDimOf(config), config.ropeTheta);
  const kept: { keys: tf.Tensor4D; values: tf.Tensor4D }[] = [];
  const hidden = layersOf(config, parameters, tokens, (queries, keys, values) => {
    kept.push({ keys: rotate(keys, tables), values });
    return attend(rotate(queries, tables), kept.at(-1)!);
  });
  const stacked = (name: "keys" | "values") => tf.stack(kept.map((layer) => layer[name])) as tf.Tensor5D;
  return { hidden, keys: stacked("keys"), values: stacked("values") };
}

/**
 * `forward` on a part of each canvas, up to the head: what the part attends to besides itself is taken from a cache.
 *
 * @returns hidden states, [B * N, H]
 * @source Wu et al., "Fast-dLLM", arXiv:2505.22618, section 3.2
 */
export function forwardPart(config: ModelConfig, parameters: Readonly<Record<string, tf.Tensor>>, { tokens, positions, cache, keyBias }: CanvasPart): tf.Tensor2D {
  const [batch, count] = tokens.shape;
  const tables = tablesAt(positions, rotaryTables(cache.keys.shape[3], headDimOf(config), config.ropeTheta));
  const bias = tf.reshape(keyBias, [batch, 1, 1, cache.keys.shape[3] + count]); // [B, 1, 1, T + N]
  const [cachedKeys, cachedValues] = [tf.unstack(cache.keys), tf.unstack(cache.values)] as [tf.Tensor4D[], tf.Tensor4D[]]; // [B, G, T, D] each
  return layersOf(config, parameters, tokens, (queries, keys, values, layer) =>
    attend(rotate(queries, tables), {
      keys: tf.concat([cachedKeys[layer]!, rotate(keys, tables)], 2), // [B, G, T + N, D]
      values: tf.concat([cachedValues[layer]!, values], 2), // [B, G, T + N, D]
      bias,
    }),
  );
}

/** A key that is there for its shape only. */
const ABSENT = -1e9;

/**
 * The part of each canvas that its span has, filled up to `count` positions, which repeat position 0 and as keys do not count.
 *
 * @param tokens [B, T], int32
 * @param spans first position and one past the last, [B, 2], int32
 */
export function canvasPart(tokens: tf.Tensor2D, spans: tf.Tensor2D, count: number): Omit<CanvasPart, "cache"> & { readonly starts: tf.Tensor2D } {
  const [batch, length] = tokens.shape;
  const [starts, ends] = tf.split(spans, 2, 1) as [tf.Tensor2D, tf.Tensor2D]; // [B, 1] each
  const within = (positions: tf.Tensor) => tf.cast(tf.logicalAnd(tf.greaterEqual(positions, starts), tf.less(positions, ends)), "int32"); // [B, positions]
  const places = tf.add(starts, tf.range(0, count, 1, "int32")); // [B, N]
  const isThere = within(places); // [B, N]
  const positions = tf.mul(places, isThere) as tf.Tensor2D; // [B, N]
  const first = tf.reshape(tf.range(0, batch * length, length, "int32"), [batch, 1]); // [B, 1]
  const partTokens = tf.reshape(tf.gather(tf.reshape(tokens, [batch * length]), tf.reshape(tf.add(positions, first), [batch * count])), [batch, count]) as tf.Tensor2D; // [B, N]
  // Keys of the part are newer than those of the cache.
  const isAbsent = tf.concat([within(tf.tile(tf.reshape(tf.range(0, length, 1, "int32"), [1, length]), [batch, 1])), tf.sub(tf.scalar(1, "int32"), isThere)], 1); // [B, T + N]
  return { tokens: partTokens, positions, keyBias: tf.mul(tf.cast(isAbsent, "float32"), ABSENT) as tf.Tensor2D, starts };
}

/** Rows of whole canvases, b * T + t, as rows of a part, b * N + n; those that are in none become some row of it. */
export function partRows(rows: tf.Tensor1D, starts: tf.Tensor2D, length: number, count: number): tf.Tensor1D {
  const canvases = tf.floorDiv(rows, tf.scalar(length, "int32")) as tf.Tensor1D; // [R]
  const shifts = tf.add(tf.mul(canvases, tf.scalar(count - length, "int32")), tf.neg(tf.gather(tf.reshape(starts, [starts.shape[0]]), canvases))); // [R]
  return tf.maximum(tf.add(rows, shifts), tf.scalar(0, "int32")); // [R]
}

/** Logits of some rows of hidden states, [R, V]. */
export function headOf(config: ModelConfig, parameters: Readonly<Record<string, tf.Tensor>>, hidden: tf.Tensor2D, rows: tf.Tensor1D): tf.Tensor2D {
  const normed = rmsNorm(tf.gather(hidden, rows), parameters["model.norm.weight"] as tf.Tensor1D, config.normEpsilon); // [R, H]
  return linear(normed, parameters[config.tied ? "model.embed_tokens.weight" : "lm_head.weight"] as tf.Tensor2D); // [R, V]
}

/** How queries, keys and values of a layer, before rotation, become mixed values: [B, Q, N, D], then twice [B, G, N, D], to [B * N, Q * D]. */
type Attention = (queries: tf.Tensor4D, keys: tf.Tensor4D, values: tf.Tensor4D, layer: number) => tf.Tensor2D;

function layersOf(config: ModelConfig, parameters: Readonly<Record<string, tf.Tensor>>, tokens: tf.Tensor2D, attention: Attention): tf.Tensor2D {
  const [batch, count] = tokens.shape;
  const { heads, kvHeads, normEpsilon } = config;
  const headCounts = [heads, kvHeads, kvHeads];
  let hidden = tf.gather(parameters["model.embed_tokens.weight"] as tf.Tensor2D, tf.reshape(tokens, [batch * count])) as tf.Tensor2D; // [BN, H]
  for (let layer = 0; layer < config.layers; layer++) {
    const weight = <T extends tf.Tensor>(name: string) => parameters[`model.layers.${layer}.${name}`] as T;
    const joined = <T extends tf.Tensor>(names: readonly string[]) => tf.concat(names.map((name) => weight<T>(name)));

    const normed = rmsNorm(hidden, weight("input_layernorm.weight"), normEpsilon); // [BN, H]
    const projections = ["q_proj", "k_proj", "v_proj"].map((name) => `self_attn.${name}`);
    const projected = linear(normed, joined<tf.Tensor2D>(projections.map((name) => `${name}.weight`))); // [BN, (Q + 2G) D]
    const biased = tf.add(projected, joined<tf.Tensor1D>(projections.map((name) => `${name}.bias`))); // [BN, (Q + 2G) D]
    const parts = tf.split(biased, headCounts.map((n) => n * headDimOf(config)), -1); // [BN, n D] each
    const [queries, keys, values] = parts.map((part, i) => tf.transpose(tf.reshape(part, [batch, count, headCounts[i]!, headDimOf(config)]), [0, 2, 1, 3]) as tf.Tensor4D); // [B, n, N, D] each
    hidden = tf.add(hidden, linear(attention(queries!, keys!, values!, layer), weight("self_attn.o_proj.weight"))); // [BN, H]

    const expanded = rmsNorm(hidden, weight("post_attention_layernorm.weight"), normEpsilon); // [BN, H]
    const gateUp = linear(expanded, joined<tf.Tensor2D>(["mlp.gate_proj.weight", "mlp.up_proj.weight"])); // [BN, 2F]
    hidden = tf.add(hidden, linear(swiGlu(gateUp), weight("mlp.down_proj.weight"))); // [BN, H]
  }
  return hidden;
}

/** Grouped-query attention; the S query heads that share a key-value head are laid out as S * N rows of it. */
function attend(
  queries: tf.Tensor4D, // [B, Q, N, D]
  { keys, values, bias }: { readonly keys: tf.Tensor4D; readonly values: tf.Tensor4D; readonly bias?: tf.Tensor },
): tf.Tensor2D {
  const [batch, heads, count, width] = queries.shape;
  const groups = keys.shape[1];
  const rows = tf.reshape(tf.mul(queries, 1 / Math.sqrt(width)), [batch, groups, (heads / groups) * count, width]); // [B, G, SN, D]
  const scores = tf.matMul(rows, keys, false, true); // [B, G, SN, keys]
  const weights = tf.softmax(bias === undefined ? scores : tf.add(scores, bias)); // [B, G, SN, keys]
  const mixed = tf.reshape(tf.matMul(weights, values), [batch, heads, count, width]); // [B, Q, N, D]
  return tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch * count, heads * width]); // [BN, QD]
}

/** Rows of the tables for each canvas' own positions, [B, 1, N, D]. */
function tablesAt(positions: tf.Tensor2D, tables: RotaryTables): RotaryTables {
  const [batch, count] = positions.shape;
  const at = (table: tf.Tensor2D) => tf.reshape(tf.gather(table, tf.reshape(positions, [batch * count])), [batch, 1, count, -1]) as unknown as tf.Tensor2D;
  return { cos: at(tables.cos), sin: at(tables.sin) };
}

function linear(input: tf.Tensor2D, matrix: tf.Tensor2D): tf.Tensor2D {
  return tf.matMul(input, matrix, false, true);
}
