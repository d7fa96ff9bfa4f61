import type { NoVerdict } from "@diffucoder/tasks";
import { UnscoredAnswers } from "./errors.ts";
import type { AnswerVerdict } from "./question.ts";

/**
 * Judges all items side by side. A sandbox fault says nothing about the answer, so those items are asked once more.
 *
 * @throws UnscoredAnswers when it fails again, or a task's checks judge no program
 */
export async function judge<T>(items: readonly T[], judgeOne: (item: T) => Promise<AnswerVerdict | NoVerdict>): Promise<AnswerVerdict[]> {
  const first = await Promise.all(items.map(judgeOne));
  const settled = await Promise.all(first.map((found, i) => (found.status === null && found.faultOf === "sandbox" ? judgeOne(items[i]!) : found)));
  const missing = settled.filter((found) => found.status === null);
  if (missing.length > 0) throw new UnscoredAnswers(missing, settled.length);
  return settled as AnswerVerdict[];
}
