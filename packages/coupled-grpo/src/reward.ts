import type { NoVerdict, Score } from "@diffucoder/tasks";
import type { Recipe } from "./config.ts";

/**
 * Reward of one completion.
 *
 *     weighted  code times the share of checks passed, which counts only when the format is right, plus format times the format's score
 *     binary    1 if all checks pass, else 0
 *     rltf      -1 without a program that parses, -0.6 if it fails to run, else -0.3 + 1.3 times the share of checks passed
 *
 * @returns null without a verdict, which says nothing about the completion, where recipes leave faults out
 * @source weighted: DiffuCoder, arXiv:2506.20639v2, section 4.1 (weights 2.0 and 0.5); rltf: RLTF, arXiv:2307.04349 (adaptive feedback)
 */
export function rewardOf(score: Score | NoVerdict, { reward, faults }: Pick<Recipe, "reward" | "faults">): number | null {
  if (score.status === null) return faults === "zero" ? 0 : null;
  switch (reward.kind) {
    case "weighted":
      return reward.code * (score.format === 1 ? score.passRate : 0) + reward.format * score.format;
    case "binary":
      return score.passed ? 1 : 0;
    case "rltf":
      if (score.status === "malformed" || score.status === "syntax") return -1;
      return score.passed || score.status === "failed" ? -0.3 + 1.3 * score.passRate : -0.6;
  }
}

/** Values in runs of `groupSize`. */
export function groupsOf<T>(values: readonly T[], groupSize: number): T[][] {
  return Array.from({ length: values.length / groupSize }, (_, group) => values.slice(group * groupSize, (group + 1) * groupSize));
}
