import { stream } from "@diffucoder/random";

/**
 * Percentile bootstrap of a mean: 95 % interval over resampled tasks.
 *
 * @param values one score per task, at least one
 * @returns [lower, upper]; both are the mean when there is one value
 */
export function bootstrapInterval(values: readonly number[], seed: number): readonly [number, number] {
  const draws = stream({ seed, stage: "evaluation", purpose: "bootstrap" });
  const means = Array.from({ length: RESAMPLES }, () => {
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += values[draws.integer(values.length)]!;
    return sum / values.length;
  }).sort((a, b) => a - b);
  return [means[Math.floor(0.025 * RESAMPLES)]!, means[Math.ceil(0.975 * RESAMPLES) - 1]!];
}

const RESAMPLES = 2000;
