import type { Architecture, ModelConfig } from "../src/config.ts";
import { tinyConfig } from "./tiny-model.ts";

/** Shapes at and off the steps that the native network is laid out in, one layer and several, tied and not. */
export const SHAPES = [
  { batchSize: 1, canvasLength: 3, hiddenSize: 4, intermediateSize: 1, layers: 1, heads: 2, kvHeads: 1, tied: true },
  { batchSize: 3, canvasLength: 33, hiddenSize: 40, intermediateSize: 50, layers: 2, heads: 4, kvHeads: 2, tied: false },
  { batchSize: 2, canvasLength: 64, hiddenSize: 32, intermediateSize: 64, layers: 3, heads: 1, kvHeads: 1, tied: true },
  { batchSize: 2, canvasLength: 65, hiddenSize: 72, intermediateSize: 100, layers: 2, heads: 3, kvHeads: 3, headDim: 40, tied: true },
  { batchSize: 5, canvasLength: 127, hiddenSize: 128, intermediateSize: 320, layers: 4, heads: 4, kvHeads: 2, tied: true },
] as const;

export const networkConfig = (changes: Partial<Architecture>, canvasLength: number): ModelConfig => ({ ...tinyConfig(changes), vocabSize: 75, maxPositions: canvasLength });
