import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../../test/temporary-directory.ts";
import { listJsonLines, parseRow, type JsonRowsOptions } from "./jsonl-rows.ts";

async function read(content: string | Uint8Array, options: Partial<JsonRowsOptions> = {}) {
  const path = join(await temporaryDirectory(), "rows");
  await writeFile(path, content);
  return (await Array.fromAsync(listJsonLines(path, { compression: "none", largestLineBytes: 1000, ...options }))).map(parseRow);
}

test("rows are numbered from 1, blank lines are none, and the last needs no line end", async () => {
  expect(await read('{"a":1}\r\n\n[2]\n"three"')).toEqual([
    { row: 1, value: { a: 1 } },
    { row: 2, value: [2] },
    { row: 3, value: "three" },
  ]);
});

test("the same rows come out of a file as it is, gzipped or in Zstandard, longer than what is read at once", async () => {
  const rows = fc.array(fc.jsonValue(), { minLength: 1, maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(rows, async (values) => {
      const text = values.map((value) => `${JSON.stringify(value)}\n`).join("").repeat(30);
      const expected = Array.from({ length: 30 }, () => values).flat().map((value, i) => ({ row: i + 1, value: JSON.parse(JSON.stringify(value)) as unknown }));
      for (const [compression, content] of [["none", Buffer.from(text)], ["gzip", gzipSync(text)], ["zstd", zstdCompressSync(text)]] as const) {
        expect(await read(content, { compression, largestLineBytes: 1 << 20 })).toEqual(expected);
      }
    }),
    { numRuns: 20 },
  );
});

test("a line that is too long is told by its length, and those after it are read", async () => {
  const long = 40 << 20;
  expect(await read(Buffer.concat([Buffer.from("1\n"), Buffer.alloc(long, "x"), Buffer.from("\n2\n")]))).toEqual([
    { row: 1, value: 1 },
    { row: 2, reason: "too-large", sizeBytes: long },
    { row: 3, value: 2 },
  ]);
  expect(await read(`${"1".repeat(1000)}\n`)).toHaveLength(1);
  expect(await read(`${"1".repeat(1001)}`)).toEqual([{ row: 1, reason: "too-large", sizeBytes: 1001 }]);
});

test.each([
  ["no JSON", '{"a":'],
  ["no UTF-8", Uint8Array.of(0x22, 0xff, 0x22)],
])("a line that is %s is told by its row", async (_, line) => {
  expect(await read(Buffer.concat([Buffer.from("1\n"), Buffer.from(line as string), Buffer.from("\n2\n")]))).toEqual([
    { row: 1, value: 1 },
    { row: 2, reason: "malformed-row", sizeBytes: expect.any(Number) as number },
    { row: 3, value: 2 },
  ]);
});

test("a file that is cut off or no archive at all fails where it does, after the rows before", async () => {
  const packed = gzipSync(Array.from({ length: 2000 }, (_, i) => `${i}\n`).join(""));
  const path = join(await temporaryDirectory(), "rows");
  await writeFile(path, packed.subarray(0, packed.length - 20));
  let rows = 0;
  const reading = async () => {
    for await (const _ of listJsonLines(path, { compression: "gzip", largestLineBytes: 1000 })) rows++;
  };
  await expect(reading()).rejects.toThrow("unexpected end of file");
  expect(rows).toBeGreaterThan(0);
  await expect(read("no archive", { compression: "gzip" })).rejects.toThrow("incorrect header check");
  await expect(read("no archive", { compression: "zstd" })).rejects.toThrow();
});

test("a file that swells as only a bomb does is stopped long before its end", async () => {
  const bomb = gzipSync(Buffer.alloc(80 << 20));
  await expect(read(bomb, { compression: "gzip" })).rejects.toThrow(/expected at most 500 times its \d+ bytes so far, found 6\d{7} and more/);
});
