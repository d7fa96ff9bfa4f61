import type { AnswerVerdict } from "./question.ts";
import { UnscoredAnswers } from "./errors.ts";

/**
 * Judges all items side by side. A sandbox fault says nothing about the answer, so those items are asked once more.
 *
 * @param judgeOne null where the sandbox failed
 * @throws UnscoredAnswers when it fails again
 */
export async function judge<T>(items: readonly T[], judgeOne: (item: T) => Promise<AnswerVerdict | null>): Promise<AnswerVerdict[]> {
  const first = await Promise.all(items.map(judgeOne));
  const settled = await Promise.all(first.map((found, i) => found ?? judgeOne(items[i]!)));
  const missing = settled.filter((found) => found === null).length;
  if (missing > 0) throw new UnscoredAnswers(missing, settled.length);
  return settled as AnswerVerdict[];
}
