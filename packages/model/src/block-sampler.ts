// Axes: B batch, T canvas, N positions evaluated, K block, L layers, G key-value heads, D head width, V vocabulary.
import { createProgram, type GraphSpec, type KeptTensor, type Program } from "@diffucoder/engine";
import type * as tf from "@tensorflow/tfjs-core";
import { forwardKeeping, forwardPart, headOf, type KeyValues } from "./cached-forward.ts";
import { headDimOf, type ModelConfig } from "./config.ts";
import { ModelError } from "./errors.ts";
import { predictingRow } from "./forward.ts";
import { checkParameters, parameterShapes } from "./parameters.ts";
import { checkWindow, readingOutputs, runReading, type BlockRange, type BlockSampler, type ModelSampler, type Reading, type ReadingRequest, type SamplerShape } from "./sampler.ts";

/**
 * What the cache of a block holds. `prefix`: everything before the block, so that block and suffix are evaluated in
 * each step. `dual`: everything around the block, so that the block alone is.
 */
export type CacheKind = "prefix" | "dual";

export type ModelBlockSampler = BlockSampler & Pick<ModelSampler, "setParameters" | "dispose">;

/** A key that is there for its shape only. */
const ABSENT = -1e9;

/**
 * A sampler with a block cache.
 *
 * @source Wu et al., "Fast-dLLM", arXiv:2505.22618, section 3.2
 * @deviation the row before a block, which predicts its first token, is evaluated with it; Fast-dLLM fixes that token
 *   from the evaluation that fills the cache
 * @throws ModelError `WrongShape` when window or block do not fit
 */
export async function createBlockSampler(config: ModelConfig, shape: SamplerShape & { readonly blockLength: number; readonly cache: CacheKind }): Promise<ModelBlockSampler> {
  checkWindow(shape);
  const { windowLength, blockLength, cache } = shape;
  if (!Number.isSafeInteger(blockLength) || blockLength < 1 || blockLength > windowLength) {
    throw new ModelError("WrongShape", `block: expected 1 to ${windowLength} positions, found ${blockLength}`);
  }
  // With a prefix cache the part shrinks from block to block; there is a graph for each length.
  const counts = cache === "dual" ? [blockLength + 1] : partLengths(windowLength, blockLength);
  const program = await createProgram({
    variables: parameterShapes(config),
    dtype: shape.dtype,
    graphs: { open: openingGraph(config, shape), ...Object.fromEntries(counts.map((count) => [`part-${count}`, partGraph(config, shape, count)])) },
  });
  return new NativeBlockSampler(config, shape, program, counts);
}

/** Lengths from the longest part down, a block shorter each time. */
function partLengths(windowLength: number, blockLength: number): number[] {
  const counts: number[] = [];
  for (let count = windowLength + 1; count > 1; count -= blockLength) counts.push(count);
  return counts;
}

type BlockShape = SamplerShape & { readonly blockLength: number; readonly cache: CacheKind };

class NativeBlockSampler implements ModelBlockSampler {
  readonly batchSize: number;
  readonly canvasLength: number;
  readonly windowLength: number;
  readonly vocabSize: number;
  readonly blockLength: number;
  readonly #config: ModelConfig;
  readonly #cache: CacheKind;
  readonly #program: Program;
  /** Lengths of parts there are graphs for, falling. */
  readonly #counts: readonly number[];
  #opened: { readonly blocks: readonly BlockRange[]; readonly cache: Readonly<Record<string, KeptTensor>> } | undefined;

  constructor(config: ModelConfig, shape: BlockShape, program: Program, counts: readonly number[]) {
    this.batchSize = shape.batchSize;
    this.canvasLength = shape.canvasLength;
    this.windowLength = shape.windowLength;
    this.blockLength = shape.blockLength;
    this.vocabSize = config.vocabSize;
    this.#config = config;
    this.#cache = shape.cache;
    this.#program = program;
    this.#counts = counts;
  }

  openBlocks(tokens: Int32Array, blocks: readonly BlockRange[], positions: Int32Array, request: ReadingRequest): Reading {
    this.#close();
    const rows = this.#rowsOf(positions, (canvas, position) => predictingRow(canvas, position, this.canvasLength));
    const { reading, kept } = runReading(this.#program, { graph: "open", feeds: { tokens, rows }, keep: ["keys", "values"] }, positions, request);
    this.#opened = { blocks, cache: kept };
    return reading;
  }

  readBlocks(tokens: Int32Array, positions: Int32Array, request: ReadingRequest): Reading {
    const { blocks, cache } = this.#opened!;
    const parts = blocks.map(({ start, end }) => ({ start: start - 1, end: this.#cache === "dual" ? end : this.canvasLength }));
    const longest = Math.max(...parts.map(({ start, end }) => end - start));
    const count = this.#counts.findLast((length) => length >= longest)!;
    const rows = this.#rowsOf(positions, (canvas, position) => canvas * count + position - blocks[canvas]!.start);
    return runReading(this.#program, { graph: `part-${count}`, feeds: { ...this.#partFeeds(tokens, parts, count), rows, ...cache } }, positions, request).reading;
  }

  setParameters(parameters: Parameters<ModelBlockSampler["setParameters"]>[0]): void {
    checkParameters(this.#config, parameters);
    this.#program.writeVariables(parameters);
    this.#close();
  }

  dispose(): void {
    this.#close();
    this.#program.dispose();
  }

  #close(): void {
    for (const tensor of Object.values(this.#opened?.cache ?? {})) tensor.dispose();
    this.#opened = undefined;
  }

  #rowsOf(positions: Int32Array, rowOf: (canvas: number, position: number) => number): Int32Array {
    const rows = new Int32Array(this.batchSize * this.blockLength);
    positions.forEach((position, i) => (rows[i] = rowOf(Math.floor(position / this.canvasLength), position % this.canvasLength)));
    return rows;
  }

  /** Rows of shorter parts, and of canvases that are not there, repeat position 0; as keys they do not count. */
  #partFeeds(tokens: Int32Array, parts: readonly BlockRange[], count: number) {
    const { batchSize, canvasLength } = this;
    const partTokens = new Int32Array(batchSize * count);
    const positions = new Int32Array(batchSize * count);
    const keyBias = new Float32Array(batchSize * (canvasLength + count));
    parts.forEach(({ start, end }, canvas) => {
      const bias = keyBias.subarray(canvas * (canvasLength + count), (canvas + 1) * (canvasLength + count));
      bias.fill(ABSENT, start, end); // its own keys are newer
      bias.fill(ABSENT, canvasLength + end - start);
      for (let position = start; position < end; position++) {
        partTokens[canvas * count + position - start] = tokens[canvas * canvasLength + position]!;
        positions[canvas * count + position - start] = position;
      }
    });
    return { tokens: partTokens, positions, keyBias };
  }
}

const TEMPERATURE = { dtype: "float32", shape: [] } as const;

/** Evaluates everything; gives the logits of the blocks, and keys and values. */
function openingGraph(config: ModelConfig, { batchSize, canvasLength, blockLength }: BlockShape): GraphSpec {
  return {
    inputs: {
      tokens: { dtype: "int32", shape: [batchSize, canvasLength] },
      rows: { dtype: "int32", shape: [batchSize * blockLength] },
      temperature: TEMPERATURE,
    },
    build: ({ tokens, rows, temperature }, variables) => {
      const { hidden, keys, values } = forwardKeeping(config, variables, tokens as tf.Tensor2D);
      return { ...readingOutputs(headOf(config, variables, hidden, rows as tf.Tensor1D), temperature!), keys, values };
    },
  };
}

/** Evaluates parts of `count` positions, a block's predicting rows first, on top of a cache. */
function partGraph(config: ModelConfig, { batchSize, canvasLength, blockLength }: BlockShape, count: number): GraphSpec {
  const cacheShape = [config.layers, batchSize, config.kvHeads, canvasLength, headDimOf(config)];
  return {
    inputs: {
      tokens: { dtype: "int32", shape: [batchSize, count] },
      positions: { dtype: "int32", shape: [batchSize, count] },
      rows: { dtype: "int32", shape: [batchSize * blockLength] },
      keys: { dtype: "float32", shape: cacheShape },
      values: { dtype: "float32", shape: cacheShape },
      keyBias: { dtype: "float32", shape: [batchSize, canvasLength + count] },
      temperature: TEMPERATURE,
    },
    build: ({ tokens, positions, rows, keys, values, keyBias, temperature }, variables) => {
      const cache = { keys, values } as KeyValues;
      const hidden = forwardPart(config, variables, { tokens: tokens as tf.Tensor2D, positions: positions as tf.Tensor2D, cache, keyBias: keyBias as tf.Tensor2D });
      return readingOutputs(headOf(config, variables, hidden, rows as tf.Tensor1D), temperature!);
    },
  };
}
