import { createReadStream } from "node:fs";
import { PassThrough, type Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";

/** A line of a file of JSON lines: its value, or why there is none. */
export type JsonRow = { readonly row: number; readonly value: unknown } | { readonly row: number; readonly reason: "too-large" | "malformed-row"; readonly sizeBytes: number };

export interface JsonRowsOptions {
  readonly compression: "none" | "gzip" | "zstd";
  /** Longer lines are passed over without being held. */
  readonly largestLineBytes: number;
}

/** A line, or the length of one that was passed over. */
export interface JsonLine {
  readonly row: number;
  readonly line: Buffer | number;
}

/**
 * Lines of a file of JSON lines, from 1; blank ones are none. Memory stays within a few times the longest line allowed,
 * whatever the file claims to hold.
 *
 * @throws RangeError for a file that swells as only a bomb does; what zlib throws for a damaged one
 */
export async function* listJsonLines(path: string, { compression, largestLineBytes }: JsonRowsOptions): AsyncGenerator<JsonLine> {
  let row = 0;
  for await (const line of linesOf(expand(path, compression), largestLineBytes)) {
    if (typeof line !== "number" && line.length === 0) continue;
    yield { row: ++row, line };
  }
}

export function parseRow({ row, line }: JsonLine): JsonRow {
  if (typeof line === "number") return { row, reason: "too-large", sizeBytes: line };
  try {
    return { row, value: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line)) as unknown };
  } catch {
    return { row, reason: "malformed-row", sizeBytes: line.length };
  }
}

const DECOMPRESSORS: Readonly<Record<JsonRowsOptions["compression"], () => Transform>> = {
  none: () => new PassThrough(),
  gzip: createGunzip,
  zstd: createZstdDecompress,
};

async function* expand(path: string, compression: JsonRowsOptions["compression"]): AsyncGenerator<Buffer> {
  const file = createReadStream(path, { highWaterMark: 1 << 16 });
  const expanded = DECOMPRESSORS[compression]();
  file.on("error", (error) => expanded.destroy(error));
  let bytes = 0;
  try {
    for await (const chunk of file.pipe(expanded) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      // Text shrinks to a tenth or so; gzip cannot do better than a thousandth.
      if (bytes > SMALL_BYTES && bytes > LARGEST_RATIO * file.bytesRead) {
        throw new RangeError(`expected at most ${LARGEST_RATIO} times its ${file.bytesRead} bytes so far, found ${bytes} and more`);
      }
      yield chunk;
    }
  } finally {
    file.destroy();
    expanded.destroy();
  }
}

const LARGEST_RATIO = 500;
const SMALL_BYTES = 1 << 26;

/** Lines without their ends; a line that is too long only as its length. */
async function* linesOf(chunks: AsyncIterable<Buffer>, largestBytes: number): AsyncGenerator<Buffer | number> {
  let parts: Buffer[] = [];
  let length = 0;
  const add = (part: Buffer) => {
    length += part.length;
    if (length <= largestBytes) parts.push(part);
    else parts = [];
  };
  const line = (): Buffer | number => {
    const whole = length > largestBytes ? length : trimEnd(Buffer.concat(parts));
    parts = [];
    length = 0;
    return whole;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      add(chunk.subarray(start, end));
      yield line();
      start = end + 1;
    }
    add(chunk.subarray(start));
  }
  if (length > 0) yield line();
}

const trimEnd = (line: Buffer): Buffer => (line.at(-1) === 13 ? line.subarray(0, -1) : line);
