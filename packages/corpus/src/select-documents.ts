import { open } from "node:fs/promises";
import type { DocumentRow } from "@diffucoder/formats";
import { stream } from "@diffucoder/random";
import { TableCursor, readTable, tablePath } from "./attribute-table.ts";
import { FILES_TABLE, type DocumentPool } from "./document-pool.ts";
import type { Drop } from "./drop.ts";
import type { Verdict } from "./judge-documents.ts";
import type { CorpusFlow } from "./report/corpus-flow.ts";
import type { Unreadable } from "./sources/clean-text.ts";
import type { UnreadReason } from "./sources/source-file.ts";
import { redact, type Redaction } from "./stages/personal-data-rules.ts";

export interface Selection {
  readonly pool: DocumentPool;
  /** Folder of the tables. */
  readonly tables: string;
  readonly verdicts: ReadonlyMap<string, Verdict>;
  readonly flow: CorpusFlow;
}

/** Follows every file of the sources, in their order, to where it stays or is dropped, and writes what is dropped. */
export async function writeDrops(path: string, { pool, tables, verdicts, flow }: Selection): Promise<void> {
  const file = await open(path, "wx");
  try {
    let number = 0;
    for await (const { doc_id, source, path, reason, size_bytes } of readTable(tablePath(tables, FILES_TABLE))) {
      const found = fateOf({ number: number++, docId: doc_id as string | undefined, reason: reason as Unreadable | undefined }, pool, verdicts);
      const stage = found?.stage;
      const { stage: _, ...why } = found ?? { stage: undefined };
      const drop = { source: source as string, path: path as string, ...why };
      flow.add({ docId: doc_id as string | undefined, sizeBytes: size_bytes as number, stage, drop });
      if ("reason" in drop) await file.write(`${JSON.stringify(drop)}\n`);
    }
  } finally {
    await file.close();
  }
}

type Fate = Omit<Drop, "source" | "path"> & { readonly stage: Verdict["stage"] };

/** @returns nothing for a file that stays */
function fateOf(file: { number: number; docId: string | undefined; reason: Unreadable | UnreadReason | undefined }, pool: DocumentPool, verdicts: ReadonlyMap<string, Verdict>): Fate | undefined {
  const { number, docId, reason } = file;
  if (docId === undefined) return { stage: "decode", reason: reason! };
  if (pool.get(docId)!.file !== number) return { stage: "exact-duplicates", reason: "exact-duplicate", of: docId };
  const verdict = verdicts.get(docId);
  if (verdict === undefined) return undefined;
  const { docId: _, ...fate } = verdict;
  return fate;
}

export interface KeptOptions {
  readonly seed: number;
  readonly validationShare: number;
  /** Whether personal data is redacted. */
  readonly redacts: boolean;
  /** Whether copyright headers are stripped. */
  readonly strips: boolean;
  /** Whether there is a table of licences. */
  readonly hasLicences: boolean;
}

/** The documents that stay, in the pool's order, with what the tables say of them; personal data redacted and copyright headers stripped where asked for. */
export async function* keptDocuments({ pool, tables, verdicts }: Selection, options: KeptOptions): AsyncGenerator<DocumentRow> {
  const { seed, validationShare, redacts, strips, hasLicences } = options;
  const cursor = (name: string) => new TableCursor(tablePath(tables, name));
  const [languages, licences] = [cursor("language"), hasLicences ? cursor("licence") : undefined];
  const [spans, headers] = [redacts ? cursor("personal-data") : undefined, strips ? cursor("copyright-headers") : undefined];
  for await (const { docId, source, path, license, group } of pool.visit()) {
    const language = (await languages.rowsOf(docId))[0]!.language as string;
    const found = (await licences?.rowsOf(docId))?.[0]?.license as string | undefined;
    const personal = ((await spans?.rowsOf(docId)) ?? []) as unknown as Redaction[];
    const header = ((await headers?.rowsOf(docId)) ?? []).map((span) => ({ ...span, kind: "copyright-header" }) as unknown as Redaction);
    if (verdicts.has(docId)) continue;
    const text = redact(pool.text(docId), [...header, ...personal.filter(({ start }) => start >= (header[0]?.end ?? 0))]);
    const split = stream({ seed, stage: "corpus", purpose: `split ${group ?? docId}` }).uniform() < validationShare ? "validation" : "train";
    yield { docId, source, path, language, license: found ?? license, split, text };
  }
}
