import { stream } from "@diffucoder/random";

/** The random choice behind one pair of complementary masks; it is stored, so that the masks can be drawn again. */
export interface MaskSeed {
  readonly seed: number;
  /** Optimizer step the masks are drawn for, 1-based. */
  readonly step: number;
  /** Index of the completion within the round. */
  readonly sample: number;
}

export interface CoupledMasks {
  /** Share of positions the first mask hides, in expectation: t in the paper, in [lowest, highest). */
  readonly noiseLevel: number;
  /** [length]: 1 where the first mask hides the position, 0 where its complement does. */
  readonly first: Uint8Array;
}

/**
 * Draws complementary masks over a completion: every position is hidden exactly once by the pair.
 *
 * The released code tests `u < t` and `u > t`, so that a draw equal to t hides a position in neither mask.
 *
 * @source DiffuCoder, arXiv:2506.20639v2, section 4.2 (coupled sampling; t in [0.2, 0.8])
 * @deviation one noise level and one mask for each completion and update, not one for the whole batch;
 *   the complement is exact
 */
export function drawCoupledMasks(
  length: number,
  noiseRange: readonly [lowest: number, highest: number],
  mask: MaskSeed,
): CoupledMasks {
  const draws = stream({
    seed: mask.seed,
    stage: "coupled-grpo",
    step: mask.step,
    sample: mask.sample,
    purpose: "coupled-masks",
  });
  const [lowest, highest] = noiseRange;
  const noiseLevel = lowest + (highest - lowest) * draws.uniform();
  const first = Uint8Array.from({ length }, () => (draws.uniform() < noiseLevel ? 1 : 0));
  return { noiseLevel, first };
}
