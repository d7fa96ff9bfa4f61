// Axes: B batch, T canvas, W window, V vocabulary.
import { createProgram, loadBackend, type Feed, type GraphSpec, type KeptTensor, type Program } from "@diffucoder/engine";
import type { NamedTensor } from "@diffucoder/formats";
import type * as tf from "@tensorflow/tfjs-core";
import { confidenceDoubts, type DoubtName } from "./confidence-doubt.ts";
import type { ModelConfig } from "./config.ts";
import { ModelError } from "./errors.ts";
import { predictingRow } from "./forward.ts";
import { checkParameters } from "./parameters.ts";
import { readingNetwork, type ReadingNetwork } from "./reading-network.ts";

/** The model as `decode` sees it: canvases in, logits of the last positions out. */
export interface Sampler {
  readonly batchSize: number;
  readonly canvasLength: number;
  /** Logits are computed for the last so many positions of the canvas. */
  readonly windowLength: number;
  readonly vocabSize: number;
  /** @param tokens [B * T] @returns [B, W, V], row w describing the token at position T - W + w */
  logitsOf(tokens: Int32Array): Float32Array;
  /** Reads only the positions that are asked for, canvas * T + position; `decode` does with `logitsOf` where there is none. */
  readPositions?(tokens: Int32Array, positions: Int32Array, request: ReadingRequest): Reading;
}

/** What is asked of a reading. Without a doubt to go by, the logits of all positions come to the host. */
export interface ReadingRequest {
  /** What logits are divided by. */
  readonly temperature: number;
  readonly doubt?: {
    readonly name: DoubtName;
    /** Indices of the positions whose logits are wanted. @param doubts one for each position that is read; see `confidenceBounds` */
    inQuestion(doubts: Float32Array): readonly number[];
  };
}

/** Logits, [V], by position: canvas * T + position. */
export type Reading = ReadonlyMap<number, Float32Array>;

export interface ModelSampler extends Sampler {
  setParameters(parameters: ReadonlyMap<string, NamedTensor>): void;
  dispose(): void;
}

/** The model as `decode` sees it when only a block of each canvas is evaluated in most steps. */
export interface BlockSampler {
  readonly batchSize: number;
  readonly canvasLength: number;
  /** Most positions that an answer and what stands behind it have. */
  readonly windowLength: number;
  readonly vocabSize: number;
  readonly blockLength: number;
  /** Evaluates whole canvases, and keeps keys and values until the next call. */
  openBlocks(tokens: Int32Array, blocks: readonly BlockRange[], positions: Int32Array, request: ReadingRequest): Reading;
  /** Evaluates the blocks that were opened, on top of what was kept. */
  readBlocks(tokens: Int32Array, positions: Int32Array, request: ReadingRequest): Reading;
}

/** Positions of a block, half-open; at most `blockLength`. */
export interface BlockRange {
  readonly start: number;
  readonly end: number;
}

export const isBlockSampler = (sampler: object): sampler is BlockSampler => "openBlocks" in sampler;

/**
 * Evaluates the model over whole canvases.
 *
 * @param positions those to be read, canvas * T + position
 */
export function readCanvases(sampler: Sampler, tokens: Int32Array, positions: Int32Array, request: ReadingRequest): Reading {
  if (sampler.readPositions !== undefined) return sampler.readPositions(tokens, positions, request);
  const { canvasLength, windowLength, vocabSize } = sampler;
  const windowRowOf = (position: number) => Math.floor(position / canvasLength) * windowLength + (position % canvasLength) - (canvasLength - windowLength);
  return readingOf(sampler.logitsOf(tokens), vocabSize, positions, (index) => windowRowOf(positions[index]!));
}

function readingOf(logits: Float32Array, vocabSize: number, positions: ArrayLike<number>, rowOf: (index: number) => number): Reading {
  return new Map(Array.from(positions, (position, index) => [position, logits.subarray(rowOf(index) * vocabSize, (rowOf(index) + 1) * vocabSize)]));
}

/** Outputs of a sampling graph: logits, and doubts that only cost where they are fetched. */
export function readingOutputs(logits: tf.Tensor2D, temperature: tf.Tensor): Record<string, tf.Tensor> {
  return { logits, ...confidenceDoubts(logits, temperature as tf.Scalar) };
}

/** Runs a sampling graph whose first rows of logits are of `positions`; with `keep`, other outputs of it stay where they are. */
export function runReading(
  program: Program,
  { graph, feeds, keep = [] }: { readonly graph: string; readonly feeds: Readonly<Record<string, Feed | KeptTensor>>; readonly keep?: readonly string[] },
  positions: Int32Array,
  { doubt, temperature }: ReadingRequest,
): { readonly reading: Reading; readonly kept: Record<string, KeptTensor> } {
  const asked = doubt === undefined ? { fetch: ["logits"], keep } : { fetch: [doubt.name], keep: ["logits", ...keep] };
  const { fetched, kept } = program.runKeeping(graph, { ...feeds, temperature: Float32Array.of(temperature) }, asked);
  if (doubt === undefined) {
    const logits = fetched.logits as Float32Array;
    return { reading: readingOf(logits, logits.length / rowsOf(feeds), positions, (index) => index), kept };
  }
  const { logits, ...others } = kept;
  try {
    const indices = doubt.inQuestion((fetched[doubt.name] as Float32Array).subarray(0, positions.length));
    const values = logits!.rows(Int32Array.from(indices)) as Float32Array;
    return { reading: readingOf(values, logits!.shape[1]!, indices.map((index) => positions[index]!), (index) => index), kept: others };
  } finally {
    logits!.dispose();
  }
}

const rowsOf = ({ rows }: Readonly<Record<string, Feed | KeptTensor>>): number => (rows as Int32Array).length;

export interface SamplerShape {
  readonly batchSize: number;
  readonly canvasLength: number;
  readonly windowLength: number;
  readonly dtype: "fp32" | "bf16";
}

/** @throws ModelError `WrongShape` when the window is not within the canvas, behind its first position */
export function checkWindow({ canvasLength, windowLength }: SamplerShape): void {
  if (windowLength < 1 || windowLength >= canvasLength) {
    throw new ModelError("WrongShape", `window: expected 1 to ${canvasLength - 1} positions on a canvas of ${canvasLength}, found ${windowLength}`);
  }
}

/** @throws ModelError `WrongShape` when the window is not within the canvas, behind its first position */
export async function createSampler(config: ModelConfig, shape: SamplerShape): Promise<ModelSampler> {
  checkWindow(shape);
  const { batchSize, canvasLength, windowLength, dtype } = shape;
  await loadBackend();
  const network = readingNetwork(config, dtype);
  const all = windowPositions(shape);
  const capacities = [...new Set([1, 0.75, 0.5, 0.25].map((share) => Math.ceil(share * all.length)))];
  const program: Program = await createProgram({
    variables: network.variables,
    dtype,
    graphs: Object.fromEntries(capacities.map((capacity) => [graphOf(capacity), readingGraph(network, shape, capacity)])),
  });
  const feedsOf = (tokens: Int32Array, positions: Int32Array) => {
    const capacity = capacities.findLast((count) => count >= positions.length)!;
    const rows = new Int32Array(capacity).fill(network.noRow);
    positions.forEach((position, i) => (rows[i] = predictingRow(0, position, canvasLength)));
    return { graph: graphOf(capacity), feeds: { tokens, rows } };
  };
  return {
    batchSize,
    canvasLength,
    windowLength,
    vocabSize: config.vocabSize,
    logitsOf: (tokens) => {
      const { graph, feeds } = feedsOf(tokens, all);
      return program.run(graph, { ...feeds, temperature: Float32Array.of(1) }, ["logits"]).logits as Float32Array;
    },
    readPositions: (tokens, positions, request) => runReading(program, feedsOf(tokens, positions), positions, request).reading,
    setParameters: (parameters) => {
      checkParameters(config, parameters);
      program.writeVariables(network.arrange(parameters));
    },
    dispose: () => program.dispose(),
  };
}

const graphOf = (capacity: number): string => `rows-${capacity}`;

/** Positions of each canvas' window, canvas * T + position. */
function windowPositions({ batchSize, canvasLength, windowLength }: SamplerShape): Int32Array {
  return Int32Array.from({ length: batchSize * windowLength }, (_, i) => Math.floor(i / windowLength) * canvasLength + canvasLength - windowLength + (i % windowLength));
}

/** Evaluates whole canvases; only `capacity` rows of them reach the head. */
function readingGraph(network: ReadingNetwork, { batchSize, canvasLength }: SamplerShape, capacity: number): GraphSpec {
  return {
    inputs: {
      tokens: { dtype: "int32", shape: [batchSize, canvasLength] },
      rows: { dtype: "int32", shape: [capacity] },
      temperature: { dtype: "float32", shape: [] },
    },
    build: ({ tokens, rows, temperature }, variables) => readingOutputs(network.logitsOf(tokens as tf.Tensor2D, rows as tf.Tensor1D, variables), temperature!),
  };
}
