// Axes: B batch, T canvas, W window, V vocabulary.
import { createProgram, type Program } from "@diffucoder/engine";
import type { NamedTensor } from "@diffucoder/formats";
import * as tf from "@tensorflow/tfjs-core";
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
}

export interface ModelSampler extends Sampler {
  setParameters(parameters: ReadonlyMap<string, NamedTensor>): void;
  dispose(): void;
}

/** @throws ModelError `WrongShape` when the window is not within the canvas, behind its first position */
export async function createSampler(
  config: ModelConfig,
  shape: { readonly batchSize: number; readonly canvasLength: number; readonly windowLength: number; readonly dtype: "fp32" | "bf16" },
): Promise<ModelSampler> {
  const { batchSize, canvasLength, windowLength, dtype } = shape;
  if (windowLength < 1 || windowLength >= canvasLength) {
    throw new ModelError("WrongShape", `window: expected 1 to ${canvasLength - 1} positions on a canvas of ${canvasLength}, found ${windowLength}`);
  }
  const program: Program = await createProgram({
    variables: parameterShapes(config),
    dtype,
    graphs: {
      logits: {
        inputs: { tokens: { dtype: "int32", shape: [batchSize, canvasLength] } },
        build: ({ tokens }, variables) => {
          const rows = Int32Array.from({ length: batchSize * windowLength }, (_, i) =>
            predictingRow(Math.floor(i / windowLength), canvasLength - windowLength + (i % windowLength), canvasLength),
          );
          return { logits: forward(config, variables, tokens as tf.Tensor2D, { rows: tf.tensor1d(rows, "int32") }) };
        },
      },
    },
  });
  return {
    batchSize,
    canvasLength,
    windowLength,
    vocabSize: config.vocabSize,
    logitsOf: (tokens) => program.run("logits", { tokens }).logits as Float32Array,
    setParameters: (parameters) => {
      checkParameters(config, parameters);
      program.writeVariables(parameters);
    },
    dispose: () => program.dispose(),
  };
}
