import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { docIdOf } from "@diffucoder/formats";
import { codeIdentity, sha256, type PartContext, type Piece } from "@diffucoder/lineage";
import type { DataCard } from "../data-card.ts";
import { cleanText, type Unreadable } from "./clean-text.ts";
import { roleOf, type FileRole } from "./file-role.ts";
import type { SourceEntry, SourceFile, UnreadReason } from "./source-file.ts";

/** What is kept of a file that was read: a line of a slice's `files.jsonl`. */
export interface FileRecord extends Omit<SourceFile, "bytes" | "sha256"> {
  readonly role: FileRole;
  /** Of what was fetched. */
  readonly sizeBytes: number;
  /** Of what was read. */
  readonly sha256?: string;
  /** As the digest of its tree has it. */
  readonly inTree?: string;
  /** The text that it became, which lies in the slice's `texts`, once for all files that hold it. */
  readonly text?: { readonly docId: string; readonly offset: number; readonly bytes: number };
  /** Why it became none. */
  readonly reason?: Unreadable | UnreadReason;
  /** What a licence file says. */
  readonly licence?: string;
}

/** A slice of a source that has been read: `files.jsonl` and `texts`. */
export type ReadSlice = Piece;

/**
 * Reads the files of a slice into a piece, or finds that it has been done.
 *
 * @param source the source's identity in the stage key
 * @param number of the slice within its source
 * @param breathe called now and then
 */
export async function readSlice(options: {
  readonly card: DataCard;
  readonly source: string;
  readonly number: number;
  readonly entries: readonly SourceEntry[];
  readonly context: Pick<PartContext, "pieces" | "scratchDir">;
  readonly breathe: () => Promise<void>;
}): Promise<ReadSlice> {
  const { card, source, number, entries, context, breathe } = options;
  const { digest: code } = await codeIdentity({ entry: import.meta.filename });
  return context.pieces.findOrMake({ unit: "corpus slice", code, source, number }, context.scratchDir, async (directory) => {
    const [records, texts] = await Promise.all([open(join(directory, "files.jsonl"), "wx"), open(join(directory, "texts"), "wx")]);
    try {
      const known = new Map<string, number>();
      let end = 0;
      for (const [index, entry] of entries.entries()) {
        if (index % FILES_PER_BREATH === 0) await breathe();
        const file = await entry.load();
        const { text, ...record } = recordOf(card, file);
        let place: FileRecord["text"];
        if (text !== undefined) {
          const [docId, bytes] = [docIdOf(text), Buffer.from(text)];
          const offset = known.get(docId) ?? end;
          place = { docId, offset, bytes: bytes.length };
          if (offset === end) {
            await texts.write(bytes);
            known.set(docId, offset);
            end += bytes.length;
          }
        }
        await records.write(`${JSON.stringify({ ...record, text: place } satisfies { [K in keyof FileRecord]: FileRecord[K] | undefined })}\n`);
      }
    } finally {
      await Promise.all([records.close(), texts.close()]);
    }
  });
}

const FILES_PER_BREATH = 64;

function recordOf({ largestFileBytes, ...card }: DataCard, { bytes, sha256: inTree, ...rest }: SourceFile): Omit<FileRecord, "text"> & { readonly text?: string } {
  const role = roleOf(card, rest.path);
  const file = { ...rest, role, ...(inTree === undefined ? {} : { inTree }) };
  if (!(bytes instanceof Uint8Array)) return { ...file, sizeBytes: bytes.sizeBytes, reason: bytes.reason };
  const found = { ...file, sizeBytes: bytes.length };
  if (role === "included") return { ...found, sha256: inTree ?? sha256(bytes), ...cleanText(bytes, largestFileBytes) };
  return role === "licence" && bytes.length <= LARGEST_LICENSE_BYTES ? { ...found, licence: Buffer.from(bytes).toString() } : found;
}

const LARGEST_LICENSE_BYTES = 1 << 18;

/** Files of a slice in their order. */
export async function recordsOf(slice: ReadSlice): Promise<FileRecord[]> {
  return (await readLines(slice.files["files.jsonl"]!.location)) as FileRecord[];
}

/** Values of a small file of JSON lines. */
export async function readLines(path: string): Promise<unknown[]> {
  return (await readFile(path, "utf8")).split("\n").slice(0, -1).map((line) => JSON.parse(line) as unknown);
}
