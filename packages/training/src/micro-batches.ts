import { InvalidRecipe } from "@diffucoder/lineage";
import type { DiffusionBatch } from "./batch-source.ts";
import type { TrainingRecipe } from "./config.ts";

/**
 * Canvases in each part of a batch.
 *
 * @throws InvalidRecipe when the batch does not divide into that many
 */
export function microBatchSize({ batchSize, microBatches }: Pick<TrainingRecipe, "batchSize" | "microBatches">): number {
  if (batchSize % microBatches === 0) return batchSize / microBatches;
  throw new InvalidRecipe("training", [`microBatches: expected a divisor of batchSize ${batchSize}, found ${microBatches}`]);
}

/** Equal parts of a batch. Each counts as many maskable tokens, so that the mean of their losses is the loss of the whole. */
export function splitBatch(batch: DiffusionBatch, parts: number): DiffusionBatch[] {
  const size = batch.canvases.length / parts;
  return Array.from({ length: parts }, (_, part) => {
    const [start, end] = [part * size, (part + 1) * size];
    return { ...batch, originals: batch.originals.slice(start, end), canvases: batch.canvases.slice(start, end), maskableCount: batch.maskableCount / parts };
  });
}

export const hiddenCount = ({ canvases }: DiffusionBatch): number => canvases.reduce((sum, { masked }) => sum + masked.length, 0);
