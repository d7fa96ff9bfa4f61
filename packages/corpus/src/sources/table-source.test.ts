import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256 } from "@diffucoder/lineage";
import parquet from "parquetjs";
import { expect, test } from "vitest";
import { loadEntries } from "../../test/load-entries.ts";
import { temporaryDirectory, writeTree } from "../../test/temporary-directory.ts";
import { CardCheck } from "../waivers.ts";
import { listTable, type TableOrigin } from "./table-source.ts";

const COLUMNS = { content: "text", path: "name", license: "licences", repository: "repo", commit: "rev", stars: "stars", committedAt: "at" };

async function read(directory: string, files: TableOrigin["files"], columns: TableOrigin["columns"] = COLUMNS, check = new CardCheck()) {
  return loadEntries(listTable({ id: "tiny", directory, largestFileBytes: 100 }, { kind: "table", files, columns, license: "LicenseRef-unknown" }, check));
}

const asText = <T extends { bytes: unknown; place?: string }>({ bytes, place: _, ...rest }: T) => ({ ...rest, bytes: bytes instanceof Uint8Array ? Buffer.from(bytes).toString() : bytes });

const ROW = { text: "x = 1\n", name: "a.py", licences: ["MIT", "Apache-2.0"], repo: "o/r", rev: "abc", stars: 7, at: "2024-01-01T00:00:00Z" };
const FILE = { path: "a.py", bytes: "x = 1\n", license: "MIT AND Apache-2.0", repository: "o/r", commit: "abc", stars: 7, committedAt: "2024-01-01T00:00:00Z" };

test("the card says which columns hold what; what a row leaves out is the card's, or nobody's", async () => {
  const directory = await temporaryDirectory();
  const rows = [ROW, { text: "y", licences: "ISC", stars: null }, { text: "z", licences: [] }];
  await writeTree(directory, { "t.jsonl": rows.map((row) => JSON.stringify(row)).join("\n") });
  expect((await read(directory, [{ path: "t.jsonl" }])).map(asText)).toEqual([
    FILE,
    { path: "t.jsonl#2", bytes: "y", license: "ISC" },
    { path: "t.jsonl#3", bytes: "z", license: "LicenseRef-unknown" },
  ]);
});

test("a row without a text, and one that is no record, is told with its row", async () => {
  const directory = await temporaryDirectory();
  await writeTree(directory, { "t.jsonl": '{"name":"a.py"}\n17\n{broken\n' + JSON.stringify({ ...ROW, text: "x".repeat(1 << 17) }) });
  expect((await read(directory, [{ path: "t.jsonl" }])).map(({ path, bytes }) => [path, "reason" in bytes ? bytes.reason : bytes.length])).toEqual([
    ["a.py", "malformed-row"],
    ["t.jsonl#2", "malformed-row"],
    ["t.jsonl#3", "malformed-row"],
    ["t.jsonl#4", "too-large"],
  ]);
});

test("rows that claim one place, with another text or the same, are told by it", async () => {
  const directory = await temporaryDirectory();
  const rows = [ROW, { ...ROW, text: "other" }, { ...ROW, rev: "def" }, { ...ROW, repo: "o/s" }, { text: "p" }, { text: "q" }];
  await writeTree(directory, { "t.jsonl": rows.map((row) => JSON.stringify(row)).join("\n") });
  const places = (await read(directory, [{ path: "t.jsonl" }])).map(({ place }) => place);
  expect(places.map((place) => places.indexOf(place))).toEqual([0, 0, 2, 3, 4, 5]);
});

async function writeParquet(path: string, rows: readonly (typeof ROW)[]): Promise<void> {
  const schema = new parquet.ParquetSchema({
    text: { type: "UTF8", compression: "SNAPPY" },
    name: { type: "UTF8", compression: "GZIP" },
    licences: { type: "UTF8", repeated: true },
    repo: { type: "UTF8" },
    rev: { type: "UTF8" },
    stars: { type: "INT64" },
    at: { type: "UTF8" },
    unread: { type: "DOUBLE", optional: true },
  });
  const writer = await parquet.ParquetWriter.openFile(schema, path);
  writer.setRowGroupSize(2);
  for (const row of rows) await writer.appendRow({ ...row });
  await writer.close();
}

test("rows of Parquet are read like those of JSON lines, over row groups", async () => {
  const directory = await temporaryDirectory();
  await writeParquet(join(directory, "t.parquet"), [ROW, ...[1, 2, 3].map((i) => ({ ...ROW, name: `${i}.py` }))]);
  expect((await read(directory, [{ path: "t.parquet" }])).map(asText)).toEqual([FILE, ...[1, 2, 3].map((i) => ({ ...FILE, path: `${i}.py` }))]);
});

test("a damaged table is an error with the file and the last row that was read, whatever the damage", async () => {
  const directory = await temporaryDirectory();
  const path = join(directory, "t.parquet");
  await writeParquet(path, [ROW]);
  const whole = await readFile(path);
  const damaged = Buffer.from(whole);
  damaged.fill(0xff, 4, 40);
  const cases: [string, Uint8Array][] = [["cut off", whole.subarray(0, whole.length - 9)], ["not Parquet", Buffer.from("text")], ["empty", Buffer.alloc(0)], ["overwritten", damaged]];
  for (const [name, content] of cases) {
    await writeFile(path, content);
    await expect(read(directory, [{ path: "t.parquet" }]), name).rejects.toMatchObject({ code: "SourceCorrupt", retryable: false, details: { card: "tiny", file: "t.parquet", row: 0 } });
  }
  await writeFile(path, whole);
  await expect(read(directory, [{ path: "t.parquet" }], { content: "code" })).rejects.toMatchObject({ code: "SourceCorrupt", message: expect.stringContaining("expected columns code, found none called code") as string });
  await writeTree(directory, { "t.jsonl.gz": "1" });
  await expect(read(directory, [{ path: "t.jsonl.gz" }])).rejects.toMatchObject({ code: "SourceCorrupt", details: { file: "t.jsonl.gz", row: 0 } });
});

test("a pinned file that drifted, and one that is not there, are told before a row is read; a waiver lets one finding pass", async () => {
  const directory = await temporaryDirectory();
  await writeTree(directory, { "t.jsonl": JSON.stringify(ROW) });
  const pinned = [{ path: "t.jsonl", sha256: "a".repeat(64) }];
  const found = `sha256 ${sha256(JSON.stringify(ROW))}`;
  await expect(read(directory, pinned)).rejects.toMatchObject({ code: "SourceDrift", details: { card: "tiny", subject: "t.jsonl", expected: `sha256 ${"a".repeat(64)}`, found } });
  const waiver = { card: "tiny", subject: "t.jsonl", found, reason: "a comma was added" };
  const check = new CardCheck([waiver]);
  expect(await read(directory, pinned, COLUMNS, check)).toHaveLength(1);
  expect(check.used).toEqual([{ ...waiver, expected: `sha256 ${"a".repeat(64)}` }]);
  for (const other of [{ card: "other" }, { subject: "u.jsonl" }, { found: "sha256 b" }]) {
    await expect(read(directory, pinned, COLUMNS, new CardCheck([{ ...waiver, ...other }]))).rejects.toMatchObject({ code: "SourceDrift" });
  }
  await expect(read(directory, [{ path: "u.jsonl" }])).rejects.toMatchObject({ code: "SourceMissing" });
});
