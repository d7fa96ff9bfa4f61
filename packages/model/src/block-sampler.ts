// Axes: B batch, T canvas, K block, V vocabulary.
import { createProgram, loadBackend, type GraphSpec, type KeptTensor, type Program } from "@diffucoder/engine";
import type * as tf from "@tensorflow/tfjs-core";
import type { ModelConfig } from "./config.ts";
import { ModelError } from "./errors.ts";
import { predictingRow } from "./forward.ts";
import { checkParameters } from "./parameters.ts";
import { readingNetwork, type Cache, type ReadingNetwork } from "./reading-network.ts";
import { checkWindow, readingOutputs, runReading, type BlockRange, type BlockSampler, type ModelSampler, type Reading, type ReadingRequest, type SamplerShape } from "./sampler.ts";

/**
 * What the cache of a block holds. `prefix`: everything before the block, so that block and suffix are evaluated in
 * each step. `dual`: everything around the block, so that the block alone is.
 */
export type CacheKind = "prefix" | "dual";

export type ModelBlockSampler = BlockSampler & Pick<ModelSampler, "setParameters" | "dispose">;

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
  await loadBackend();
  const network = readingNetwork(config, shape.dtype);
  const cacheShapes = network.cacheShapes(shape.batchSize, shape.canvasLength);
  // With a prefix cache the part shrinks from block to block.
  const lengths = network.graphLengths(cache === "dual" ? [blockLength + 1] : partLengths(windowLength, blockLength));
  const program = await createProgram({
    variables: network.variables,
    dtype: shape.dtype,
    graphs: { open: openingGraph(network, shape), ...Object.fromEntries(lengths.map((length) => [`part-${length}`, partGraph(network, cacheShapes, shape, length)])) },
  });
  return new NativeBlockSampler(config, shape, { network, program, lengths, cached: Object.keys(cacheShapes) });
}

/** Lengths from the longest part down, a block shorter each time. */
function partLengths(windowLength: number, blockLength: number): number[] {
  const lengths: number[] = [];
  for (let length = windowLength + 1; length > 1; length -= blockLength) lengths.push(length);
  return lengths;
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
  readonly #network: ReadingNetwork;
  readonly #program: Program;
  /** Lengths of parts there are graphs for, falling. */
  readonly #lengths: readonly number[];
  /** Outputs of the opening graph that parts stand on. */
  readonly #cached: readonly string[];
  #opened: { readonly spans: Int32Array; readonly graph: string; readonly cache: Readonly<Record<string, KeptTensor>> } | undefined;

  constructor(config: ModelConfig, shape: BlockShape, { network, program, lengths, cached }: { readonly network: ReadingNetwork; readonly program: Program; readonly lengths: readonly number[]; readonly cached: readonly string[] }) {
    this.batchSize = shape.batchSize;
    this.canvasLength = shape.canvasLength;
    this.windowLength = shape.windowLength;
    this.blockLength = shape.blockLength;
    this.vocabSize = config.vocabSize;
    this.#config = config;
    this.#cache = shape.cache;
    this.#network = network;
    this.#program = program;
    this.#lengths = lengths;
    this.#cached = cached;
  }

  openBlocks(tokens: Int32Array, blocks: readonly BlockRange[], positions: Int32Array, request: ReadingRequest): Reading {
    this.#close();
    const { reading, kept } = runReading(this.#program, { graph: "open", feeds: { tokens, rows: this.#rowsOf(positions) }, keep: this.#cached }, positions, request);
    const spans = new Int32Array(2 * this.batchSize);
    blocks.forEach(({ start, end }, canvas) => spans.set([start - 1, this.#cache === "dual" ? end : this.canvasLength], 2 * canvas));
    const longest = Math.max(...blocks.map((_, canvas) => spans[2 * canvas + 1]! - spans[2 * canvas]!));
    this.#opened = { spans, graph: `part-${this.#lengths.findLast((length, index) => length >= longest || index === 0)}`, cache: kept };
    return reading;
  }

  readBlocks(tokens: Int32Array, positions: Int32Array, request: ReadingRequest): Reading {
    const { spans, graph, cache } = this.#opened!;
    return runReading(this.#program, { graph, feeds: { tokens, rows: this.#rowsOf(positions), spans, ...cache } }, positions, request).reading;
  }

  setParameters(parameters: Parameters<ModelBlockSampler["setParameters"]>[0]): void {
    checkParameters(this.#config, parameters);
    this.#program.writeVariables(this.#network.arrange(parameters));
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

  #rowsOf(positions: Int32Array): Int32Array {
    const rows = new Int32Array(this.batchSize * this.blockLength).fill(this.#network.noRow);
    positions.forEach((position, i) => (rows[i] = predictingRow(0, position, this.canvasLength)));
    return rows;
  }
}

const feedShapes = ({ batchSize, canvasLength, blockLength }: BlockShape): GraphSpec["inputs"] => ({
  tokens: { dtype: "int32", shape: [batchSize, canvasLength] },
  rows: { dtype: "int32", shape: [batchSize * blockLength] },
  temperature: { dtype: "float32", shape: [] },
});

/** Evaluates everything; gives the logits of the blocks, and what parts stand on. */
function openingGraph(network: ReadingNetwork, shape: BlockShape): GraphSpec {
  return {
    inputs: feedShapes(shape),
    build: ({ tokens, rows, temperature }, variables) => {
      const { logits, cache } = network.opening(tokens as tf.Tensor2D, rows as tf.Tensor1D, variables);
      return { ...readingOutputs(logits, temperature!), ...cache };
    },
  };
}

/** Evaluates parts of up to `length` positions, each from the row that predicts its block's first on, on top of a cache. */
function partGraph(network: ReadingNetwork, cacheShapes: Readonly<Record<string, readonly number[]>>, shape: BlockShape, length: number): GraphSpec {
  return {
    inputs: {
      ...feedShapes(shape),
      spans: { dtype: "int32", shape: [shape.batchSize, 2] },
      ...Object.fromEntries(Object.entries(cacheShapes).map(([name, cacheShape]) => [name, { dtype: "float32", shape: cacheShape }])),
    },
    build: ({ tokens, rows, spans, temperature, ...cache }, variables) =>
      readingOutputs(network.logitsOfPart(tokens as tf.Tensor2D, rows as tf.Tensor1D, spans as tf.Tensor2D, cache as Cache, length, variables), temperature!),
  };
}
