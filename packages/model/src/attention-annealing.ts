// Axes: T tokens per canvas.
import type { RandomStream } from "@diffucoder/random";

/** Share of future positions that attention may see at a step (0-based) of the annealing; all of them when it has no steps. */
export function annealingRatio(step: number, annealSteps: number): number {
  return Math.min(1, (step + 1) / annealSteps);
}

/**
 * Attention bias between causal (ratio 0) and full (ratio 1): each future position is open with probability `ratio`,
 * one draw for the whole batch, all layers and heads.
 *
 * @returns [T, T] row-major; 0 where row may see column, -1e9 elsewhere
 * @source Gong et al., "Scaling Diffusion Language Models via Adaptation from Autoregressive Models", arXiv:2410.17891, section 3.2
 */
export function annealedAttentionBias(length: number, ratio: number, draws: RandomStream): Float32Array {
  const bias = new Float32Array(length * length);
  for (let query = 0; query < length; query++) {
    for (let key = query + 1; key < length; key++) {
      if (draws.uniform() >= ratio) bias[query * length + key] = CLOSED;
    }
  }
  return bias;
}

/** Attention bias under which no position sees a later one: what next-token prediction trains with. [T, T], row-major. */
export function causalAttentionBias(length: number): Float32Array {
  return Float32Array.from({ length: length * length }, (_, i) => (i % length > Math.floor(i / length) ? CLOSED : 0));
}

/** Closes positions from `end` on to every query, in place: a canvas cut there computes what one of that length does. */
export function closeFrom(end: number, bias: Float32Array): Float32Array {
  const length = Math.sqrt(bias.length);
  for (let query = 0; query < length; query++) bias.fill(CLOSED, query * length + end, (query + 1) * length);
  return bias;
}

const CLOSED = -1e9;
