import { binsOf, type Bin } from "./bins.ts";
import type { AnalysedSample } from "./read-evaluation.ts";
import { estimateOverTasks, mean, type TaskEstimate } from "./task-estimate.ts";

/**
 * How certainty sinks with the distance from the prompt.
 *
 * @deviation The paper draws the confidence of all positions at the first pass over an empty canvas. Artifacts hold each
 * position's confidence at the step that fixed it.
 */
export interface EntropySink {
  readonly byPosition: readonly PositionCertainty[];
  /** First position with less than half the certainty of those next to the prompt; null where it never sinks so far. */
  readonly halfLife: number | null;
  /** Share of the certainty that lies in the first eight positions; an even spread has `evenMass`. */
  readonly firstMass: TaskEstimate;
  readonly evenMass: number;
  /** Of the tenth of positions that are fixed first, the share that lies in the tenth next to the prompt; chance is about a tenth. */
  readonly earlyNearPrompt: TaskEstimate;
}

export interface PositionCertainty {
  readonly positions: Bin;
  readonly certainty: TaskEstimate;
  /** When they were fixed, from 0 at the first step to 1 at the last. */
  readonly fixedAt: TaskEstimate;
}

/** How sure a decode was, in 0..1: algorithms that go by entropy give its negative, whose exponential is 1 where nothing is open. */
export function certaintyOf(confidence: number, algorithm: string): number {
  return algorithm === "entropy" ? Math.exp(Math.min(0, confidence)) : confidence;
}

export function entropySink(samples: readonly AnalysedSample[], { algorithm, steps }: { readonly algorithm: string; readonly steps: number }): EntropySink {
  const certainties = new Map(samples.map((sample) => [sample, sample.confidences.map((confidence) => certaintyOf(confidence, algorithm))]));
  const longest = samples.reduce((most, { order }) => Math.max(most, order.length), 0);
  const byPosition = binsOf(longest, MOST_POSITIONS).map((positions) => {
    const meanOf = (valuesOf: (sample: AnalysedSample) => readonly number[]) =>
      estimateOverTasks(samples, (sample) => {
        const values = valuesOf(sample).slice(positions.from, positions.to);
        return values.length === 0 ? undefined : mean(values);
      })!;
    return {
      positions,
      certainty: meanOf((sample) => certainties.get(sample)!),
      fixedAt: meanOf(({ trace }) => trace.map((step) => step / Math.max(1, steps - 1))),
    };
  });
  return {
    byPosition,
    halfLife: halfLifeOf(byPosition),
    firstMass: estimateOverTasks(samples, (sample) => massOfFirst(certainties.get(sample)!))!,
    evenMass: mean(samples.map(({ order }) => Math.min(1, FIRST / order.length))),
    earlyNearPrompt: estimateOverTasks(samples, ({ order }) => earlyNearPrompt(order))!,
  };
}

const MOST_POSITIONS = 48;
const FIRST = 8;

function halfLifeOf(byPosition: readonly PositionCertainty[]): number | null {
  const half = byPosition[0]!.certainty.mean / 2;
  return byPosition.find(({ certainty }) => certainty.mean < half)?.positions.from ?? null;
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
