// Axes: C completion window.
import { stream, type RandomStream } from "@diffucoder/random";
import type { Estimator } from "./config.ts";

/** The random choice behind the masks of one completion; it is stored, so that they can be drawn again. */
export interface MaskSeed {
  readonly seed: number;
  /** Optimizer step the masks are drawn for, 1-based: of masks that serve a whole round its first. */
  readonly step: number;
  /** Index of the completion within the round. */
  readonly sample: number;
}

/** One forward pass over a completion: what it hides, and what its log-probability of each position counts. */
export interface Pass {
  /** 1 where a position is hidden. */
  readonly hidden: Uint8Array; // [C]
  /** Above 0 only where the position is hidden. */
  readonly weight: Float32Array; // [C]
}

export interface EstimateShape {
  /** Forward passes over a completion. */
  readonly passes: number;
  /** Passes that one token's log-probability is read from, at most. */
  readonly reads: number;
}

export function estimateShape(estimator: Estimator): EstimateShape {
  switch (estimator.masks) {
    case "coupled":
      return estimator.fullPass ? { passes: 3, reads: 2 } : { passes: 2, reads: 1 };
    case "independent":
      return estimator.fullPass ? { passes: 3, reads: 3 } : { passes: 2, reads: 2 };
    case "strata":
      return { passes: estimator.count, reads: 1 };
    case "single":
    case "full":
      return { passes: 1, reads: 1 };
  }
}

/**
 * Draws the passes from which the log-probability of a sampled token is estimated: the sum over passes of weight times its
 * log-probability there.
 *
 *     coupled      a mask M of level t and its complement: the mean of the pass that hides all and the one of the pair that hides the token.
 *                  With weights 1/t on M and 1/(1 - t) on the complement the pair's mean is an unbiased bound of the completion's likelihood,
 *                  and the sum with the pass that hides all is the paper's, which is no log-probability
 *     independent  the mean of those passes that hide the token
 *     single       the pass that hides it; 0 and not learned from if none does
 *     full         the pass that hides all
 *     strata       the pass that hides its stratum
 *
 * The released code tests `u < t` and `u > t`, so that a draw equal to t hides a position in neither mask of a pair; here the complement is exact.
 *
 * @param window `length` positions, of which those before `start` still belong to the prompt
 * @source coupled: DiffuCoder, arXiv:2506.20639v2, section 4.2 and eq. 13 with one pair; independent: its ablation; single: MMaDA,
 *   arXiv:2505.15809; full: d1, arXiv:2504.12216; strata: DACA-GRPO, arXiv:2605.16342
 */
export function drawPasses(estimator: Estimator, window: { readonly length: number; readonly start: number }, { seed, step, sample }: MaskSeed): Pass[] {
  const stage = "coupled-grpo";
  const draws = stream({ seed, stage, step, sample, purpose: "coupled-masks" });
  const passOf = (isHidden: (position: number) => boolean, weightOf: (position: number) => number): Pass => {
    const hidden = Uint8Array.from({ length: window.length }, (_, position) => Number(isHidden(position)));
    return { hidden, weight: Float32Array.from(hidden, (isSet, position) => (isSet ? weightOf(position) : 0)) };
  };
  const full = (weightOf: (position: number) => number) => passOf(() => true, weightOf);
  switch (estimator.masks) {
    case "coupled": {
      const levelDraws = estimator.levelPer === "batch" ? stream({ seed, stage, step, purpose: "noise-level" }) : draws;
      const { level, mask: first } = drawMask(estimator, window.length, draws, levelDraws);
      const weightAt = (noiseLevel: number) => (estimator.weights === "inverse-level" ? 0.5 / noiseLevel : estimator.fullPass ? 0.5 : 1);
      const pair = [passOf((i) => first[i] === 1, () => weightAt(level)), passOf((i) => first[i] === 0, () => weightAt(1 - level))];
      return estimator.fullPass ? [full(() => 0.5), ...pair] : pair;
    }
    case "independent": {
      const masks = [0, 1].map(() => drawMask(estimator, window.length, draws).mask);
      const weightOf = (i: number) => 1 / (Number(estimator.fullPass) + masks[0]![i]! + masks[1]![i]!);
      const both = masks.map((hidden) => passOf((i) => hidden[i] === 1, weightOf));
      return estimator.fullPass ? [full(weightOf), ...both] : both;
    }
    case "single": {
      const { mask: hidden } = drawMask(estimator, window.length, draws);
      return [passOf((i) => hidden[i] === 1, () => 1)];
    }
    case "full":
      return [full(() => 1)];
    case "strata": {
      const stratumOf = new Int32Array(window.length).fill(-1);
      const positions = Array.from({ length: window.length - window.start }, (_, i) => window.start + i);
      draws.shuffle(positions).forEach((position, i) => (stratumOf[position] = i % estimator.count));
      return Array.from({ length: estimator.count }, (_, stratum) => passOf((i) => stratumOf[i] === stratum, () => 1));
    }
  }
}

/** Which positions of a prompt every pass hides; none, but of d1. */
export function drawHiddenPrompt(estimator: Estimator, promptLength: number, { seed, step, sample }: MaskSeed): Uint8Array {
  const hidden = new Uint8Array(promptLength);
  if (estimator.masks !== "full" || estimator.promptNoise === 0) return hidden;
  const draws = stream({ seed, stage: "coupled-grpo", step, sample, purpose: "prompt-mask" });
  return hidden.map(() => Number(draws.uniform() < estimator.promptNoise));
}

type Level = { readonly noiseRange: readonly [number, number] };

/** A noise level t, uniform in its range, and a mask that hides each position with probability t. */
function drawMask({ noiseRange: [lowest, highest] }: Level, length: number, draws: RandomStream, levelDraws = draws): { level: number; mask: Uint8Array } {
  const level = lowest + (highest - lowest) * levelDraws.uniform();
  return { level, mask: Uint8Array.from({ length }, () => Number(draws.uniform() < level)) };
}
