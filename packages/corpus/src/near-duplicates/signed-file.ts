import type { Signature } from "./minhash-kernel.ts";
import { SpillFile, publishFile } from "./spill-file.ts";

/** Band keys are spilled by their first 8 bits, so that any number of partitions up to 256 can read its own part. */
export const SEGMENTS = 256;

/** Where a band record keeps the number of its document; the 36 bits above are of the band's key. */
const DOCUMENT_BITS = 28;
export const MOST_DOCUMENTS = 2 ** DOCUMENT_BITS;
export const DOCUMENT_MASK = MOST_DOCUMENTS - 1;

/**
 * Collects the signatures of some documents and writes them as two files.
 *
 * `PATH.runs`: u32 offsets, one more than documents, padded to 8 bytes; then the hashes of all runs, u64.
 * `PATH.bands`: u32 count of records before each segment, 256 and the total, padded to 8 bytes; then band records, u64:
 * the 36 bits of the band's key that follow the segment's 8, and the number of the document, 28 bits. 44 bits of a key
 * let through a few false candidates among 10^8 documents, which comparison rejects.
 */
export class SignedFileWriter {
  readonly #runs = new WordList();
  readonly #offsets = [0];
  readonly #bands = new WordList();
  #bandsPerDocument = 0;

  add({ runs, bands }: Signature): void {
    this.#runs.append(runs);
    this.#offsets.push(this.#runs.length);
    this.#bands.append(bands);
    this.#bandsPerDocument = bands.length;
  }

  /** The bands are written last: where they are, all is. */
  publish(path: string): void {
    publishFile(runsPath(path), [padded(this.#offsets), this.#runs.values]);
    const { starts, records } = bandRecords(this.#bands.values, this.#bandsPerDocument);
    publishFile(bandsPath(path), [padded(starts), records]);
  }
}

/** An array of u64 that grows by doubling. */
class WordList {
  #words = new BigUint64Array(1 << 16);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get values(): BigUint64Array {
    return this.#words.subarray(0, this.#length);
  }

  append(values: BigUint64Array): void {
    if (this.#length + values.length > this.#words.length) {
      const larger = new BigUint64Array(2 * (this.#length + values.length));
      larger.set(this.values);
      this.#words = larger;
    }
    this.#words.set(values, this.#length);
    this.#length += values.length;
  }
}

const runsPath = (path: string): string => `${path}.runs`;

/** The file whose presence says that the others are there too. */
export const bandsPath = (path: string): string => `${path}.bands`;

function bandRecords(bands: BigUint64Array, perDocument: number): { starts: Uint32Array; records: Uint32Array } {
  const keys = new Uint32Array(bands.buffer, bands.byteOffset, bands.length * 2);
  const starts = new Uint32Array(SEGMENTS + 1);
  for (let i = 1; i < keys.length; i += 2) starts[(keys[i]! >>> 24) + 1]!++;
  for (let segment = 0; segment < SEGMENTS; segment++) starts[segment + 1]! += starts[segment]!;
  const next = starts.slice();
  const records = new Uint32Array(keys.length);
  for (let i = 0; i < keys.length; i += 2) {
    const document = Math.floor(i / (2 * perDocument));
    const [low, high] = [keys[i]!, keys[i + 1]!];
    const at = 2 * next[high >>> 24]!++;
    records[at] = ((low >>> 20) << DOCUMENT_BITS) | document;
    records[at + 1] = (high << 8) | (low >>> 24);
  }
  return { starts, records };
}

function padded(values: ArrayLike<number>): Uint32Array {
  const array = new Uint32Array(values.length + (values.length % 2));
  array.set(values);
  return array;
}

/** Band records of a signed file, of each segment in [first, end); u32 words, of which two are a record. */
export function readBands(path: string, first: number, end: number): Uint32Array[] {
  const file = new SpillFile(bandsPath(path));
  try {
    const starts = new Uint32Array(SEGMENTS + 1);
    file.read(starts, 0);
    const records = new Uint32Array(2 * (starts[end]! - starts[first]!));
    file.read(records, tableBytes(starts.length) + starts[first]! * 8);
    const wordAt = (segment: number) => 2 * (starts[segment]! - starts[first]!);
    return Array.from({ length: end - first }, (_, i) => records.subarray(wordAt(first + i), wordAt(first + i + 1)));
  } finally {
    file.close();
  }
}

/** Runs of the documents of a signed file. */
export class RunsFile {
  readonly #file: SpillFile;
  readonly #offsets: Uint32Array;
  #buffer = new Uint8Array(1 << 16);

  /** @param documents how many the file was written for */
  constructor(path: string, documents: number) {
    this.#file = new SpillFile(runsPath(path));
    this.#offsets = new Uint32Array(documents + 1);
    this.#file.read(this.#offsets, 0);
  }

  /** Hashes of a document's distinct runs, as bytes that the next call overwrites. */
  runsOf(document: number): Uint8Array {
    const [start, end] = [this.#offsets[document]!, this.#offsets[document + 1]!];
    const bytes = (end - start) * 8;
    if (bytes > this.#buffer.length) this.#buffer = new Uint8Array(bytes * 2);
    const view = this.#buffer.subarray(0, bytes);
    this.#file.read(view, tableBytes(this.#offsets.length) + start * 8);
    return view;
  }

  close(): void {
    this.#file.close();
  }
}

/** Bytes of a padded table of u32. */
const tableBytes = (count: number): number => (count + (count % 2)) * 4;
