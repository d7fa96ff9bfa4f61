import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import { describeSystemError } from "@diffucoder/lineage";
import { TasksError, type TasksErrorCode } from "./errors.ts";

/** A row of a file of JSON documents. */
export interface JsonRow {
  readonly value: unknown;
  /** The row as it stands in the file. Python reads numbers there (1.0, 2^70, NaN) that JavaScript would change. */
  readonly text: string;
  /** File and line, for messages. */
  readonly where: string;
}

/**
 * Reads `.jsonl` and `.json` (one list, or one document), packed with gzip or not.
 *
 * @param subject codes of the errors: `missing` where there is no file, `corrupt` where a row cannot be read
 * @throws TasksError naming file and line
 */
export async function readJsonRows(path: string, subject: { readonly missing: TasksErrorCode; readonly corrupt: TasksErrorCode }): Promise<JsonRow[]> {
  const packed = await readFile(path).catch((error: unknown) => {
    throw new TasksError(subject.missing, `${path}: expected a readable file, found ${describeSystemError(error)}`);
  });
  const content = path.endsWith(".gz") ? unpack(packed, path, subject.corrupt) : packed;
  return path.replace(/\.gz$/, "").endsWith(".json") ? readDocument(content, path, subject.corrupt) : readLines(content, path, subject.corrupt);
}

function unpack(content: Buffer, path: string, corrupt: TasksErrorCode): Buffer {
  try {
    return gunzipSync(content);
  } catch (error) {
    throw new TasksError(corrupt, `${path}: expected gzip, found ${String(error)}. Fetch the file again.`);
  }
}

function readLines(content: Buffer, path: string, corrupt: TasksErrorCode): JsonRow[] {
  const rows: JsonRow[] = [];
  for (let start = 0, line = 1; start < content.length; line++) {
    const end = content.indexOf(LINE_END, start);
    const bytes = content.subarray(start, end === -1 ? content.length : end);
    start += bytes.length + 1;
    const where = `${path}:${line}`;
    const text = decode(bytes, where, corrupt);
    if (text.trim() !== "") rows.push({ value: parse(text, where, corrupt), text, where });
  }
  return rows;
}

const LINE_END = 0x0a;

/** Rows of a list are written again with the numerals they have. */
function readDocument(content: Buffer, path: string, corrupt: TasksErrorCode): JsonRow[] {
  const text = decode(content, path, corrupt);
  const document = parse(text, path, corrupt);
  if (!Array.isArray(document)) return [{ value: document, text, where: path }];
  const exact = parseExactly(finite(text)) as unknown[];
  return document.map((value: unknown, index) => ({ value, text: JSON.stringify(exact[index]), where: `${path}[${index}]` }));
}

/** Numbers stay as they were written. */
function parseExactly(text: string): unknown {
  // Not yet in TypeScript's library.
  const { parse, rawJSON } = JSON as unknown as { parse(text: string, revive: (key: string, value: unknown, context: { source: string }) => unknown): unknown; rawJSON(text: string): unknown };
  return parse(text, (_key, value, { source }) => (typeof value === "number" ? rawJSON(source) : value));
}

function decode(bytes: Buffer, where: string, corrupt: TasksErrorCode): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new TasksError(corrupt, `${where}: expected UTF-8, found bytes that are not`);
  }
}

function parse(text: string, where: string, corrupt: TasksErrorCode): unknown {
  try {
    return JSON.parse(finite(text));
  } catch (error) {
    throw new TasksError(corrupt, `${where}: expected JSON, found ${String(error)}`);
  }
}

/** Python writes NaN and infinities as bare words, which JSON does not have: null in their place. */
function finite(text: string): string {
  if (!/NaN|Infinity/.test(text)) return text;
  return text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (found) => (found.startsWith('"') ? found : "null"));
}
