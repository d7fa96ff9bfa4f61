// Axes: B batch, T canvas, W window, V vocabulary.
import { createProgram, loadBackend, type Feed, type GraphSpec, type Program } from "@diffucoder/engine";
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
  /** Reads only the positions that are asked for; `decode` does with `logitsOf` where there is none. */
  readPositions?(tokens: Int32Array, positions: Int32Array, request: ReadingRequest): PositionReading;
}

/** What is asked of a reading; no doubt where none can stand for the confidence. */
export interface ReadingRequest {
  readonly doubt: DoubtName | undefined;
  /** What logits are divided by. */
  readonly temperature: number;
}

export interface PositionReading {
  readonly logits: Float32Array; // [rows, V]
  /** One for each row of logits; see `confidenceBounds`. */
  readonly doubts: Float32Array | undefined; // [rows]
}

export interface ModelSampler extends Sampler {
  setParameters(parameters: ReadonlyMap<string, NamedTensor>): void;
  dispose(): void;
}

/** What the model says of a batch of canvases. */
export interface Reading extends PositionReading {
  /** Row that describes a position. */
  rowOf(canvas: number, position: number): number;
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
  openBlocks(tokens: Int32Array, blocks: readonly BlockRange[], request: ReadingRequest): Reading;
  /** Evaluates the blocks that were opened, on top of what was kept. */
  readBlocks(tokens: Int32Array, request: ReadingRequest): Reading;
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
  const { canvasLength, windowLength } = sampler;
  if (sampler.readPositions === undefined) {
    const windowStart = canvasLength - windowLength;
    return { logits: sampler.logitsOf(tokens), doubts: undefined, rowOf: (canvas, position) => canvas * windowLength + position - windowStart };
  }
  const rows = new Map(Array.from(positions, (position, row) => [position, row]));
  return { ...sampler.readPositions(tokens, positions, request), rowOf: (canvas, position) => rows.get(canvas * canvasLength + position)! };
}

/** Outputs of a sampling graph: logits, and doubts that only cost where they are fetched. */
export function readingOutputs(logits: tf.Tensor2D, temperature: tf.Tensor): Record<string, tf.Tensor> {
  return { logits, ...confidenceDoubts(logits, temperature as tf.Scalar) };
}

/** @returns logits and, where one was asked for, the doubt */
export function runReading(program: Program, graph: string, feeds: Record<string, Feed>, { doubt, temperature }: ReadingRequest) {
  const outputs = program.run(graph, { ...feeds, temperature: Float32Array.of(temperature) }, doubt === undefined ? ["logits"] : ["logits", doubt]);
  return { logits: outputs.logits as Float32Array, doubts: doubt === undefined ? undefined : (outputs[doubt] as Float32Array) };
}

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
  const read = (tokens: Int32Array, positions: Int32Array, request: ReadingRequest) => {
    const capacity = capacities.findLast((count) => count >= positions.length)!;
    const rows = new Int32Array(capacity).fill(network.noRow);
    positions.forEach((position, i) => (rows[i] = predictingRow(0, position, canvasLength)));
    return runReading(program, graphOf(capacity), { tokens, rows }, request);
  };
  return {
    batchSize,
    canvasLength,
    windowLength,
    vocabSize: config.vocabSize,
    logitsOf: (tokens) => read(tokens, all, { doubt: undefined, temperature: 1 }).logits,
    readPositions: read,
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
