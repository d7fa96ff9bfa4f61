// Samplers in plain arrays, and options to decode with them.
import type { DecodeOptions } from "../src/decode-options.ts";
import type { Sampler } from "../src/sampler.ts";

export const VOCABULARY = 5;
export const MASK = 4;
export const PROMPT = [1];

/** A sampler with a real distribution: logits depend on the position and on the token before it. */
export function sampler(canvasLength: number, batchSize = 2): Sampler {
  const windowLength = canvasLength - 1;
  return {
    batchSize,
    canvasLength,
    windowLength,
    vocabSize: VOCABULARY,
    logitsOf: (tokens) =>
      Float32Array.from({ length: batchSize * windowLength * VOCABULARY }, (_, i) => {
        const id = i % VOCABULARY;
        const cell = Math.floor(i / VOCABULARY);
        const position = 1 + (cell % windowLength);
        const before = tokens[Math.floor(cell / windowLength) * canvasLength + position - 1]!;
        return id === MASK ? -50 : 2 * Math.sin(3 * id + 5 * position + 7 * before);
      }),
  };
}

export const options = (changes: Partial<DecodeOptions> = {}): DecodeOptions => ({
  prompts: [PROMPT],
  maskId: MASK,
  steps: 8,
  algorithm: "entropy",
  temperature: 1,
  streamOf: (prompt) => ({ seed: 7, stage: "test", sample: prompt, purpose: "decode" }),
  ...changes,
});

/** A sampler whose distributions never change: `rows` are the probabilities at each masked position. */
export function fixedSampler(rows: readonly (readonly number[])[], batchSize = 1): Sampler {
  const vocabSize = rows[0]!.length;
  const logits = Float32Array.from(Array.from({ length: batchSize }, () => rows).flat(2), Math.log);
  return { batchSize, canvasLength: rows.length + 1, windowLength: rows.length, vocabSize, logitsOf: () => logits };
}
