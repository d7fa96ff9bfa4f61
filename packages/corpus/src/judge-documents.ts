import { TableWriter, readTable, tablePath, type Columns, type Row } from "./attribute-table.ts";
import type { DocumentPool } from "./document-pool.ts";
import type { DroppingStage } from "./dropping-stages.ts";
import type { Hit, InnerStage } from "./inner-stage.ts";
import type { Policy } from "./policy.ts";

export const VERDICTS_TABLE = "verdicts";

/** One row for each rule that fired; the first of a document is what dropped it. */
export const VERDICT_COLUMNS = {
  doc_id: "text",
  stage: "text",
  reason: "text",
  rule: "text?",
  value: "number?",
  least: "number?",
  most: "number?",
  of: "text?",
  is_decisive: "count",
} as const satisfies Columns;

export interface Verdict extends Hit {
  readonly stage: DroppingStage;
}

/** Lets each stage judge by its table, in their order. @returns what dropped each document that is dropped, by its id */
export async function judgeDocuments(options: {
  readonly stages: readonly InnerStage[];
  readonly policy: Policy;
  readonly pool: DocumentPool;
  readonly tables: string;
  readonly seed: number;
}): Promise<ReadonlyMap<string, Verdict>> {
  const { stages, policy, pool, tables, seed } = options;
  const decisive = new Map<string, Verdict>();
  const writer = await TableWriter.open(tablePath(tables, VERDICTS_TABLE), VERDICT_COLUMNS);
  for (const stage of stages) {
    const droppedHere = new Map<string, Verdict>();
    const corpus = { pool, seed, isKept: (docId: string) => !decisive.has(docId) };
    for await (const hit of stage.judge(readTable(tablePath(tables, stage.name)), policy, corpus)) {
      const verdict = { ...hit, stage: stage.name };
      const isDecisive = !decisive.has(hit.docId) && !droppedHere.has(hit.docId);
      if (isDecisive) droppedHere.set(hit.docId, verdict);
      await writer.append(rowOf(verdict, isDecisive));
    }
    for (const [docId, verdict] of droppedHere) decisive.set(docId, verdict);
  }
  await writer.close();
  return decisive;
}

function rowOf({ docId, stage, reason, rule, value, least, most, of }: Verdict, isDecisive: boolean): Row {
  return { doc_id: docId, stage, reason, rule, value, least, most, of, is_decisive: isDecisive ? 1 : 0 };
}
