import type { RandomStream } from "@diffucoder/random";
import type { Bounds } from "./confidence-doubt.ts";

export interface DrawnToken {
  readonly token: number;
  readonly confidence: number;
}

/** A masked position that a step may fix. */
export interface OpenPosition {
  readonly position: number;
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

export type ParallelRule = Exclude<CommitRule, { rule: "schedule" }>;

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
  if (count === 0) return [];
  if (temperature === 0) return best(open).slice(0, count);
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
export function chooseInParallel(open: readonly OpenPosition[], rule: ParallelRule): FixedPosition[] {
  const ranked = best(open);
  if (rule.rule === "factor") return ranked.slice(0, countByFactor(ranked.map(({ confidence }) => confidence), rule.factor));
  const above = ranked.filter(({ confidence }) => confidence > rule.threshold);
  return above.length > 0 ? above : ranked.slice(0, 1);
}

/**
 * Indices of the positions that may be chosen: by their bounds, neither below the `count` most confident nor, in parallel decoding,
 * clearly left out by the rule. A choice among these alone, in double precision, is that among all, so that estimates save work and never change it.
 */
export function inQuestion(bounds: readonly Bounds[], choice: { readonly count: number } | ParallelRule): number[] {
  if ("count" in choice) return contenders(bounds, choice.count);
  if (choice.rule === "threshold") return contenders(bounds, 1, choice.threshold);
  return contenders(bounds, countByFactor(bounds.map(({ highest }) => highest).sort((a, b) => b - a), choice.factor));
}

/** @param confidences falling */
function countByFactor(confidences: readonly number[], factor: number): number {
  const failing = confidences.findIndex((confidence, i) => (i + 2) * (1 - confidence) >= factor);
  return failing === -1 ? confidences.length : Math.max(1, failing);
}

const fix = ({ position, draw }: OpenPosition): FixedPosition => ({ position, ...draw() });

/** Draws what is left and sorts it; the sort is stable, so equal ones stay in the order of their positions. */
const best = (open: readonly OpenPosition[]): FixedPosition[] => open.map(fix).sort((a, b) => b.confidence - a.confidence);

function contenders(bounds: readonly Bounds[], count: number, threshold = Infinity): number[] {
  if (count === 0) return [];
  const lowest = bounds.map(({ lowest }) => lowest).sort((a, b) => b - a);
  const cut = Math.min(threshold, lowest[count - 1] ?? -Infinity);
  return bounds.flatMap(({ highest }, index) => (highest >= cut ? [index] : []));
}
