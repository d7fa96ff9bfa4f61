import { mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { hashFile, type BlobStore } from "./blob-store.ts";
import { NondeterminismError } from "./errors.ts";
import { canonicalJson, sha256, type JsonObject } from "./json.ts";
import type { RecordStore } from "./record-store.ts";

/** Files that a unit of a stage's work has left, to be read only. */
export interface Piece {
  /** sha256 of what the unit depends on. */
  readonly key: string;
  readonly files: Readonly<Record<string, PieceFile & { readonly location: string }>>;
  /** Whether an earlier run had made it. */
  readonly isFound: boolean;
}

export interface PieceFile {
  readonly sha256: string;
  readonly bytes: number;
}

interface PieceRecord {
  readonly files: Readonly<Record<string, PieceFile>>;
}

/**
 * Finished units of work, so that what an attempt or another process has done is found and not done again. They only
 * save time: a piece that is damaged or gone is made anew.
 */
export class PieceStore {
  readonly #blobs: BlobStore;
  readonly #records: RecordStore;

  constructor(blobs: BlobStore, records: RecordStore) {
    this.#blobs = blobs;
    this.#records = records;
  }

  /**
   * What a unit of work has left: found, or made in a folder of its own below `scratch` and kept.
   *
   * @param facts all that the files depend on, the unit's code among it
   */
  async findOrMake(facts: JsonObject, scratch: string, make: (directory: string) => Promise<void>): Promise<Piece> {
    const key = sha256(canonicalJson(facts));
    const found = await this.#find(key);
    if (found !== undefined) return found;
    const directory = await mkdtemp(join(scratch, "piece-"));
    try {
      await make(directory);
      return await this.#keep(key, directory);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  /** Takes a piece's record away: what it was made from turned out not to be what its key says. */
  async forget(key: string): Promise<void> {
    await this.#records.remove(key, RECORD);
  }

  /** Digests of the blobs of all pieces that were made or used since a time, in milliseconds. */
  async blobsUsedSince(time: number): Promise<Set<string>> {
    const used = new Set<string>();
    for (const key of await this.#records.folders()) {
      if (((await this.#records.usedAt(key, RECORD)) ?? 0) < time) continue;
      for (const { sha256 } of Object.values((await this.#records.get<PieceRecord>(key, RECORD))?.files ?? {})) used.add(sha256);
    }
    return used;
  }

  /** The piece under a key, if every byte of it is right; it then counts as used now. */
  async #find(key: string): Promise<Piece | undefined> {
    const record = await this.#records.get<PieceRecord>(key, RECORD);
    const piece = record === undefined ? undefined : await this.#locate(key, record, true);
    if (piece !== undefined) await this.#records.touch(key, RECORD);
    return piece;
  }

  /** Keeps the files of a finished folder. The record is written last: until then there is no piece. */
  async #keep(key: string, directory: string): Promise<Piece> {
    const files: Record<string, PieceFile> = {};
    for (const name of (await readdir(directory)).sort()) files[name] = await this.#blobs.putFile(join(directory, name));
    if (!(await this.#records.putIfAbsent(key, RECORD, { files }))) await this.#checkAgreement(key, files);
    await this.#records.touch(key, RECORD);
    return (await this.#locate(key, { files }, false))!;
  }

  async #locate(key: string, { files }: PieceRecord, isFound: boolean): Promise<Piece | undefined> {
    const located: Record<string, Piece["files"][string]> = {};
    for (const [name, file] of Object.entries(files)) {
      const location = await this.#blobs.locate(file.sha256);
      if (location === undefined || (isFound && (await hashFile(location)) !== file.sha256)) return undefined;
      located[name] = { ...file, location };
    }
    return { key, files: located, isFound };
  }

  async #checkAgreement(key: string, files: PieceRecord["files"]): Promise<void> {
    const first = (await this.#records.get<PieceRecord>(key, RECORD))?.files ?? files;
    for (const [name, { sha256 }] of Object.entries(files)) {
      if (first[name]?.sha256 !== sha256) throw new NondeterminismError(key, name, first[name]?.sha256 ?? "nothing", sha256);
    }
  }
}

const RECORD = "piece";
