// Axes: B batch, T canvas, W window, V vocabulary.
import { createProgram, type Feed, type Program } from "@diffucoder/engine";
import type { NamedTensor } from "@diffucoder/formats";
import * as tf from "@tensorflow/tfjs-core";
import { confidenceDoubts, type DoubtName } from "./confidence-doubt.ts";
import type { ModelConfig } from "./config.ts";
import { ModelError } from "./errors.ts";
import { forward, predictingRow } from "./forward.ts";
import { checkParameters, parameterShapes } from "./parameters.ts";

/** The model as `decode` sees it: canvases in, logits of the last positions out. */
export interface Sampler {
  readonly batchSize: number;
  readonly canvasLength: number;
  /** Logits are computed for the last so many positions of the canvas. */
  readonly windowLength: number;
  readonly vocabSize: number;
  /** @param tokens [B * T] @returns [B, W, V], row w describing the token at position T - W + w */
  logitsOf(tokens: Int32Array): Float32Array;
  /** `logitsOf` with a doubt of each row's confidence; `decode` does without where there is none. */
  doubtedLogitsOf?(tokens: Int32Array, request: DoubtRequest): DoubtedLogits;
}

export interface DoubtRequest {
  readonly doubt: DoubtName;
  /** What logits are divided by. */
  readonly temperature: number;
}

export interface DoubtedLogits {
  readonly logits: Float32Array;
  /** One for each row of logits; see `confidenceBounds`. */
  readonly doubts: Float32Array;
}

export interface ModelSampler extends Sampler {
  setParameters(parameters: ReadonlyMap<string, NamedTensor>): void;
  dispose(): void;
}

/** What the model says of a batch of canvases. */
export interface Reading {
  readonly logits: Float32Array; // [rows, V]
  readonly doubts: Float32Array | undefined; // [rows]
  /** Row that describes a position. */
  rowOf(canvas: number, position: number): number;
}

/** What is asked of a reading; no doubt where none can stand for the confidence. */
export interface ReadingRequest {
  readonly doubt: DoubtName | undefined;
  readonly temperature: number;
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

/** Evaluates the model over whole canvases. */
export function readWindow(sampler: Sampler, tokens: Int32Array, { doubt, temperature }: ReadingRequest): Reading {
  const windowStart = sampler.canvasLength - sampler.windowLength;
  const rowOf = (canvas: number, position: number) => canvas * sampler.windowLength + position - windowStart;
  const doubted = doubt === undefined ? undefined : sampler.doubtedLogitsOf?.(tokens, { doubt, temperature });
  return { logits: doubted?.logits ?? sampler.logitsOf(tokens), doubts: doubted?.doubts, rowOf };
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
  const program: Program = await createProgram({
    variables: parameterShapes(config),
    dtype,
    graphs: {
      window: {
        inputs: { tokens: { dtype: "int32", shape: [batchSize, canvasLength] }, temperature: { dtype: "float32", shape: [] } },
        build: ({ tokens, temperature }, variables) => {
          const rows = Int32Array.from({ length: batchSize * windowLength }, (_, i) =>
            predictingRow(Math.floor(i / windowLength), canvasLength - windowLength + (i % windowLength), canvasLength),
          );
          return readingOutputs(forward(config, variables, tokens as tf.Tensor2D, { rows: tf.tensor1d(rows, "int32") }), temperature!);
        },
      },
    },
  });
  const read = (tokens: Int32Array, request: ReadingRequest) => runReading(program, "window", { tokens }, request);
  return {
    batchSize,
    canvasLength,
    windowLength,
    vocabSize: config.vocabSize,
    logitsOf: (tokens) => read(tokens, { doubt: undefined, temperature: 1 }).logits,
    doubtedLogitsOf: (tokens, request) => read(tokens, request) as DoubtedLogits,
    setParameters: (parameters) => {
      checkParameters(config, parameters);
      program.writeVariables(parameters);
    },
    dispose: () => program.dispose(),
  };
}
