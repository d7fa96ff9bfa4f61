import { createHash } from "node:crypto";
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { docIdOf } from "@diffucoder/formats";
import { sha256 } from "@diffucoder/lineage";
import { TableWriter, tablePath, type Columns } from "./attribute-table.ts";
import type { DataCard } from "./data-card.ts";
import type { KeeperRule } from "./near-duplicates/keeper-order.ts";
import { cleanText, type Unreadable } from "./sources/clean-text.ts";
import type { SourceFile, UnreadReason } from "./sources/source-file.ts";

/** A distinct text, and the file of several equal ones that stands for it. Its text lies on the disk. */
export interface PooledDocument extends Omit<SourceFile, "bytes"> {
  /** Of the clean text, before anything is redacted. */
  readonly docId: string;
  readonly source: string;
  readonly bytes: number;
  /** Number of the file that stands for it, in the order of the sources. */
  readonly file: number;
  /** How many files hold it. */
  readonly copies: number;
  /** Licences that any of them claims. */
  readonly licenses: readonly string[];
}

/** A file that tells under which licence its neighbours are. */
export interface LicenseFile {
  readonly source: string;
  readonly repository?: string | undefined;
  readonly path: string;
  readonly text: string;
}

export const FILES_TABLE = "files";

/** One row for each file of the sources: what was fetched, and the document that it became or why it became none. */
export const FILE_COLUMNS = {
  doc_id: "text?",
  source: "text",
  path: "text",
  repository: "text?",
  commit: "text?",
  license: "text",
  size_bytes: "number",
  sha256: "text?",
  reason: "text?",
} as const satisfies Columns;

interface Pooled {
  document: PooledDocument;
  readonly offset: number;
}

type Breathe = (visited: number, documents: number) => Promise<void> | void;

/**
 * The distinct texts of the sources, decoded and normalised. Texts are spilled to one file; in memory stay a few hundred
 * bytes for each.
 */
export class DocumentPool {
  readonly licenseFiles: LicenseFile[] = [];
  readonly #byId = new Map<string, Pooled>();
  readonly #keeper: KeeperRule;
  readonly #breathe: Breathe;
  readonly #spill: number;
  readonly #table: TableWriter;
  #spilledBytes = 0;
  #files = 0;

  private constructor(keeper: KeeperRule, spill: number, table: TableWriter, breathe: Breathe) {
    this.#breathe = breathe;
    this.#keeper = keeper;
    this.#spill = spill;
    this.#table = table;
  }

  /**
   * @param scratch folder for the texts
   * @param tables folder for the table of files
   * @param breathe lets others work, and tells how far a visit is
   * @param keeper which of equal files stands for them: the first, or the one with most stars, then the newest
   */
  static async create(options: { scratch: string; tables: string; keeper: KeeperRule; breathe?: Breathe }): Promise<DocumentPool> {
    const { scratch, tables, keeper, breathe = () => {} } = options;
    const table = await TableWriter.open(tablePath(tables, FILES_TABLE), FILE_COLUMNS);
    return new DocumentPool(keeper, openSync(join(scratch, "texts"), "wx+"), table, breathe);
  }

  get files(): number {
    return this.#files;
  }

  /** In order of their first files. */
  *documents(): Generator<PooledDocument> {
    for (const { document } of this.#byId.values()) yield document;
  }

  /** As `documents`, taking a breath now and then: for long work on each. */
  async *visit(): AsyncGenerator<PooledDocument> {
    let visited = 0;
    for (const document of this.documents()) {
      if (visited++ % DOCUMENTS_PER_BREATH === 0) await this.#breathe(visited, this.#byId.size);
      yield document;
    }
  }

  get size(): number {
    return this.#byId.size;
  }

  get(docId: string): PooledDocument | undefined {
    return this.#byId.get(docId)?.document;
  }

  text(docId: string): string {
    const { offset, document } = this.#byId.get(docId)!;
    const bytes = Buffer.allocUnsafe(document.bytes);
    for (let done = 0; done < bytes.length; ) done += readSync(this.#spill, bytes, done, bytes.length - done, offset + done);
    return bytes.toString();
  }

  /** Adds a file: as a new document, as one more copy, or as a row that says why it is none. */
  async add({ id: source, largestFileBytes }: DataCard, file: SourceFile): Promise<void> {
    const number = this.#files++;
    const { path, repository, commit, license, bytes } = file;
    const isRead = bytes instanceof Uint8Array;
    const decoded = isRead ? cleanText(bytes, largestFileBytes) : { reason: bytes.reason };
    const docId = "text" in decoded ? docIdOf(decoded.text) : undefined;
    if ("text" in decoded) this.#keep(docId!, decoded.text, source, number, file);
    const [sizeBytes, digest] = isRead ? [bytes.length, sha256(bytes)] : [bytes.sizeBytes, undefined];
    const reason: Unreadable | UnreadReason | undefined = "text" in decoded ? undefined : decoded.reason;
    await this.#table.append({ doc_id: docId, source, path, repository, commit, license, size_bytes: sizeBytes, sha256: digest, reason });
  }

  addLicenseFile({ id: source }: DataCard, { bytes, repository, path }: SourceFile): void {
    if (!(bytes instanceof Uint8Array) || bytes.length > LARGEST_LICENSE_BYTES) return;
    this.licenseFiles.push({ source, repository, path, text: Buffer.from(bytes).toString() });
  }

  /** Ends the adding. */
  async seal(): Promise<void> {
    await this.#table.close();
  }

  /** Covers all that inner stages see: documents in their order with what stands for each, and licence files. */
  get digest(): string {
    const hash = createHash("sha256");
    for (const { document } of this.#byId.values()) hash.update(`${JSON.stringify(document)}\n`);
    for (const file of this.licenseFiles) hash.update(`${JSON.stringify(file)}\n`);
    return hash.digest("hex");
  }

  close(): void {
    closeSync(this.#spill);
  }

  #keep(docId: string, text: string, source: string, number: number, { bytes: _, ...file }: SourceFile): void {
    const known = this.#byId.get(docId);
    if (known === undefined) {
      const bytes = Buffer.from(text);
      writeSync(this.#spill, bytes, 0, bytes.length, this.#spilledBytes);
      this.#byId.set(docId, { offset: this.#spilledBytes, document: { ...file, docId, source, bytes: bytes.length, file: number, copies: 1, licenses: [file.license] } });
      this.#spilledBytes += bytes.length;
      return;
    }
    const { document } = known;
    const copies = document.copies + 1;
    const licenses = document.licenses.includes(file.license) ? document.licenses : [...document.licenses, file.license];
    const isBetter = this.#keeper === "most-stars" && isPreferred(file, document);
    known.document = isBetter ? { ...file, docId, source, bytes: document.bytes, file: number, copies, licenses } : { ...document, copies, licenses };
  }
}

function isPreferred(a: Omit<SourceFile, "bytes">, b: Omit<SourceFile, "bytes">): boolean {
  const [starsA, starsB] = [a.stars ?? 0, b.stars ?? 0];
  return starsA !== starsB ? starsA > starsB : (a.committedAt ?? "") > (b.committedAt ?? "");
}

const DOCUMENTS_PER_BREATH = 64;
const LARGEST_LICENSE_BYTES = 1 << 18;
