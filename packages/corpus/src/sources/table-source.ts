import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { docIdOf } from "@diffucoder/formats";
import { describeSystemError, hashFile } from "@diffucoder/lineage";
import type { DataCard } from "../data-card.ts";
import { SourceCorrupt, SourceMissing } from "../errors.ts";
import type { CardCheck } from "../waivers.ts";
import { fetchPinned } from "./download.ts";
import { listJsonLines, parseRow, type JsonRow } from "./jsonl-rows.ts";
import { listParquetRows } from "./parquet-rows.ts";
import type { SourceEntry, SourceFile } from "./source-file.ts";

export type TableOrigin = Extract<DataCard["origin"], { kind: "table" }>;
type TableFile = TableOrigin["files"][number];
type Columns = TableOrigin["columns"];

/**
 * Rows of tables as files, in the order of the card and of the rows. The card says which columns hold what.
 *
 * @param check left out: digests that the card pins are not compared
 * @throws SourceMissing, SourceDrift; SourceCorrupt naming the file and the last row that was read
 */
export async function* listTable(card: Pick<DataCard, "id" | "directory" | "largestFileBytes">, origin: TableOrigin, check: CardCheck | undefined): AsyncGenerator<SourceEntry> {
  for (const file of origin.files) {
    const name = nameOf(file);
    const path = await locate(card, file, check);
    const corrupt = (row: number, cause: unknown) => new SourceCorrupt({ card: card.id, file: name, row, problem: (cause as Error).message, cause });
    let last = 0;
    try {
      for await (const { row, heldBytes, read } of rowsOf(path, name, origin.columns, card.largestFileBytes)) {
        last = row;
        const load = async () => {
          const found = await read().catch((cause: unknown) => {
            throw corrupt(row - 1, cause);
          });
          return placed("value" in found ? fileOf({ row, value: found.value }, name, origin) : { path: `${name}#${row}`, bytes: found, license: origin.license });
        };
        yield { heldBytes, load };
      }
    } catch (cause) {
      throw corrupt(last, cause);
    }
  }
}

/** A file with a short word for its repository, commit and path: another row may claim the same. */
function placed(file: SourceFile): SourceFile {
  const { repository, commit, path } = file;
  return { ...file, place: docIdOf(JSON.stringify([repository, commit, path])) };
}

export const nameOf = (file: TableFile): string => ("url" in file ? file.url : file.path);

/** Content of what the card does not pin. */
export async function unpinnedDigest(directory: string, file: TableFile): Promise<string> {
  return hashFile(resolve(directory, nameOf(file)));
}

async function locate({ id, directory }: Pick<DataCard, "id" | "directory">, file: TableFile, check: CardCheck | undefined): Promise<string> {
  if ("url" in file) return fetchPinned(id, file.url, file.sha256);
  const path = resolve(directory, file.path);
  await stat(path).catch((error: unknown) => {
    throw new SourceMissing(id, `a file at ${path}, found ${describeSystemError(error)}`, "Fetch the source or correct `origin.files` in the card.");
  });
  if (file.sha256 !== undefined && check !== undefined) check.expect(id, file.path, `sha256 ${file.sha256}`, `sha256 ${await hashFile(path)}`);
  return path;
}

/** A row of a table before it is read. */
interface TableRow {
  readonly row: number;
  readonly heldBytes: number;
  read(): Promise<{ readonly value: unknown } | Extract<JsonRow, { reason: unknown }>>;
}

async function* rowsOf(path: string, name: string, columns: Columns, largestFileBytes: number): AsyncGenerator<TableRow> {
  if (name.endsWith(".parquet")) {
    for await (const { row, read } of listParquetRows(path, Object.values(columns).filter((column) => column !== undefined))) {
      yield { row, heldBytes: 0, read: async () => ({ value: await read() }) };
    }
    return;
  }
  const compression = name.endsWith(".gz") ? "gzip" : name.endsWith(".zst") ? "zstd" : "none";
  // JSON writes a character in up to six.
  for await (const found of listJsonLines(path, { compression, largestLineBytes: 6 * largestFileBytes + (1 << 16) })) {
    yield { row: found.row, heldBytes: typeof found.line === "number" ? 0 : found.line.length, read: async () => parseRow(found) };
  }
}

function fileOf({ row, value }: { row: number; value: unknown }, name: string, { columns, license }: TableOrigin): SourceFile {
  const record = (typeof value === "object" && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
  const text = (column: string | undefined): string | undefined => {
    const found = column === undefined ? undefined : record[column];
    // The Stack's lists of licences: every one of them counts.
    if (Array.isArray(found)) return found.length === 0 ? undefined : found.join(" AND ");
    return typeof found === "string" && found !== "" ? found : undefined;
  };
  const content = record[columns.content];
  const stars = columns.stars === undefined ? undefined : Number(record[columns.stars] ?? Number.NaN);
  const [repository, commit, committedAt] = [text(columns.repository), text(columns.commit), text(columns.committedAt)];
  return {
    path: text(columns.path) ?? `${name}#${row}`,
    bytes: typeof content === "string" ? Buffer.from(content) : { reason: "malformed-row", sizeBytes: 0 },
    license: text(columns.license) ?? license,
    ...(repository === undefined ? {} : { repository }),
    ...(commit === undefined ? {} : { commit }),
    ...(committedAt === undefined ? {} : { committedAt }),
    ...(stars === undefined || Number.isNaN(stars) ? {} : { stars }),
  };
}
