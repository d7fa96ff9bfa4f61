import type { BatchSource, DiffusionBatch } from "./batch-source.ts";
import type { TrainingRecipe } from "./config.ts";

/**
 * A source whose training batches are made `count` at a time, the one that is asked for and those behind it: a step leaves
 * nothing of the source in the processor's caches, so that the first batch after one takes some three times as long as the next.
 *
 * One that cannot be made fails when it is asked for itself: the steps before it stand.
 *
 * @param lastStep none behind it is made before it is asked for
 */
export function batchesAhead(source: BatchSource, count: number, lastStep: number): BatchSource {
  const ready = new Map<number, DiffusionBatch>();
  return {
    ...source,
    trainingBatch: async (step) => {
      if (!ready.has(step)) {
        ready.clear();
        const end = Math.max(step + 1, Math.min(step + count, lastStep + 1));
        ready.set(step, await source.trainingBatch(step));
        for (let next = step + 1; next < end; next++) {
          const batch = await source.trainingBatch(next).catch(() => undefined); // thrown anew once a step needs it
          if (batch === undefined) break;
          ready.set(next, batch);
        }
      }
      return ready.get(step)!;
    },
  };
}

/** How many batches of a recipe to make at a time: many small ones, fewer the longer each takes and the more room it needs. */
export function aheadCount({ batchSize, canvasLength }: Pick<TrainingRecipe, "batchSize" | "canvasLength">): number {
  const numbers = canvasLength * (batchSize + canvasLength); // tokens and attention bias
  return Math.max(1, Math.min(32, Math.floor(NUMBERS_AHEAD / numbers)));
}

/** Take some five milliseconds to draw, and few megabytes. */
const NUMBERS_AHEAD = 1 << 18;
