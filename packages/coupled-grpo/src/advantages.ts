/**
 * Leave-one-out advantages of one group: each reward minus the mean of the others, not divided by the
 * group's spread. A reward of `null` (the sandbox failed, not the program) is left out of every mean and
 * gets advantage 0, so that a fault of ours never teaches the model anything.
 *
 * @param rewards one per completion of the same task
 * @source DiffuCoder, arXiv:2506.20639v2, section 4 (leave-one-out variant of the GRPO baseline)
 */
export function leaveOneOutAdvantages(rewards: readonly (number | null)[]): Float32Array {
  const known = rewards.filter((reward) => reward !== null);
  const sum = known.reduce((total, reward) => total + reward, 0);
  return Float32Array.from(rewards, (reward) => {
    if (reward === null || known.length < 2) return 0;
    return reward - (sum - reward) / (known.length - 1);
  });
}

/** Share of groups whose known rewards are not all equal; only those carry a learning signal. */
export function mixedGroupShare(groups: readonly (readonly (number | null)[])[]): number {
  const mixed = groups.filter((rewards) => new Set(rewards.filter((reward) => reward !== null)).size > 1);
  return groups.length === 0 ? 0 : mixed.length / groups.length;
}
