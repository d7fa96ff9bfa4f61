import type { RandomStream } from "@diffucoder/random";
import type { Bounds } from "./confidence-doubt.ts";

export interface DrawnToken {
  readonly token: number;
  readonly confidence: number;
}

/** A masked position that a step may fix. */
export interface OpenPosition {
  readonly position: number;
  /** Where the confidence lies, known without looking at the distribution. */
  readonly bounds: Bounds;
  /** Draws the token and its confidence in double precision: the costly part. */
  readonly draw: () => DrawnToken;
}

export interface FixedPosition extends DrawnToken {
  readonly position: number;
}

/** How many positions a step fixes. */
export type CommitRule =
  /** Share of the masked positions that the noise schedule says. */
  | { readonly rule: "schedule" }
  /** All whose confidence is above the threshold, and always the most confident. */
  | { readonly rule: "threshold"; readonly threshold: number }
  /** The n most confident, for the largest n with (n + 1) (1 - confidence of the n-th) below the factor; at least one. */
  | { readonly rule: "factor"; readonly factor: number };

/** Each position with probability `share`: the `origin` algorithm. */
export function chooseAtRandom(open: readonly OpenPosition[], share: number, draws: RandomStream): FixedPosition[] {
  return open.filter(() => draws.uniform() < share).map(fix);
}

/**
 * The `count` most confident positions, best first; equal ones from left to right.
 *
 * @param temperature above 0 the choice is a draw without replacement, in proportion to exp(confidence / temperature)
 */
export function chooseMostConfident(open: readonly OpenPosition[], count: number, temperature: number, draws: RandomStream): FixedPosition[] {
  if (temperature === 0) return best(contenders(open, count)).slice(0, count);
  // Adding Gumbel noise to confidence / temperature and taking the top is drawing without replacement.
  const noisy = open.map((position) => ({ ...fix(position), noise: -Math.log(-Math.log(1 - draws.uniform())) }));
  const scoreOf = ({ confidence, noise }: (typeof noisy)[number]) => confidence / temperature + noise;
  return noisy.sort((a, b) => scoreOf(b) - scoreOf(a)).slice(0, count).map(({ position, token, confidence }) => ({ position, token, confidence }));
}

/**
 * Parallel decoding: as many positions at once as their confidence allows.
 *
 * @source Wu et al., "Fast-dLLM", arXiv:2505.22618, section 3.3: the threshold, and the factor of its theorem 1
 */
export function chooseInParallel(open: readonly OpenPosition[], rule: Exclude<CommitRule, { rule: "schedule" }>): FixedPosition[] {
  if (rule.rule === "threshold") {
    const ranked = best(contenders(open, 1, rule.threshold));
    const above = ranked.filter(({ confidence }) => confidence > rule.threshold);
    return above.length > 0 ? above : ranked.slice(0, 1);
  }
  const atMost = countByFactor(open.map(({ bounds }) => bounds.highest).sort((a, b) => b - a), rule.factor);
  const ranked = best(contenders(open, atMost));
  return ranked.slice(0, countByFactor(ranked.map(({ confidence }) => confidence), rule.factor));
}

/** @param confidences falling */
function countByFactor(confidences: readonly number[], factor: number): number {
  const failing = confidences.findIndex((confidence, i) => (i + 2) * (1 - confidence) >= factor);
  return failing === -1 ? confidences.length : Math.max(1, failing);
}

const fix = ({ position, draw }: OpenPosition): FixedPosition => ({ position, ...draw() });

/** Draws what is left and sorts it; the sort is stable, so equal ones stay in the order of their positions. */
const best = (open: readonly OpenPosition[]): FixedPosition[] => open.map(fix).sort((a, b) => b.confidence - a.confidence);

/**
 * Leaves out positions that, by their bounds, are neither among the `count` most confident nor above the threshold.
 * What remains is settled in double precision, so that estimates save work and never change a choice.
 */
function contenders(open: readonly OpenPosition[], count: number, threshold = Infinity): readonly OpenPosition[] {
  if (count === 0) return [];
  const lowest = open.map(({ bounds }) => bounds.lowest).sort((a, b) => b - a);
  const cut = Math.min(threshold, lowest[count - 1] ?? -Infinity);
  return open.filter(({ bounds }) => bounds.highest >= cut);
}
