import { binsOf, type Bin } from "./bins.ts";
import type { AnalysedSample } from "./read-evaluation.ts";
import { estimateOverTasks, mean, type TaskEstimate } from "./task-estimate.ts";

/**
 * How certainty sinks with the distance from the prompt: the model is surest next to it, before anything is decoded.
 *
 * @source DiffuCoder, arXiv:2506.20639v2, which calls it the entropy sink
 */
export interface EntropySink {
  /** Of every position at the first pass over an empty canvas, as in the paper; null where evaluations have not kept it. */
  readonly firstPass: CertaintyCurve | null;
  /** Of each position at the step that fixed it, by the decoding algorithm's own measure. */
  readonly whenFixed: CertaintyCurve;
  /** When positions were fixed, from 0 at the first step to 1 at the last. */
  readonly fixedAt: readonly AtPositions[];
  /** Of the tenth of positions that are fixed first, the share that lies in the tenth next to the prompt; chance is about a tenth. */
  readonly earlyNearPrompt: TaskEstimate;
}

export interface CertaintyCurve {
  readonly byPosition: readonly AtPositions[];
  /** First position with less than half the certainty of those next to the prompt; null where it never sinks so far. */
  readonly halfLife: number | null;
  /** Share of the certainty that lies in the first eight positions; undefined where the model is sure of nothing. An even spread has `evenMass`. */
  readonly firstMass: TaskEstimate | undefined;
  readonly evenMass: number;
}

export interface AtPositions extends TaskEstimate {
  readonly positions: Bin;
}

/** How sure a decode was, in 0..1: algorithms that go by entropy give its negative, whose exponential is 1 where nothing is open. */
export function certaintyOf(confidence: number, algorithm: string): number {
  return algorithm === "entropy" ? Math.exp(Math.min(0, confidence)) : confidence;
}

export function entropySink(samples: readonly AnalysedSample[], { algorithm, steps }: { readonly algorithm: string; readonly steps: number }): EntropySink {
  const kept = samples.filter(({ firstEntropies }) => firstEntropies !== undefined);
  return {
    firstPass: kept.length === 0 ? null : certaintyCurve(kept, ({ firstEntropies }) => firstEntropies!.map((nats) => Math.exp(-nats))),
    whenFixed: certaintyCurve(samples, ({ confidences }) => confidences.map((confidence) => certaintyOf(confidence, algorithm))),
    fixedAt: byPosition(samples, ({ trace }) => trace.map((step) => step / Math.max(1, steps - 1))),
    earlyNearPrompt: estimateOverTasks(samples, ({ order }) => earlyNearPrompt(order))!,
  };
}

type Values = (sample: AnalysedSample) => readonly number[];

function certaintyCurve(samples: readonly AnalysedSample[], certaintiesOf: Values): CertaintyCurve {
  const known = new Map(samples.map((sample) => [sample, certaintiesOf(sample)]));
  const curve = byPosition(samples, (sample) => known.get(sample)!);
  return {
    byPosition: curve,
    halfLife: halfLifeOf(curve),
    firstMass: estimateOverTasks(samples, (sample) => massOfFirst(known.get(sample)!)),
    evenMass: mean([...known.values()].map(({ length }) => Math.min(1, FIRST / length))),
  };
}

/** Means of each position's values, or of ranges of positions where there are many. */
function byPosition(samples: readonly AnalysedSample[], valuesOf: Values): AtPositions[] {
  const longest = samples.reduce((most, sample) => Math.max(most, valuesOf(sample).length), 0);
  return binsOf(longest, MOST_POSITIONS).map((positions) => {
    const estimate = estimateOverTasks(samples, (sample) => {
      const values = valuesOf(sample).slice(positions.from, positions.to);
      return values.length === 0 ? undefined : mean(values);
    })!;
    return { positions, ...estimate };
  });
}

const MOST_POSITIONS = 48;
const FIRST = 8;

function halfLifeOf(curve: readonly AtPositions[]): number | null {
  const half = curve[0]!.mean / 2;
  return curve.find((at) => at.mean < half)?.positions.from ?? null;
}

function massOfFirst(certainties: readonly number[]): number | undefined {
  const mass = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
  const whole = mass(certainties);
  return whole === 0 ? undefined : mass(certainties.slice(0, FIRST)) / whole;
}

function earlyNearPrompt(order: readonly number[]): number {
  const tenth = Math.ceil(order.length / 10);
  return order.slice(0, tenth).filter((position) => position < tenth).length / tenth;
}
