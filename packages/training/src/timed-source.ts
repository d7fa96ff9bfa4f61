import type { BatchSource } from "./batch-source.ts";

/** A source that is asked one batch at a time, and how much of the time goes into waiting for it. */
export interface TimedSource extends BatchSource {
  /** Share of the time since the first training batch was asked for that went by until batches were there. */
  waitShare(): number;
}

/**
 * @param source its batches are read and noised when they are asked for, so that all of their making is waiting
 * @param now milliseconds since some fixed point
 */
export function timeSource(source: BatchSource, now: () => number): TimedSource {
  let startedAt: number | undefined;
  let waitedMs = 0;
  return {
    ...source,
    trainingBatch: async (step) => {
      const askedAt = now();
      startedAt ??= askedAt;
      const batch = await source.trainingBatch(step);
      waitedMs += now() - askedAt;
      return batch;
    },
    waitShare: () => {
      const elapsedMs = startedAt === undefined ? 0 : now() - startedAt;
      return elapsedMs === 0 ? 0 : waitedMs / elapsedMs;
    },
  };
}
