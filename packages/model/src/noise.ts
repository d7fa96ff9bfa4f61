import type { RandomStream } from "@diffucoder/random";

/** One noised canvas. */
export interface NoisedCanvas {
  readonly tokens: Int32Array; // [T]
  /** Positions that were hidden, ascending. */
  readonly masked: readonly number[];
  /** t in the paper: each maskable token is hidden with exactly this probability. */
  readonly noiseLevel: number;
  /** Of a canvas cut short: positions from here on count as absent. */
  readonly end?: number;
}

/**
 * Draws a noise level, uniform in (smallest, 1].
 *
 * @source DiffuCoder, arXiv:2506.20639v2, section 2 (linear schedule)
 * @deviation levels below `smallest` are never drawn, which bounds the weight 1/t (as in DiffuLLaMA, eps = 1e-3)
 */
export function drawNoiseLevel(draws: RandomStream, smallest = 1e-3): number {
  return smallest + (1 - smallest) * (1 - draws.uniform());
}

/**
 * Hides each maskable token independently with probability `noiseLevel`.
 * Position 0 is never hidden: no row predicts it.
 */
export function noiseCanvas(options: {
  readonly tokens: ArrayLike<number>;
  readonly isMaskable: (position: number) => boolean;
  readonly noiseLevel: number;
  readonly draws: RandomStream;
  readonly maskId: number;
}): NoisedCanvas {
  const { isMaskable, noiseLevel, draws, maskId } = options;
  const tokens = new Int32Array(options.tokens);
  const masked: number[] = [];
  for (let position = 1; position < tokens.length; position++) {
    // One draw a position, maskable or not: a canvas keeps its noise when only its prompt length changes.
    const isHidden = draws.uniform() < noiseLevel;
    if (!isHidden || !isMaskable(position)) continue;
    tokens[position] = maskId;
    masked.push(position);
  }
  return { tokens, masked, noiseLevel };
}
