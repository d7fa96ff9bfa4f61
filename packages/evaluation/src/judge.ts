import type { Score } from "@diffucoder/tasks";
import { UnscoredAnswers } from "./errors.ts";

/**
 * Scores all items side by side. A sandbox fault says nothing about the answer, so those items are asked once more.
 *
 * @param score null where the sandbox failed
 * @throws UnscoredAnswers when it fails again
 */
export async function judge<T>(items: readonly T[], score: (item: T) => Promise<Score | null>): Promise<Score[]> {
  const first = await Promise.all(items.map(score));
  const settled = await Promise.all(first.map((found, i) => found ?? score(items[i]!)));
  const missing = settled.filter((found) => found === null).length;
  if (missing > 0) throw new UnscoredAnswers(missing, settled.length);
  return settled as Score[];
}
