import { isUtf8 } from "node:buffer";
import { open, type FileHandle } from "node:fs/promises";
import { describeMismatch } from "@diffucoder/lineage";
import { z } from "zod";
import type { CheckpointFile } from "./checkpoint-files.ts";
import { FormatError } from "./errors.ts";
import { DTYPE_BYTES, narrow, widen, type Dtype } from "./half-precision.ts";

/** A named array as training sees it: row-major float32. */
export interface NamedTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** What a header says of a tensor. */
export interface TensorEntry {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** Bytes of a tensor's numbers. */
export const tensorBytes = ({ dtype, shape }: TensorEntry): number => volume(shape) * DTYPE_BYTES[dtype];

/** A tensor to be written, whose bytes are asked for when their turn comes. */
export interface TensorToWrite extends TensorEntry {
  readonly name: string;
  /** Little-endian, row-major. */
  bytes(): Uint8Array | Promise<Uint8Array>;
}

/**
 * Writes tensors sorted by name; equal tensors give equal bytes.
 *
 * @param dtype on disk; narrower ones round to the nearest value
 * @throws RangeError naming the tensor whose shape does not fit its values
 */
export async function writeSafetensors(path: string, tensors: ReadonlyMap<string, NamedTensor>, dtype: Dtype = "F32"): Promise<void> {
  await writeTensors(path, tensorsToWrite(tensors, dtype));
}

/** @throws RangeError naming the tensor whose shape does not fit its values */
export function tensorsToWrite(tensors: ReadonlyMap<string, NamedTensor>, dtype: Dtype): TensorToWrite[] {
  return [...tensors].map(([name, { shape, data }]) => {
    const expected = volume(shape);
    if (data.length !== expected) throw new RangeError(`tensor ${name}: expected ${expected} values for shape [${shape.join()}], found ${data.length}`);
    return { name, dtype, shape, bytes: () => narrow(data, dtype) };
  });
}

/** Writes tensors one after the other: the widest first, so that each stays aligned, then by name, as the reference implementation does. */
export async function writeTensors(path: string, tensors: readonly TensorToWrite[]): Promise<void> {
  const ordered = [...tensors].sort((a, b) => DTYPES.indexOf(a.dtype) - DTYPES.indexOf(b.dtype) || (a.name < b.name ? -1 : 1));
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const tensor of ordered) {
    const { name, dtype, shape } = tensor;
    header[name] = { dtype, shape, data_offsets: [offset, (offset += tensorBytes(tensor))] };
  }
  const text = JSON.stringify(header);
  // Padded with spaces so that the data begins at a multiple of 8.
  const json = Buffer.from(text + " ".repeat(-Buffer.byteLength(text) & 7));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const handle = await open(path, "w");
  try {
    await handle.writeFile(length);
    await handle.writeFile(json);
    for (const tensor of ordered) await handle.writeFile(await tensor.bytes());
  } finally {
    await handle.close();
  }
}

/** In the order in which they stand in a file. */
const DTYPES: readonly Dtype[] = ["F32", "BF16", "F16"];

/**
 * Reads all tensors, widening BF16 and F16 to float32.
 *
 * @param of a path, or a file of a checkpoint
 * @throws FormatError `SafetensorsCorrupt` naming the file and the tensor
 */
export async function readSafetensors(of: string | CheckpointFile): Promise<Map<string, NamedTensor>> {
  const file = await SafetensorsFile.open(typeof of === "string" ? { path: of, shownAs: of } : of);
  try {
    const tensors = new Map<string, NamedTensor>();
    for (const name of file.tensors.keys()) tensors.set(name, await file.read(name));
    return tensors;
  } finally {
    await file.close();
  }
}

/** A safetensors file whose header is read and checked; each tensor is read when asked for. */
export class SafetensorsFile {
  /** For messages. */
  readonly shownAs: string;
  readonly #handle: FileHandle;
  readonly #places: ReadonlyMap<string, Place>;

  private constructor(shownAs: string, handle: FileHandle, places: ReadonlyMap<string, Place>) {
    this.shownAs = shownAs;
    this.#handle = handle;
    this.#places = places;
  }

  /**
   * As the published format demands, the tensors must fill the file without gap or overlap.
   *
   * @throws FormatError `SafetensorsCorrupt` naming the file and the tensor
   */
  static async open({ path, shownAs }: CheckpointFile): Promise<SafetensorsFile> {
    const handle = await open(path, "r");
    try {
      return new SafetensorsFile(shownAs, handle, await readPlaces(shownAs, handle));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  get tensors(): ReadonlyMap<string, TensorEntry> {
    return this.#places;
  }

  /** @throws FormatError `SafetensorsCorrupt` when there is no tensor of that name */
  async read(name: string): Promise<NamedTensor> {
    const { dtype, shape } = this.#place(name);
    return { shape, data: widen(await this.readBytes(name), dtype) };
  }

  /** Little-endian numbers as they stand in the file. */
  async readBytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const { position, bytes } = this.#place(name);
    return readExactly(this.shownAs, this.#handle, position, bytes);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  #place(name: string): Place {
    const place = this.#places.get(name);
    if (place !== undefined) return place;
    throw corrupt(this.shownAs, `expected a tensor ${name}, found none of that name`);
  }
}

interface Place extends TensorEntry {
  readonly position: number;
  readonly bytes: number;
}

async function readPlaces(path: string, handle: FileHandle): Promise<Map<string, Place>> {
  const { size: fileBytes } = await handle.stat();
  if (fileBytes < 8) throw corrupt(path, `expected at least 8 bytes, found ${fileBytes}`);
  const lengthField = await readExactly(path, handle, 0, 8);
  const headerBytes = Number(new DataView(lengthField.buffer).getBigUint64(0, true));
  if (headerBytes > fileBytes - 8) throw corrupt(path, `expected a header of ${headerBytes} bytes, found a file of ${fileBytes}`);
  if (headerBytes > MOST_HEADER_BYTES) throw corrupt(path, `expected a header of at most ${MOST_HEADER_BYTES} bytes, found one of ${headerBytes}`);
  const entries = parseHeader(path, Buffer.from(await readExactly(path, handle, 8, headerBytes)));
  const start = 8 + headerBytes;
  let position = 0;
  for (const [name, entry] of [...entries].sort(byPlace)) {
    const [begin, end] = entry.data_offsets;
    if (!isDtype(entry.dtype)) throw corrupt(path, `tensor ${name}: expected dtype F32, BF16 or F16, found ${entry.dtype}`, "Use weights in one of these, neither quantized nor in double precision");
    const expected = tensorBytes({ dtype: entry.dtype, shape: entry.shape });
    if (end - begin !== expected) throw corrupt(path, `tensor ${name}: expected ${expected} bytes for shape [${entry.shape.join()}], found ${end - begin}`);
    if (begin !== position) throw corrupt(path, `tensor ${name}: expected bytes from offset ${position}, found from ${begin}`);
    if (start + end > fileBytes) throw corrupt(path, `tensor ${name}: expected bytes up to ${start + end}, found a file of ${fileBytes}`);
    position = end;
  }
  if (start + position !== fileBytes) throw corrupt(path, `expected ${start + position} bytes, found a file of ${fileBytes}`);
  return new Map(entries.map(([name, { dtype, shape, data_offsets: [begin, end] }]) => [name, { dtype: dtype as Dtype, shape, position: start + begin, bytes: end - begin }]));
}

/** @source https://github.com/huggingface/safetensors, MAX_HEADER_SIZE */
const MOST_HEADER_BYTES = 100_000_000;

const size = z.int().nonnegative();
const headerEntry = z.object({ dtype: z.string(), shape: z.array(size), data_offsets: z.tuple([size, size]) });
const headerSchema = z.object({ __metadata__: z.record(z.string(), z.string()).optional() }).catchall(headerEntry);

type HeaderEntry = z.infer<typeof headerEntry>;

function parseHeader(path: string, bytes: Buffer): [string, HeaderEntry][] {
  if (!isUtf8(bytes)) throw corrupt(path, "expected a header in UTF-8, found other bytes");
  let header: unknown;
  try {
    header = JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw corrupt(path, `expected a JSON header, found ${(error as SyntaxError).message}`);
  }
  const parsed = headerSchema.safeParse(header);
  if (!parsed.success) throw corrupt(path, `expected a header of tensors, found\n${describeMismatch(parsed.error, header)}`);
  const { __metadata__, ...tensors } = parsed.data;
  return Object.entries(tensors);
}

const isDtype = (dtype: string): dtype is Dtype => Object.hasOwn(DTYPE_BYTES, dtype);

const volume = (shape: readonly number[]): number => shape.reduce((product, dimension) => product * dimension, 1);

/** Empty tensors come before the one that begins at the same place. */
const byPlace = ([, { data_offsets: a }]: [string, HeaderEntry], [, { data_offsets: b }]: [string, HeaderEntry]): number => a[0] - b[0] || a[1] - b[1];

/** One system call reads at most 2 GiB. */
const MOST_AT_ONCE = 2 ** 30;

async function readExactly(path: string, handle: FileHandle, position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, Math.min(length - done, MOST_AT_ONCE), position + done);
    if (bytesRead === 0) throw corrupt(path, `expected ${length} bytes from offset ${position}, found ${done}`);
    done += bytesRead;
  }
  return bytes;
}

/** Of a file of weights, or of the index of several. */
export function corrupt(path: string, problem: string, fix = "Fetch or build the checkpoint again"): FormatError {
  return new FormatError("SafetensorsCorrupt", path, problem, fix);
}
