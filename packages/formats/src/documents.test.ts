import { mkdir, mkdtemp, readFile, readdir, readlink, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import parquet from "parquetjs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DOCUMENTS_FILE, countDocuments, docIdOf, readDocuments, writeDocuments, type DocumentRow } from "./documents.ts";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), "documents-")), "made", "by writing");
  path = join(directory, DOCUMENTS_FILE);
});
afterEach(() => rm(join(directory, "../.."), { recursive: true }));

const row = (text: string): DocumentRow => ({ docId: docIdOf(text), source: "card", path: "a/b.py", language: "python", license: "MIT", split: "train", text });
const read = (): Promise<DocumentRow[]> => Array.fromAsync(readDocuments(path));

/** A Parquet file of other columns or values than documents have. */
async function writeOther(columns: Readonly<Record<string, string>>, rows: readonly Record<string, unknown>[]): Promise<void> {
  await mkdir(directory, { recursive: true });
  const fields = Object.entries(columns).map(([name, type]) => [name, { type, optional: true }]);
  const writer = await parquet.ParquetWriter.openFile(new parquet.ParquetSchema(Object.fromEntries(fields) as never), path);
  for (const other of rows) await writer.appendRow(other);
  await writer.close();
}
const COLUMNS = { docId: "UTF8", source: "UTF8", path: "UTF8", language: "UTF8", license: "UTF8", split: "UTF8", text: "UTF8" };

describe("documents", () => {
  test("come back as they were, across row groups, from equal bytes", async () => {
    const rows = Array.from({ length: 2100 }, (_, i) => row(`print(${i}) # ünïcode ${"x".repeat(i % 7)}\n`));
    await writeDocuments(directory, rows);
    const bytes = await readFile(path);
    expect(await read()).toEqual(rows);
    await writeDocuments(directory, rows);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  test("of much text end a row group before it is full, for a group is in memory at a time", async () => {
    const long = { ...row("long"), text: "x".repeat(1 << 24) };
    const few = Array.from({ length: 1023 }, () => row("short"));
    await writeDocuments(directory, [row("short"), long, row("short"), ...few, row("short")]);
    const reader = await parquet.ParquetReader.openFile(path);
    expect(reader.metadata!.row_groups.map(({ num_rows }) => Number(num_rows))).toEqual([2, 1024, 1]);
    await reader.close();
    expect(await countDocuments(path)).toBe(1027);
  });

  test("may hold any text in any column", async () => {
    const any = fc.string({ unit: fc.constantFrom("a", "\u0000", "\n", "ö", "😀", '"') });
    const anyRow = fc.record({ docId: any, source: any, path: any, language: any, license: any, split: fc.constantFrom("train" as const, "validation" as const), text: any });
    await fc.assert(
      fc.asyncProperty(fc.array(anyRow, { maxLength: 12 }), async (rows) => {
        await writeDocuments(directory, rows);
        expect(await read()).toEqual(rows);
      }),
      { numRuns: 15, examples: [[[]]] },
    );
  });

  test("are a Parquet file that others can read: gzip, groups of 1024 rows", async () => {
    await writeDocuments(directory, Array.from({ length: 1500 }, (_, i) => row(String(i))));
    const reader = await parquet.ParquetReader.openFile(path);
    const groups = reader.metadata!.row_groups;
    expect(groups.map(({ num_rows }) => Number(num_rows))).toEqual([1024, 476]);
    expect(groups[0]!.columns.map((column) => column.meta_data!.path_in_schema.join())).toEqual(Object.keys(COLUMNS));
    expect(new Set(groups.flatMap(({ columns }) => columns.map((column) => column.meta_data!.codec)))).toEqual(new Set([2])); // GZIP
    await reader.close();
  });

  test("are taken from any iterable, as it goes", async () => {
    await writeDocuments(directory, (function* () {
      yield row("a");
      yield row("b");
    })());
    expect((await read()).map(({ text }) => text)).toEqual(["a", "b"]);
  });

  test.skipIf(process.platform !== "linux")("leave no file open, read to the end or not", async () => {
    await writeDocuments(directory, [row("a"), row("b")]);
    await read();
    for await (const { text } of readDocuments(path)) {
      expect(text).toBe("a");
      break;
    }
    const links = (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ""));
    expect(await Promise.all(links)).not.toContain(path);
  });
});

describe("a file that does not hold documents is DocumentsCorrupt", () => {
  const refused = (problem: RegExp) => {
    const reading = read();
    return Promise.all([
      expect(reading).rejects.toMatchObject({ code: "DocumentsCorrupt", retryable: false, details: { file: path } }),
      expect(reading).rejects.toThrow(problem),
      expect(reading).rejects.toThrow(/\. Run the corpus stage again$/),
    ]);
  };

  test("when it is none", async () => {
    await writeDocuments(directory, []);
    await writeFile(path, "text, not Parquet, and long enough for a footer");
    await refused(/documents\.parquet: expected a Parquet file of documents, found Error: not valid parquet file/);
  });

  test("when it is missing or empty", async () => {
    await refused(/found Error: ENOENT/);
    await writeDocuments(directory, []);
    await writeFile(path, "");
    await refused(/expected a Parquet file of documents, found/);
  });

  test("when it was cut off", async () => {
    await writeDocuments(directory, [row("x = 1\n")]);
    await truncate(path, (await readFile(path)).length - 1);
    await refused(/expected a Parquet file of documents, found/);
  });

  test("when bytes of a page were altered, after the rows before it", async () => {
    const rows = Array.from({ length: 1100 }, (_, i) => row(`text ${i}`));
    await writeDocuments(directory, rows);
    const bytes = await readFile(path);
    const reader = await parquet.ParquetReader.openFile(path);
    const start = Number(reader.metadata!.row_groups[1]!.columns[6]!.meta_data!.data_page_offset);
    await reader.close();
    bytes.fill(0xff, start + 30, start + 60);
    await writeFile(path, bytes);
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { text } of readDocuments(path)) seen.push(text);
    })();
    await expect(reading).rejects.toMatchObject({ code: "DocumentsCorrupt" });
    expect(seen).toHaveLength(1024);
  });

  test("never something else, whichever byte was altered", async () => {
    const rows = [row("a = 1\n"), row("b = 2\n")];
    await writeDocuments(directory, rows);
    const bytes = await readFile(path);
    let refusals = 0;
    for (let position = 0; position < bytes.length; position += 23) {
      const altered = Buffer.from(bytes);
      altered[position]! ^= 0x55;
      await writeFile(path, altered);
      await read().then(
        (found) => expect(found).toEqual(rows), // statistics and the like
        (error: unknown) => {
          expect(error).toMatchObject({ code: "DocumentsCorrupt" });
          refusals++;
        },
      );
    }
    expect(refusals).toBeGreaterThan(10);
  });

  test("when a column is missing, is one too many, or of another type", async () => {
    const { text: _, ...fewer } = COLUMNS;
    await writeOther(fewer, [row("x")]);
    await refused(/row 1: expected a document, found\n✖ Invalid input: expected string, received undefined\n {2}→ at text\. Run/);
    await writeOther({ ...COLUMNS, stars: "INT32" }, [{ ...row("x"), stars: 3 }]);
    await refused(/row 1: expected a document, found\n✖ Unrecognized key: "stars"/);
    await writeOther({ ...COLUMNS, text: "INT32" }, [{ ...row("x"), text: 3 }]);
    await refused(/expected string, received number\n {2}→ at text/);
  });

  test("when a value is missing or no split, naming the row", async () => {
    await writeOther(COLUMNS, [row("x"), { ...row("y"), split: "test" }]);
    await refused(/row 2: expected a document, found\n✖ Invalid option: expected one of "train"\|"validation"\n {2}→ at split/);
    const { license: _, ...incomplete } = row("y");
    await writeOther(COLUMNS, [row("x"), row("z"), incomplete]);
    await refused(/row 3: expected a document, found\n✖ Invalid input: expected string, received (null|undefined)\n {2}→ at license/);
  });
});

describe("docIdOf", () => {
  test("is the first half of the text's sha256", () => {
    // FIPS 180-4's example "abc", and the digest of nothing
    expect(docIdOf("abc")).toBe("ba7816bf8f01cfea414140de5dae2223");
    expect(docIdOf("")).toBe("e3b0c44298fc1c149afbf4c8996fb924");
  });
});
