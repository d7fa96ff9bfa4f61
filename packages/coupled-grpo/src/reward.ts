import type { NoVerdict, Score } from "@diffucoder/tasks";
import type { Recipe } from "./config.ts";

/**
 * Reward of one completion: code counts only when the format is right.
 *
 * @returns null without a verdict, which says nothing about the completion
 * @source DiffuCoder, arXiv:2506.20639v2, section 4.1 (weights 2.0 and 0.5)
 */
export function rewardOf(score: Score | NoVerdict, weights: Recipe["reward"]): number | null {
  if (score.status === null) return null;
  const code = score.format === 1 ? score.passRate : 0;
  return weights.code * code + weights.format * score.format;
}

/** Values in runs of `groupSize`. */
export function groupsOf<T>(values: readonly T[], groupSize: number): T[][] {
  return Array.from({ length: values.length / groupSize }, (_, group) => values.slice(group * groupSize, (group + 1) * groupSize));
}
