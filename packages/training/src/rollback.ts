import type { NamedTensor } from "@diffucoder/formats";
import type { JsonObject } from "@diffucoder/lineage";
import type { TrainingRecipe } from "./config.ts";

/** A return to an earlier state, as the summary of a training records it. */
export interface Rollback extends JsonObject {
  /** The step that went bad, and the last kept one, whose state training went on from. */
  readonly fromStep: number;
  readonly toStep: number;
  /** Batches left out, [first, end), counted from 1 as the source counts them. */
  readonly batches: readonly [first: number, end: number];
  /** As text: they may be no numbers. */
  readonly loss: string;
  readonly gradientNorm: string;
}

/** A state of a training that it can go back to. */
export interface KeptState {
  readonly step: number;
  readonly parameters: ReadonlyMap<string, NamedTensor>;
  readonly optimizer: { readonly first: ReadonlyMap<string, NamedTensor>; readonly second: ReadonlyMap<string, NamedTensor> };
}

/** The batch that a step trains on: batches left out before it are never used. */
export function batchOfStep(step: number, rollbacks: readonly Rollback[]): number {
  return rollbacks.reduce((batch, { batches: [first, end] }) => batch + end - first, step);
}

/** Whether a step must not stand: its loss or gradient is no number, or larger than the recipe allows. */
export function isBadStep({ loss, gradientNorm }: { loss: number; gradientNorm: number }, rule: TrainingRecipe["rollback"]): boolean {
  if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) return true;
  return gradientNorm > (rule?.largestGradientNorm ?? Infinity);
}
