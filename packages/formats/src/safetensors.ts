import { open, writeFile } from "node:fs/promises";
import { z } from "zod";
import { FormatError } from "./errors.ts";

/** A named array as training sees it: row-major float32. */
export interface NamedTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

const size = z.int().nonnegative();
const entrySchema = z.object({ dtype: z.string(), shape: z.array(size), data_offsets: z.tuple([size, size]) });
const headerSchema = z.object({ __metadata__: z.record(z.string(), z.string()).optional() }).catchall(entrySchema);

type Entry = z.infer<typeof entrySchema>;

/**
 * Writes tensors as float32, sorted by name; equal tensors give equal bytes.
 *
 * @throws RangeError naming the tensor whose shape does not fit its values
 */
export async function writeSafetensors(path: string, tensors: ReadonlyMap<string, NamedTensor>): Promise<void> {
  const names = [...tensors.keys()].sort();
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const name of names) {
    const { shape, data } = tensors.get(name)!;
    const expected = volume(shape);
    if (data.length !== expected) throw new RangeError(`tensor ${name}: expected ${expected} values for shape [${shape.join()}], found ${data.length}`);
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const text = JSON.stringify(header);
  // Padded with spaces so that the data begins at a multiple of 8.
  const json = Buffer.from(text + " ".repeat(-Buffer.byteLength(text) & 7));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const payload = names.map((name) => {
    const { data } = tensors.get(name)!;
    return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  });
  await writeFile(path, Buffer.concat([length, json, ...payload]));
}

/**
 * Reads all tensors, widening BF16 and F16 to float32. As the published format demands, the tensors must fill the file
 * without gap or overlap.
 *
 * @throws FormatError `SafetensorsCorrupt` naming the file and the tensor
 */
export async function readSafetensors(path: string): Promise<Map<string, NamedTensor>> {
  const corrupt = (problem: string) => new FormatError("SafetensorsCorrupt", path, problem, "Fetch or build the checkpoint again");
  const handle = await open(path, "r");
  try {
    const { size: fileBytes } = await handle.stat();
    if (fileBytes < 8) throw corrupt(`expected at least 8 bytes, found ${fileBytes}`);
    const headerBytes = Number((await readExactly(handle, 0, 8)).readBigUInt64LE());
    if (headerBytes > fileBytes - 8) throw corrupt(`expected a header of ${headerBytes} bytes, found a file of ${fileBytes}`);
    const entries = parseHeader((await readExactly(handle, 8, headerBytes)).toString("utf8"), corrupt);
    const start = 8 + headerBytes;
    let position = 0;
    for (const [name, { dtype, shape, data_offsets: [begin, end] }] of [...entries].sort(byPlace)) {
      const width = WIDTHS[dtype];
      if (width === undefined) throw corrupt(`tensor ${name}: expected dtype F32, BF16 or F16, found ${dtype}`);
      const expected = volume(shape) * width;
      if (end - begin !== expected) throw corrupt(`tensor ${name}: expected ${expected} bytes for shape [${shape.join()}], found ${end - begin}`);
      if (begin !== position) throw corrupt(`tensor ${name}: expected bytes from offset ${position}, found from ${begin}`);
      if (start + end > fileBytes) throw corrupt(`tensor ${name}: expected bytes up to ${start + end}, found a file of ${fileBytes}`);
      position = end;
    }
    if (start + position !== fileBytes) throw corrupt(`expected ${start + position} bytes, found a file of ${fileBytes}`);
    const tensors = new Map<string, NamedTensor>();
    for (const [name, { dtype, shape, data_offsets: [begin, end] }] of entries) {
      tensors.set(name, { shape, data: widen(await readExactly(handle, start + begin, end - begin), dtype) });
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
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch {
    throw corrupt("expected a JSON header, found something else");
  }
  const parsed = headerSchema.safeParse(header);
  if (!parsed.success) throw corrupt(`expected a header of tensors, found\n${z.prettifyError(parsed.error)}`);
  const { __metadata__, ...tensors } = parsed.data;
  return Object.entries(tensors);
}

const volume = (shape: readonly number[]): number => shape.reduce((product, dimension) => product * dimension, 1);

/** Empty tensors come before the one that begins at the same place. */
const byPlace = ([, { data_offsets: a }]: [string, Entry], [, { data_offsets: b }]: [string, Entry]): number => a[0] - b[0] || a[1] - b[1];

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
