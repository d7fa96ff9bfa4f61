import { rename } from "node:fs/promises";
import { join } from "node:path";
import { StageError } from "@diffucoder/lineage";
import parquet from "parquetjs";

/** What a column holds; a question mark lets a row leave it out. */
export type ColumnType = "text" | "text?" | "number" | "number?" | "count" | "count?";

export type Columns = Readonly<Record<string, ColumnType>>;

export type Value = string | number;

/** One row: a value for each column that has one. */
export type Row = Readonly<Record<string, Value | undefined>>;

const PARQUET_TYPES = { text: "UTF8", number: "DOUBLE", count: "INT32" } as const;

/**
 * Writes a table of attributes as one Parquet file, row by row. The file has its name only when it is whole; equal rows
 * give equal bytes.
 */
export class TableWriter {
  rows = 0;
  readonly #path: string;
  readonly #columns: readonly string[];
  readonly #writer: parquet.ParquetWriter;

  private constructor(path: string, columns: Columns, writer: parquet.ParquetWriter) {
    this.#path = path;
    this.#columns = Object.keys(columns);
    this.#writer = writer;
  }

  static async open(path: string, columns: Columns): Promise<TableWriter> {
    const fields = Object.entries(columns).map(([name, type]) => [name, { type: PARQUET_TYPES[type.replace("?", "") as keyof typeof PARQUET_TYPES], optional: type.endsWith("?"), compression: "GZIP" }] as const);
    const writer = await parquet.ParquetWriter.openFile(new parquet.ParquetSchema(Object.fromEntries(fields)), `${path}.unfinished`);
    writer.setRowGroupSize(ROWS_PER_GROUP);
    return new TableWriter(path, columns, writer);
  }

  async append(row: Row): Promise<void> {
    this.rows++;
    await this.#writer.appendRow(Object.fromEntries(this.#columns.flatMap((name) => (row[name] === undefined ? [] : [[name, row[name]]]))));
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await rename(`${this.#path}.unfinished`, this.#path);
  }
}

/** Where a table lies in a folder of tables. */
export const tablePath = (folder: string, name: string): string => join(folder, `${name}.parquet`);

/** @returns how many rows there are */
export async function writeTable(path: string, columns: Columns, rows: AsyncIterable<Row> | Iterable<Row>): Promise<number> {
  const writer = await TableWriter.open(path, columns);
  for await (const row of rows) await writer.append(row);
  await writer.close();
  return writer.rows;
}

/** Rows in file order. @throws TableCorrupt naming the file and the row */
export async function* readTable(path: string): AsyncGenerator<Row> {
  let row = 0;
  const corrupt = (cause: unknown) => new TableCorrupt(path, row, cause);
  const reader = await parquet.ParquetReader.openFile(path).catch((error: unknown) => {
    throw corrupt(error);
  });
  try {
    const cursor = reader.getCursor();
    for (;;) {
      const found = (await cursor.next().catch((error: unknown) => {
        throw corrupt(error);
      })) as Record<string, Value | null> | null;
      if (found === null) return;
      row++;
      yield Object.fromEntries(Object.entries(found).filter((entry): entry is [string, Value] => entry[1] !== null));
    }
  } finally {
    await reader.close();
  }
}

export class TableCorrupt extends StageError {
  constructor(path: string, row: number, cause: unknown) {
    super({ code: "TableCorrupt", message: `${path}, after row ${row}: expected a table of attributes, found ${String(cause)}. Run the corpus stage again.`, retryable: false, details: { path, row }, cause });
  }
}

const ROWS_PER_GROUP = 4096;

/** Reads a table beside the documents that it is of: rows must be in the documents' order. */
export class TableCursor {
  readonly #rows: AsyncIterator<Row>;
  #next: Promise<IteratorResult<Row>>;

  constructor(path: string) {
    this.#rows = readTable(path);
    this.#next = this.#rows.next();
  }

  /** The rows of the next document. */
  async rowsOf(docId: string): Promise<Row[]> {
    const rows: Row[] = [];
    for (;;) {
      const { done, value } = await this.#next;
      if (done === true || (value as Row).doc_id !== docId) return rows;
      rows.push(value as Row);
      this.#next = this.#rows.next();
    }
  }
}
