import type { NamedTensor } from "@diffucoder/formats";
import { stream } from "@diffucoder/random";
import { architectureSchema, type Architecture, type ModelConfig } from "../src/config.ts";
import { parameterShapes } from "../src/parameters.ts";

export function tinyConfig(changes: Partial<Architecture> = {}): ModelConfig {
  return {
    ...architectureSchema.parse({ hiddenSize: 16, intermediateSize: 24, layers: 2, heads: 4, kvHeads: 2, ...changes }),
    vocabSize: 11,
    maxPositions: 8,
    maskId: 9,
    padId: 10,
  };
}

/** Values large enough that every weight, bias and norm shows in the logits. */
export function vividParameters(config: ModelConfig, seed = 1): Map<string, NamedTensor> {
  return new Map(
    Object.entries(parameterShapes(config)).map(([name, shape]) => {
      const draws = stream({ seed, stage: "test", purpose: name });
      const length = shape.reduce((product, size) => product * size, 1);
      const center = name.endsWith("norm.weight") ? 1 : 0;
      return [name, { shape, data: Float32Array.from({ length }, () => center + 0.4 * draws.normal()) }];
    }),
  );
}
