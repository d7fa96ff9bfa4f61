// Axes: B batch, T canvas, R rows wanted, V vocabulary.
import { hasNativeKernels, runNativeKernel } from "@diffucoder/engine";
import type { NamedTensor } from "@diffucoder/formats";
import * as tf from "@tensorflow/tfjs-core";
import { headDimOf, type ModelConfig } from "./config.ts";
import { forward } from "./forward.ts";
import { parameterShapes } from "./parameters.ts";
import { rotaryTables } from "./rotary.ts";

/** What a sampling graph is made of. */
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
  return {
    variables: Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, variableOf(name, zerosOf(shape)).shape])),
    noRow: -1,
    arrange: (parameters) => new Map(Object.keys(shapes).map((name) => [name, variableOf(name, parameters.get(config.tied && name === HEAD ? EMBEDDING : name)!)])),
    logitsOf: (tokens, rows, variables) => {
      const { cos, sin } = rotaryTables(tokens.shape[1], headDimOf(config), config.ropeTheta);
      const weights = Object.keys(shapes).map((name) => variables[name]!);
      const { heads, kvHeads: kv_heads, intermediateSize: inner, layers, normEpsilon: epsilon } = config;
      const attributes = { integers: { N: weights.length, heads, kv_heads, inner, layers, rounded }, reals: { epsilon } };
      return runNativeKernel("DiffucoderNetwork", [tokens, rows, cos, sin, ...weights], 1, attributes)[0] as tf.Tensor2D; // [R, V]
    },
  };
}

const EMBEDDING = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";

/** A matrix as the operation multiplies by it; the kernels know the layout. */
function packed({ shape, data }: NamedTensor, rounded: 0 | 1): NamedTensor {
  return tf.tidy(() => {
    const [result] = runNativeKernel("DiffucoderPack", [tf.tensor(data, [...shape])], 1, { integers: { rounded } });
    return { shape: result!.shape, data: result!.dataSync() as Float32Array };
  });
}

const zerosOf = (shape: readonly number[]): NamedTensor => ({ shape, data: new Float32Array(shape.reduce((product, size) => product * size, 1)) });
