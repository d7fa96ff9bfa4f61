import type { JsonObject } from "@diffucoder/lineage";
import type { BenchmarkItem } from "./contamination.ts";
import type { Columns, Row } from "./attribute-table.ts";
import type { DocumentPool, LicenseFile, PooledDocument } from "./document-pool.ts";
import type { DroppingStage } from "./dropping-stages.ts";
import type { Policy } from "./policy.ts";

/**
 * A stage inside the corpus. It measures documents into a table of its own, keyed by `doc_id`, and judges by that table
 * alone: a changed threshold needs no new table, and any table can be made again without the others.
 */
export interface InnerStage {
  readonly name: DroppingStage;
  /** Path of its module: the code that, with the settings and the documents, decides the table. */
  readonly module: string;
  /** Other files that decide it, such as grammars. */
  readonly assets?: readonly string[];
  /** `document`: a document's rows depend on its path and text alone, so that slices can be measured apart. */
  readonly scope: "document" | "corpus";
  /** Beside `doc_id`, which comes first. */
  readonly columns: Columns;
  /** What it would do under a policy; nothing when the policy does not ask for it. */
  prepare(policy: Policy, tools: StageTools): Promise<Measurement | undefined> | Measurement | undefined;
  /** What the policy holds against documents; nothing is held against those that are not named. */
  judge(rows: AsyncIterable<Row>, policy: Policy, corpus: CorpusView): AsyncIterable<Hit> | Iterable<Hit>;
}

export interface Measurement {
  /** All that the rows depend on beside code and documents. */
  readonly settings: JsonObject;
  rows(documents: Documents): AsyncIterable<Row> | Iterable<Row>;
}

/** What is measured: all documents, or for a stage of scope `document` some of them. */
export interface Documents {
  readonly licenseFiles: readonly LicenseFile[];
  documents(): Iterable<PooledDocument>;
  /** As `documents`, taking a breath now and then. */
  visit(): AsyncIterable<PooledDocument>;
  text(docId: string): string;
}

/** What stages may use of the world. */
export interface StageTools {
  /** A folder that is gone after the run. */
  readonly scratchDir: string;
  readonly signal: AbortSignal;
  /** Of all benchmarks that the policy names. */
  readonly benchmarkItems: readonly BenchmarkItem[];
}

/** What a judge may know beside its table. */
export interface CorpusView {
  readonly pool: DocumentPool;
  /** Whether no earlier stage drops the document. */
  readonly isKept: (docId: string) => boolean;
  readonly seed: number;
}

/** A rule that fired on a document. */
export interface Hit {
  readonly docId: string;
  readonly reason: DropReason;
  /** Which of the reason's rules, where it has several. */
  readonly rule?: string;
  readonly value?: number;
  /** The bounds that the value breaks. */
  readonly least?: number;
  readonly most?: number;
  /** What it repeats or is: another document, a benchmark item, a licence, a language. */
  readonly of?: string;
}

export type DropReason = "language" | "licence" | "contaminated" | "near-duplicate" | "quality" | "personal-data";
