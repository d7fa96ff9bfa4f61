import { sha256 } from "@diffucoder/lineage";

/** Which data one step trained on, short enough to keep for every step. */
export interface LedgerEntry {
  readonly step: number;
  /** Draws of the sample order, [first, end). */
  readonly samples: readonly [first: number, end: number];
  /** sha256 over the ids of the step's documents, in the order of the batch. */
  readonly documents: string;
}

/**
 * Recomputing a step's batch and comparing this entry proves what the step saw.
 *
 * @param batch that the step trained on, from 1; the step's own number unless batches before it were left out
 */
export function ledgerEntry(step: number, batchSize: number, documents: readonly string[], batch = step): LedgerEntry {
  return { step, samples: [(batch - 1) * batchSize, batch * batchSize], documents: sha256(documents.join("\n")) };
}

export const LEDGER_FILE = "ledger.jsonl";

export function formatLedger(entries: readonly LedgerEntry[]): string {
  return entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
}

export function parseLedger(text: string): LedgerEntry[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as LedgerEntry);
}
