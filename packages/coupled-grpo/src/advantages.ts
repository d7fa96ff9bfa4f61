import type { Recipe } from "./config.ts";

/**
 * Advantages of one group: each reward less a baseline. A reward of `null` (the sandbox failed, not the program) is left out of every
 * mean and gets advantage 0, so that a fault of ours never teaches the model anything.
 *
 *     leave-one-out  less the mean of the others
 *     mean           less the mean of all: (G - 1) / G times that, G being the number of rewards
 *     standardized   that, divided by the rewards' standard deviation + 1e-4
 *
 * @param rewards one per completion of the same task
 * @source DiffuCoder, arXiv:2506.20639v2, section 4 (mean, and leave-one-out, which its code has); DeepSeekMath, arXiv:2402.03300 (standardized)
 */
export function advantagesOf(rewards: readonly (number | null)[], baseline: Recipe["advantage"]): Float32Array {
  const known = rewards.filter((reward) => reward !== null);
  if (known.length < 2) return new Float32Array(rewards.length);
  const sum = known.reduce((total, reward) => total + reward, 0);
  const mean = sum / known.length;
  const spread = Math.sqrt(known.reduce((total, reward) => total + (reward - mean) ** 2, 0) / (known.length - 1));
  return Float32Array.from(rewards, (reward) => {
    if (reward === null) return 0;
    if (baseline === "leave-one-out") return reward - (sum - reward) / (known.length - 1);
    return baseline === "mean" ? reward - mean : (reward - mean) / (spread + 1e-4);
  });
}

/** Advantages of completions as those of all tokens of their windows, [B] to [B * windowLength]. */
export function perToken(advantages: readonly number[], windowLength: number): Float32Array {
  return Float32Array.from({ length: advantages.length * windowLength }, (_, i) => advantages[Math.floor(i / windowLength)]!);
}

/** Share of groups whose known rewards are not all equal; only those carry a learning signal. */
export function mixedGroupShare(groups: readonly (readonly (number | null)[])[]): number {
  const mixed = groups.filter((rewards) => new Set(rewards.filter((reward) => reward !== null)).size > 1);
  return groups.length === 0 ? 0 : mixed.length / groups.length;
}
