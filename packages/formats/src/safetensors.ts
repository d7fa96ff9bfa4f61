import { open, writeFile } from "node:fs/promises";
import { FormatError } from "./errors.ts";

/** A named array as training sees it: row-major float32. */
export interface NamedTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [begin: number, end: number];
}

/** Writes tensors as float32, sorted by name; equal tensors give equal bytes. */
export async function writeSafetensors(path: string, tensors: ReadonlyMap<string, NamedTensor>): Promise<void> {
  const names = [...tensors.keys()].sort();
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const name of names) {
    const { shape, data } = tensors.get(name)!;
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const text = JSON.stringify(header);
  // Padded with spaces so that the data begins at a multiple of 8.
  const json = Buffer.from(text.padEnd(Math.ceil(Buffer.byteLength(text) / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const payload = names.map((name) => {
    const { data } = tensors.get(name)!;
    return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  });
  await writeFile(path, Buffer.concat([length, json, ...payload]));
}

/**
 * Reads all tensors, widening BF16 and F16 to float32.
 *
 * @throws FormatError `SafetensorsCorrupt` naming the file and the tensor
 */
export async function readSafetensors(path: string): Promise<Map<string, NamedTensor>> {
  const corrupt = (problem: string) => new FormatError("SafetensorsCorrupt", path, problem, "Fetch or build the checkpoint again");
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    if (size < 8) throw corrupt(`expected at least 8 bytes, found ${size}`);
    const headerBytes = Number((await readExactly(handle, 0, 8)).readBigUInt64LE());
    if (headerBytes > size - 8) throw corrupt(`expected a header of ${headerBytes} bytes, found a file of ${size}`);
    const entries = parseHeader((await readExactly(handle, 8, headerBytes)).toString("utf8"), corrupt);
    const tensors = new Map<string, NamedTensor>();
    for (const [name, entry] of entries) {
      const [begin, end] = entry.data_offsets;
      const width = WIDTHS[entry.dtype];
      if (width === undefined) throw corrupt(`tensor ${name}: expected dtype F32, BF16 or F16, found ${entry.dtype}`);
      const expected = entry.shape.reduce((product, dimension) => product * dimension, 1) * width;
      if (end - begin !== expected) throw corrupt(`tensor ${name}: expected ${expected} bytes for shape [${entry.shape.join()}], found ${end - begin}`);
      if (8 + headerBytes + end > size) throw corrupt(`tensor ${name}: expected bytes up to ${8 + headerBytes + end}, found a file of ${size}`);
      tensors.set(name, { shape: entry.shape, data: widen(await readExactly(handle, 8 + headerBytes + begin, end - begin), entry.dtype) });
    }
    return tensors;
  } finally {
    await handle.close();
  }
}

const WIDTHS: Readonly<Record<string, number>> = { F32: 4, BF16: 2, F16: 2 };

async function readExactly(handle: Awaited<ReturnType<typeof open>>, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  await handle.read(buffer, 0, length, position);
  return buffer;
}

function parseHeader(text: string, corrupt: (problem: string) => FormatError): [string, Entry][] {
  let header: Record<string, Entry>;
  try {
    header = JSON.parse(text) as Record<string, Entry>;
  } catch {
    throw corrupt("expected a JSON header, found something else");
  }
  return Object.entries(header).filter(([name]) => name !== "__metadata__");
}

function widen(bytes: Buffer, dtype: string): Float32Array {
  if (dtype === "F32") return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  if (dtype === "BF16") return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
  return Float32Array.from(halves, float16ToNumber);
}

/** @source IEEE 754-2019, binary16 */
function float16ToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
