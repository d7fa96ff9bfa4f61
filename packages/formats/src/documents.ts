import { createHash } from "node:crypto";
import { join } from "node:path";
import parquet from "parquetjs";
import { FormatError } from "./errors.ts";

export type Split = "train" | "validation";

/** One document of a corpus. */
export interface DocumentRow {
  /** First 128 bits of the text's sha256, in hexadecimal. */
  readonly docId: string;
  /** Name of the data card it came by. */
  readonly source: string;
  /** Path within the source. */
  readonly path: string;
  readonly language: string;
  /** SPDX expression. */
  readonly license: string;
  readonly split: Split;
  readonly text: string;
}

export const DOCUMENTS_FILE = "documents.parquet";

const schema = new parquet.ParquetSchema(
  Object.fromEntries(
    ["docId", "source", "path", "language", "license", "split", "text"].map((name) => [name, { type: "UTF8", compression: "GZIP" }]),
  ) as ConstructorParameters<typeof parquet.ParquetSchema>[0],
);

export function docIdOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

/** Writes rows in the order given, as one Parquet file; equal rows give equal bytes. */
export async function writeDocuments(directory: string, rows: Iterable<DocumentRow>): Promise<void> {
  const writer = await parquet.ParquetWriter.openFile(schema, join(directory, DOCUMENTS_FILE));
  writer.setRowGroupSize(ROW_GROUP);
  for (const row of rows) await writer.appendRow({ ...row });
  await writer.close();
}

/**
 * Reads rows in file order, a row group at a time.
 *
 * @throws FormatError `DocumentsCorrupt`
 */
export async function* readDocuments(path: string): AsyncGenerator<DocumentRow> {
  const corrupt = (error: unknown) =>
    new FormatError("DocumentsCorrupt", path, `expected a Parquet file of documents, found ${String(error)}`, "Run the corpus stage again");
  const reader = await parquet.ParquetReader.openFile(path).catch((error: unknown) => {
    throw corrupt(error);
  });
  try {
    const cursor = reader.getCursor();
    for (;;) {
      const row = (await cursor.next().catch((error: unknown) => {
        throw corrupt(error);
      })) as DocumentRow | null;
      if (row === null) return;
      yield { ...row };
    }
  } finally {
    await reader.close();
  }
}

const ROW_GROUP = 1024;
