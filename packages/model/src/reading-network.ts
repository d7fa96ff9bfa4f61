// Axes: B batch, T canvas, N positions of a part, R rows wanted, V vocabulary.
import { hasNativeKernels, runNativeKernel, tidied } from "@diffucoder/engine";
import type { NamedTensor } from "@diffucoder/formats";
import * as tf from "@tensorflow/tfjs-core";
import { canvasPart, forwardKeeping, forwardPart, headOf, partRows, type KeyValues } from "./cached-forward.ts";
import { headDimOf, type ModelConfig } from "./config.ts";
import { forward } from "./forward.ts";
import { parameterShapes } from "./parameters.ts";
import { rotaryTables } from "./rotary.ts";

/** Of each canvas, the positions that a part has: from the first on, up to the second. Empty where a canvas is not there. */
export type Spans = tf.Tensor2D; // [B, 2], int32

/** What later evaluations of parts of the same canvases stand on; it stays where it was computed. */
export type Cache = Readonly<Record<string, tf.Tensor>>;

/** What sampling graphs are made of. Rows are flat, b * T + t. */
export interface ReadingNetwork {
  readonly variables: Readonly<Record<string, readonly number[]>>;
  /** Fills up lists of rows. */
  readonly noRow: number;
  /** The variables that a model's parameters become. */
  arrange(parameters: ReadonlyMap<string, NamedTensor>): ReadonlyMap<string, NamedTensor>;
  /**
   * @param tokens [B, T], int32
   * @param rows those whose logits are wanted, [R], int32
   * @returns [R, V]
   */
  logitsOf(tokens: tf.Tensor2D, rows: tf.Tensor1D, variables: Readonly<Record<string, tf.Tensor>>): tf.Tensor2D;
  /** The same, with what parts are evaluated on top of. */
  opening(tokens: tf.Tensor2D, rows: tf.Tensor1D, variables: Readonly<Record<string, tf.Tensor>>): { readonly logits: tf.Tensor2D; readonly cache: Cache };
  cacheShapes(batchSize: number, canvasLength: number): Readonly<Record<string, readonly number[]>>;
  /** Of the lengths that parts come in, those there are to be graphs for. A part runs in one at least as long. */
  graphLengths(partLengths: readonly number[]): readonly number[];
  /**
   * Logits of rows within the spans of canvases whose other positions are as the cache has them, [R, V]. The cache may be written to,
   * where the spans are: it serves any number of evaluations of the same ones.
   *
   * @param length of the graph; see `graphLengths`
   */
  logitsOfPart(tokens: tf.Tensor2D, rows: tf.Tensor1D, spans: Spans, cache: Cache, length: number, variables: Readonly<Record<string, tf.Tensor>>): tf.Tensor2D;
}

/** The network in one operation where this process has that; what a graph of single ones computes otherwise. */
export function readingNetwork(config: ModelConfig, dtype: "fp32" | "bf16"): ReadingNetwork {
  return hasNativeKernels() ? packedNetwork(config, dtype) : composedNetwork(config);
}

export function composedNetwork(config: ModelConfig): ReadingNetwork {
  return {
    variables: parameterShapes(config),
    noRow: 0,
    arrange: (parameters) => parameters,
    logitsOf: (tokens, rows, variables) => forward(config, variables, tokens, { rows }),
    opening: (tokens, rows, variables) => {
      const { hidden, keys, values } = forwardKeeping(config, variables, tokens);
      return { logits: headOf(config, variables, hidden, rows), cache: { keys, values } };
    },
    cacheShapes: (batchSize, canvasLength) => {
      const shape = [config.layers, batchSize, config.kvHeads, canvasLength, headDimOf(config)];
      return { keys: shape, values: shape };
    },
    graphLengths: (partLengths) => partLengths,
    logitsOfPart: (tokens, rows, spans, cache, length, variables) => {
      const part = canvasPart(tokens, spans, length);
      const hidden = forwardPart(config, variables, { ...part, cache: cache as unknown as KeyValues });
      return headOf(config, variables, hidden, partRows(rows, part.starts, tokens.shape[1], length));
    },
  };
}

/**
 * The variables are the parameters under their own names, matrices laid out for the operation's products once, when they are set; with bf16,
 * rounded. `lm_head.weight` is always there.
 */
function packedNetwork(config: ModelConfig, dtype: "fp32" | "bf16"): ReadingNetwork {
  const rounded = dtype === "bf16" ? 1 : 0;
  const shapes = parameterShapes({ ...config, tied: false });
  const variableOf = (name: string, parameter: NamedTensor) => (parameter.shape.length === 1 || name === EMBEDDING ? parameter : packed(parameter, rounded));
  const variableShapes = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, variableOf(name, zerosOf(shape)).shape]));
  /** @param operands the rows, and of a part its spans and cache */
  const run = (operation: string, outputs: number, tokens: tf.Tensor2D, [rows, ...rest]: readonly tf.Tensor[], variables: Readonly<Record<string, tf.Tensor>>) => {
    const { cos, sin } = rotaryTables(tokens.shape[1], headDimOf(config), config.ropeTheta);
    const weights = Object.keys(shapes).map((name) => variables[name]!);
    const { heads, kvHeads: kv_heads, intermediateSize: inner, layers, normEpsilon: epsilon } = config;
    const attributes = { integers: { N: weights.length, heads, kv_heads, inner, layers, rounded }, reals: { epsilon } };
    return runNativeKernel(operation, [tokens, rows!, cos, sin, ...rest, ...weights], outputs, attributes);
  };
  return {
    variables: variableShapes,
    noRow: -1,
    arrange: (parameters) => new Map(Object.keys(shapes).map((name) => [name, variableOf(name, parameters.get(config.tied && name === HEAD ? EMBEDDING : name)!)])),
    logitsOf: (tokens, rows, variables) => run("DiffucoderNetwork", 1, tokens, [rows], variables)[0] as tf.Tensor2D, // [R, V]
    opening: (tokens, rows, variables) => {
      const [logits, cache] = run("DiffucoderNetworkOpening", 2, tokens, [rows], variables);
      return { logits: logits as tf.Tensor2D, cache: { cache: cache! } };
    },
    cacheShapes: (batchSize, canvasLength) =>
      tf.tidy(() => {
        const zeros = Object.fromEntries(Object.entries(variableShapes).map(([name, shape]) => [name, tf.zeros([...shape])]));
        const [, cache] = run("DiffucoderNetworkOpening", 2, tf.zeros([batchSize, canvasLength], "int32"), [tf.zeros([0], "int32")], zeros);
        return { cache: cache!.shape };
      }),
    graphLengths: (partLengths) => partLengths.slice(0, 1),
    logitsOfPart: (tokens, rows, spans, { cache }, _length, variables) => run("DiffucoderNetworkPart", 1, tokens, [rows, spans, cache!], variables)[0] as tf.Tensor2D, // [R, V]
  };
}

const EMBEDDING = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";

/** A matrix as the operation multiplies by it; the kernels know the layout. */
function packed({ shape, data }: NamedTensor, rounded: 0 | 1): NamedTensor {
  return tidied(() => {
    const [result] = runNativeKernel("DiffucoderPack", [tf.tensor(data, [...shape])], 1, { integers: { rounded } });
    return { shape: result!.shape, data: result!.dataSync() as Float32Array };
  });
}

const zerosOf = (shape: readonly number[]): NamedTensor => ({ shape, data: new Float32Array(shape.reduce((product, size) => product * size, 1)) });
