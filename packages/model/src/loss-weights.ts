import type { NoisedCanvas } from "./noise.ts";

/** Weight of each hidden token's cross-entropy, in the order of `masked`. */
export type LossWeights = (canvas: NoisedCanvas) => readonly number[];

/**
 * 1/t for every hidden token: with it the mean over maskable tokens is an unbiased bound on the likelihood.
 *
 * w_n = -alpha'(t) / (1 - alpha(t)) = 1 / t, for the linear schedule alpha(t) = 1 - t
 *
 * @source DiffuCoder, arXiv:2506.20639v2, eq. 11
 */
export const inverseLevelWeights: LossWeights = ({ masked, noiseLevel }) => masked.map(() => 1 / noiseLevel);

/**
 * Context-adaptive weights (CART): a hidden token counts by how much of its neighbourhood is visible, nearer tokens more.
 *
 * w_n = 1/2 sum over visible j of p (1 - p)^(|n - j| - 1)
 *
 * Each side's geometric series sums to 1 when everything there is visible, so that weights lie in [0, 1]: near 1 for a token
 * hidden alone, near 0 deep inside a hidden stretch. They replace 1/t, hence the loss is no longer a bound.
 *
 * @param share p: how much of the weight the nearest token on each side holds, in (0, 1)
 * @source Ye et al., "Dream 7B", arXiv:2508.15487 (context-adaptive token-level noise rescheduling)
 */
export const cartWeights =
  (share: number): LossWeights =>
  ({ tokens, masked, end = tokens.length }) => {
    const isHidden = new Set(masked);
    const weights = new Float64Array(end);
    for (const direction of [1, -1]) {
      const first = direction === 1 ? 0 : end - 1;
      // Of the position at hand: sum over visible j behind it of (1 - p)^(distance - 1).
      let visibleBehind = 0;
      for (let position = first; position >= 0 && position < end; position += direction) {
        weights[position]! += 0.5 * share * visibleBehind;
        visibleBehind = (1 - share) * visibleBehind + (isHidden.has(position) ? 0 : 1);
      }
    }
    return masked.map((position) => weights[position]!);
  };
