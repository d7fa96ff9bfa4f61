import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../test/temporary-directory.ts";
import { TableCursor, TableWriter, readTable, writeTable, type Row } from "./attribute-table.ts";

const COLUMNS = { doc_id: "text", note: "text?", value: "number?", count: "count" } as const;

test("rows come back as they were written, with what they leave out left out", async () => {
  const path = join(await temporaryDirectory(), "t.parquet");
  // -0 + 0 is 0: the sign of zero is no part of a table.
  const row = fc.record(
    { doc_id: fc.stringMatching(/^[0-9a-f]{4}$/), note: fc.string({ unit: "grapheme" }), value: fc.double({ noNaN: true }).map((value) => value + 0), count: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }) },
    { requiredKeys: ["doc_id", "count"] },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(row, { maxLength: 20 }), async (rows) => {
      expect(await writeTable(path, COLUMNS, rows as Row[])).toBe(rows.length);
      expect(await Array.fromAsync(readTable(path))).toEqual(rows);
    }),
    { numRuns: 25 },
  );
});

test("equal rows give equal bytes, over any number of row groups", async () => {
  const directory = await temporaryDirectory();
  const rows = Array.from({ length: 4500 }, (_, i) => ({ doc_id: String(i), count: i, ...(i % 2 === 0 ? {} : { value: i / 7 }) }));
  await writeTable(join(directory, "a"), COLUMNS, rows);
  await writeTable(join(directory, "b"), COLUMNS, rows);
  expect(await readFile(join(directory, "b"))).toEqual(await readFile(join(directory, "a")));
  expect(await Array.fromAsync(readTable(join(directory, "a")))).toEqual(rows);
});

test("a table has its name only when it is whole", async () => {
  const directory = await temporaryDirectory();
  const writer = await TableWriter.open(join(directory, "t.parquet"), COLUMNS);
  await writer.append({ doc_id: "a", count: 1 });
  expect(await readdir(directory)).toEqual(["t.parquet.unfinished"]);
  await writer.close();
  expect(await readdir(directory)).toEqual(["t.parquet"]);
});

test("a damaged table is an error with its path", async () => {
  const path = join(await temporaryDirectory(), "t.parquet");
  await writeFile(path, "no table");
  await expect(Array.fromAsync(readTable(path))).rejects.toMatchObject({ code: "TableCorrupt", details: { path, row: 0 } });
});

test("a cursor gives each document its rows, none or several, in step with the documents", async () => {
  const path = join(await temporaryDirectory(), "t.parquet");
  await writeTable(path, COLUMNS, ["a", "c", "c", "d"].map((doc_id, count) => ({ doc_id, count })));
  const cursor = new TableCursor(path);
  const counts = [];
  for (const docId of ["a", "b", "c", "d", "e"]) counts.push((await cursor.rowsOf(docId)).map(({ count }) => count));
  expect(counts).toEqual([[0], [], [1, 2], [3], []]);
});
