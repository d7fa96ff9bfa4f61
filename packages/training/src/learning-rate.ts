/** Linear warm-up from zero to the peak, then a cosine down to `finalShare` of it at the last step. */
export interface LearningRateSchedule {
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly finalShare: number;
}

/** @param step 1-based @param totalSteps length of the whole training */
export function learningRateAt(step: number, totalSteps: number, schedule: LearningRateSchedule): number {
  const { learningRate: peak, warmupSteps, finalShare } = schedule;
  if (step <= warmupSteps) return (peak * step) / warmupSteps;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  return peak * (finalShare + ((1 - finalShare) * (1 + Math.cos(Math.PI * progress))) / 2);
}
