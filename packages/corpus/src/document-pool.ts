import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { TableWriter, tablePath, type Columns } from "./attribute-table.ts";
import type { KeeperRule } from "./near-duplicates/keeper-order.ts";
import { recordsOf, type FileRecord, type ReadSlice } from "./sources/read-slice.ts";
import type { SourceFile } from "./sources/source-file.ts";

/** A distinct text, and the file of several equal ones that stands for it. Its text lies on the disk. */
export interface PooledDocument extends Omit<SourceFile, "bytes" | "sha256" | "place"> {
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
  /** Slice of its first file, which holds the text from there on. */
  readonly slice: number;
  readonly offset: number;
  /** Slice of the file that stands for it. */
  standsIn: number;
}

type Breathe = (visited: number, documents: number) => Promise<void> | void;

/**
 * The distinct texts of slices of the sources. Texts stay in the slices' files; in memory are a few hundred bytes for
 * each.
 */
export class DocumentPool {
  readonly licenseFiles: LicenseFile[] = [];
  readonly #slices: ReadSlice[] = [];
  readonly #byId = new Map<string, Pooled>();
  /** By source, the places of its files and the slice of the first file there. */
  readonly #places = new Map<string, Map<string, number>>();
  readonly #doubtful = new Set<string>();
  /** One string for all equal ones, and one list for all documents of a single licence: parsed lines hold a copy each. */
  readonly #names = new Map<string, string>();
  readonly #single = new Map<string, readonly string[]>();
  readonly #texts = new Map<number, number>();
  readonly #keeper: KeeperRule;
  readonly #breathe: Breathe;
  readonly #table: TableWriter | undefined;
  #files = 0;

  private constructor(keeper: KeeperRule, table: TableWriter | undefined, breathe: Breathe) {
    this.#breathe = breathe;
    this.#keeper = keeper;
    this.#table = table;
  }

  /**
   * @param tables folder for the table of files; none is written without it
   * @param breathe lets others work, and tells how far a visit is
   * @param keeper which of equal files stands for them: the first, or the one with most stars, then the newest
   */
  static async create(options: { tables?: string; keeper: KeeperRule; breathe?: Breathe }): Promise<DocumentPool> {
    const { tables, keeper, breathe = () => {} } = options;
    return new DocumentPool(keeper, tables === undefined ? undefined : await TableWriter.open(tablePath(tables, FILES_TABLE), FILE_COLUMNS), breathe);
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
    const { slice, offset, document } = this.#byId.get(docId)!;
    const [texts, bytes] = [this.#open(slice), Buffer.allocUnsafe(document.bytes)];
    for (let done = 0; done < bytes.length; ) done += readSync(texts, bytes, done, bytes.length - done, offset + done);
    return bytes.toString();
  }

  /** Slices in the order of the sources. */
  get slices(): readonly ReadSlice[] {
    return this.#slices;
  }

  /**
   * In which slice a document is first found, and in which one lies the file that stands for it.
   *
   * @returns also whether, of that slice alone, another file would stand for it
   */
  whereabouts(docId: string): { readonly first: number; readonly stands: number; readonly isDoubtful: boolean } {
    const { slice, standsIn } = this.#byId.get(docId)!;
    return { first: slice, stands: standsIn, isDoubtful: this.#doubtful.has(`${standsIn} ${docId}`) };
  }

  /**
   * Adds the files of a slice, each as a new document, as one more copy, or as a row that says why it is none.
   *
   * @param visit called with each, and whether its place in the source was free
   */
  async add(source: string, slice: ReadSlice, visit: (record: FileRecord, isPlaceFree: boolean) => void = () => {}): Promise<void> {
    const number = this.#slices.push(slice) - 1;
    for (const record of await recordsOf(slice)) {
      const { repository, path, licence } = record;
      const isPlaceFree = this.#claim(source, record, number);
      if (licence !== undefined && isPlaceFree) this.licenseFiles.push({ source, repository, path, text: licence });
      if (record.role === "included") await this.#addIncluded(source, isPlaceFree ? record : withoutPlace(record), number);
      visit(record, isPlaceFree);
    }
  }

  /** Ends the adding. */
  async seal(): Promise<void> {
    await this.#table?.close();
    this.#places.clear();
  }

  /** Covers all that inner stages see: documents in their order with what stands for each, and licence files. */
  get digest(): string {
    const hash = createHash("sha256");
    for (const { document } of this.#byId.values()) hash.update(`${JSON.stringify(document)}\n`);
    for (const file of this.licenseFiles) hash.update(`${JSON.stringify(file)}\n`);
    return hash.digest("hex");
  }

  close(): void {
    for (const texts of this.#texts.values()) closeSync(texts);
    this.#texts.clear();
  }

  #open(slice: number): number {
    const known = this.#texts.get(slice);
    if (known !== undefined) return known;
    const [oldest] = this.#texts;
    if (oldest !== undefined && this.#texts.size === MOST_OPEN_FILES) {
      closeSync(oldest[1]);
      this.#texts.delete(oldest[0]);
    }
    const texts = openSync(this.#slices[slice]!.files.texts!.location, "r");
    this.#texts.set(slice, texts);
    return texts;
  }

  /** Whether no earlier file of the source is at the place of this one. */
  #claim(source: string, { place, text }: FileRecord, slice: number): boolean {
    if (place === undefined) return true;
    const places = this.#places.get(source) ?? new Map<string, number>();
    this.#places.set(source, places);
    const taken = places.get(place);
    if (taken === undefined) places.set(place, slice);
    else if (taken !== slice && text !== undefined) this.#doubtful.add(`${slice} ${text.docId}`);
    return taken === undefined;
  }

  async #addIncluded(source: string, record: FileRecord, slice: number): Promise<void> {
    const number = this.#files++;
    const { path, repository, commit, license, sizeBytes, sha256, text, reason } = record;
    if (text !== undefined) this.#keep(text, source, number, record, slice);
    await this.#table?.append({ doc_id: text?.docId, source, path, repository, commit, license, size_bytes: sizeBytes, sha256, reason });
  }

  #keep({ docId, offset, bytes }: FileRecord["text"] & object, source: string, number: number, record: FileRecord, slice: number): void {
    const { role: _, sizeBytes: _size, sha256: _sha256, inTree: _inTree, text: _text, place: _place, licence: _licence, license: claim, repository, commit, ...rest } = record;
    const license = this.#shared(claim);
    const origin = { ...(repository === undefined ? {} : { repository: this.#shared(repository) }), ...(commit === undefined ? {} : { commit: this.#shared(commit) }) };
    const file = { ...rest, license, ...origin };
    const known = this.#byId.get(docId);
    if (known === undefined) {
      const licenses = this.#single.get(license) ?? [license];
      this.#single.set(license, licenses);
      this.#byId.set(docId, { slice, offset, standsIn: slice, document: { ...file, docId, source, bytes, file: number, copies: 1, licenses } });
      return;
    }
    const { document } = known;
    const copies = document.copies + 1;
    const licenses = document.licenses.includes(file.license) ? document.licenses : [...document.licenses, file.license];
    const isBetter = this.#keeper === "most-stars" && isPreferred(file, document);
    known.document = isBetter ? { ...file, docId, source, bytes, file: number, copies, licenses } : { ...document, copies, licenses };
    if (isBetter) known.standsIn = slice;
  }

  #shared(name: string): string {
    const known = this.#names.get(name) ?? name;
    this.#names.set(name, known);
    return known;
  }
}

const withoutPlace = ({ text: _, sha256: _sha256, ...record }: FileRecord): FileRecord => ({ ...record, reason: "duplicate-path" });

function isPreferred(a: Pick<SourceFile, "stars" | "committedAt">, b: Pick<SourceFile, "stars" | "committedAt">): boolean {
  const [starsA, starsB] = [a.stars ?? 0, b.stars ?? 0];
  return starsA !== starsB ? starsA > starsB : (a.committedAt ?? "") > (b.committedAt ?? "");
}

const DOCUMENTS_PER_BREATH = 64;
const MOST_OPEN_FILES = 256;
