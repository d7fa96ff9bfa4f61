import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { temporaryFile, temporaryFolder } from "../test/temporary-file.ts";
import { TasksError } from "./errors.ts";
import { readJsonRows } from "./json-rows.ts";

const SUBJECT = { missing: "SamplesMissing", corrupt: "SamplesCorrupt" } as const;
const read = async (name: string, content: string | Uint8Array) => readJsonRows(await temporaryFile(name, content), SUBJECT);
const valuesOf = async (name: string, content: string | Uint8Array) => (await read(name, content)).map(({ value }) => value);

test("lines, packed lines, a list and one document hold the same rows", async () => {
  const rows = [{ a: 1 }, { a: "ö\u2028\n" }];
  const lines = `${JSON.stringify(rows[0])}\r\n\n  \n${JSON.stringify(rows[1])}`;
  expect(await valuesOf("x.jsonl", lines)).toEqual(rows);
  expect(await valuesOf("x.jsonl.gz", gzipSync(lines))).toEqual(rows);
  expect(await valuesOf("x.json", JSON.stringify(rows, null, 2))).toEqual(rows);
  expect(await valuesOf("x.json.gz", gzipSync(JSON.stringify(rows)))).toEqual(rows);
  expect(await valuesOf("x.json", JSON.stringify(rows[0], null, 2))).toEqual([rows[0]]);
  expect(await valuesOf("x.jsonl", `\ufeff${lines}`)).toEqual(rows);
  expect(await valuesOf("x.jsonl", "")).toEqual([]);
});

test("a row's text has the numerals of the file, which Python tells apart, and bare words of Python are null", async () => {
  const row = '{"n": [1.0, 1, 12345678901234567890123, 1e400, NaN, -Infinity], "text": "NaN \\" Infinity"}';
  const expected = { n: [1, 1, 12345678901234567000000, Infinity, null, null], text: 'NaN " Infinity' };
  expect(await read("x.jsonl", row)).toEqual([{ value: expected, text: row, where: expect.stringMatching(/x\.jsonl:1$/) as string }]);
  const [listed] = await read("x.json", `[${row}]`);
  expect(listed).toEqual({ value: expected, text: '{"n":[1.0,1,12345678901234567890123,1e400,null,null],"text":"NaN \\" Infinity"}', where: expect.stringMatching(/x\.json\[0\]$/) as string });
});

test.each<[string, string, string | Uint8Array, RegExp]>([
  ["is no JSON", "x.jsonl", '{"a":1}\n\n{', /x\.jsonl:3: expected JSON, found SyntaxError: /],
  ["is no JSON list", "x.json", "[1,", /x\.json: expected JSON, found SyntaxError: /],
  ["is not UTF-8", "x.jsonl", Buffer.concat([Buffer.from('{"a":1}\n{"a":"'), Buffer.of(0xff), Buffer.from('"}')]), /x\.jsonl:2: expected UTF-8, found bytes that are not$/],
  ["is not gzip", "x.jsonl.gz", "plain", /x\.jsonl\.gz: expected gzip, found Error: .*\. Fetch the file again\.$/],
  ["is cut off", "x.jsonl.gz", gzipSync('{"a": 1}').subarray(0, 20), /x\.jsonl\.gz: expected gzip, found Error: /],
])("what %s is named by file and line", async (_, name, content, message) => {
  await expect(read(name, content)).rejects.toMatchObject({ code: "SamplesCorrupt", retryable: false, message: expect.stringMatching(message) as string });
});

test("a file that is not there, or is a folder, is named", async () => {
  const folder = await temporaryFolder();
  await expect(readJsonRows(join(folder, "x.jsonl"), SUBJECT)).rejects.toMatchObject({ code: "SamplesMissing", message: expect.stringMatching(/x\.jsonl: expected a readable file, found none \(ENOENT\)$/) as string });
  await expect(readJsonRows(folder, SUBJECT)).rejects.toMatchObject({ code: "SamplesMissing", message: expect.stringMatching(/found a folder \(EISDIR\)$/) as string });
});

test("whatever the bytes, there are rows or an error that names the file", async () => {
  const path = await temporaryFile("x.jsonl", "");
  const { writeFile } = await import("node:fs/promises");
  const fragment = fc.oneof(fc.uint8Array({ maxLength: 12 }), fc.json().map((text) => Buffer.from(text)), fc.constantFrom("\n", "\r\n", '{"a":', "NaN", '"', "\\u00", "[").map((text) => Buffer.from(text)));
  await fc.assert(
    fc.asyncProperty(fc.array(fragment, { maxLength: 6 }), async (fragments) => {
      await writeFile(path, Buffer.concat(fragments));
      const found = await readJsonRows(path, SUBJECT).catch((error: unknown) => error);
      if (Array.isArray(found)) return;
      expect(found).toBeInstanceOf(TasksError);
      expect((found as TasksError).message).toMatch(/x\.jsonl:\d+: expected (JSON|UTF-8), found /);
    }),
    { numRuns: 300 },
  );
});

test("whatever the rows, they are read as they were written", async () => {
  const path = await temporaryFile("x.jsonl", "");
  const { writeFile } = await import("node:fs/promises");
  await fc.assert(
    fc.asyncProperty(fc.array(fc.jsonValue({ noUnicodeString: false })), async (values) => {
      await writeFile(path, values.map((value) => `${JSON.stringify(value)}\n`).join(""));
      expect((await readJsonRows(path, SUBJECT)).map(({ value }) => value)).toEqual(values.map((value) => JSON.parse(JSON.stringify(value)) as unknown));
    }),
    { numRuns: 100 },
  );
});
