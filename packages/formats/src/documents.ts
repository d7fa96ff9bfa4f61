import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import parquet from "parquetjs";
import { z } from "zod";
import { FormatError } from "./errors.ts";

const rowSchema = z.strictObject({
  /** First 128 bits of the text's sha256, in hexadecimal. */
  docId: z.string(),
  /** Name of the data card it came by. */
  source: z.string(),
  /** Path within the source. */
  path: z.string(),
  language: z.string(),
  /** SPDX expression. */
  license: z.string(),
  split: z.enum(["train", "validation"]),
  text: z.string(),
});

/** One document of a corpus. */
export type DocumentRow = Readonly<z.infer<typeof rowSchema>>;

export type Split = DocumentRow["split"];

export const DOCUMENTS_FILE = "documents.parquet";

const schema = new parquet.ParquetSchema(
  Object.fromEntries(Object.keys(rowSchema.shape).map((name) => [name, { type: "UTF8", compression: "GZIP" }])) as ConstructorParameters<typeof parquet.ParquetSchema>[0],
);

export function docIdOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

/** Writes rows in the order given, as one Parquet file; equal rows give equal bytes. */
export async function writeDocuments(directory: string, rows: Iterable<DocumentRow> | AsyncIterable<DocumentRow>): Promise<void> {
  await mkdir(directory, { recursive: true });
  const writer = await parquet.ParquetWriter.openFile(schema, join(directory, DOCUMENTS_FILE));
  writer.setRowGroupSize(ROW_GROUP);
  let [groupRows, groupUnits] = [0, 0];
  for await (const row of rows) {
    [groupRows, groupUnits] = [groupRows + 1, groupUnits + row.text.length];
    const isLast = groupRows === ROW_GROUP || groupUnits >= GROUP_UNITS;
    writer.setRowGroupSize(isLast ? groupRows : ROW_GROUP); // it closes a group that has come to this size
    await writer.appendRow({ ...row });
    if (isLast) [groupRows, groupUnits] = [0, 0];
  }
  await writer.close();
}

/** How many rows there are. @throws FormatError as `readDocuments` */
export async function countDocuments(path: string): Promise<number> {
  const reader = await openDocuments(path);
  try {
    return Number(reader.getRowCount());
  } finally {
    await reader.close();
  }
}

/**
 * Reads rows in file order, a row group at a time.
 *
 * @throws FormatError `DocumentsCorrupt` naming the file and, where it is one, the row
 */
export async function* readDocuments(path: string): AsyncGenerator<DocumentRow> {
  const reader = await openDocuments(path);
  try {
    const cursor = reader.getCursor();
    for (let number = 1; ; number++) {
      const row: unknown = await cursor.next().catch((error: unknown) => {
        throw corruptDocuments(path, error);
      });
      if (row === null) return;
      const parsed = rowSchema.safeParse({ ...row });
      if (!parsed.success) throw new FormatError("DocumentsCorrupt", path, `row ${number}: expected a document, found\n${z.prettifyError(parsed.error)}`, REMAKE);
      yield parsed.data;
    }
  } finally {
    await reader.close();
  }
}

function openDocuments(path: string): Promise<parquet.ParquetReader> {
  return parquet.ParquetReader.openFile(path).catch((error: unknown) => {
    throw corruptDocuments(path, error);
  });
}

const corruptDocuments = (path: string, error: unknown) => new FormatError("DocumentsCorrupt", path, `expected a Parquet file of documents, found ${String(error)}`, REMAKE);

const REMAKE = "Run the corpus stage again";

/** A row group, which is in memory when it is written and read, ends at so many rows, or at so many UTF-16 units of text. */
const ROW_GROUP = 1024;
const GROUP_UNITS = 1 << 24;
