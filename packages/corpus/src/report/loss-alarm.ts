import type { DataCard } from "../data-card.ts";
import { LossAlarm } from "../errors.ts";
import type { CardCheck } from "../waivers.ts";
import type { CorpusFlow } from "./corpus-flow.ts";

/**
 * Stops a run in which a stage drops more of a source than its card allows, unless the recipe waives it.
 *
 * A filter that removes most of a source is broken more often than right: a near-duplicate search of another project took
 * a source from 859,092 documents to 2 before anyone looked.
 *
 * @throws LossAlarm
 */
export function checkLosses(cards: readonly DataCard[], flow: CorpusFlow, check: CardCheck): void {
  for (const { id, largestLoss } of cards) {
    for (const { stage, entered, dropped } of flow.bySource.get(id)?.stages() ?? []) {
      const most = largestLoss?.[stage] ?? (entered.files < FEW_FILES ? 1 : LARGEST_LOSS);
      const lost = Object.values(dropped).reduce((sum, { files }) => sum + files, 0);
      if (lost <= most * entered.files) continue;
      const [subject, expected, found] = [`losses at ${stage}`, `at most ${most} of the files`, `${lost} of ${entered.files}`];
      if (!check.waive(id, subject, expected, found)) throw new LossAlarm(id, subject, expected, found);
    }
  }
}

/** Share of a source that a stage may drop where its card says nothing; of few files any share may go. */
const LARGEST_LOSS = 0.6;
const FEW_FILES = 100;
