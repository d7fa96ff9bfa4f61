import { closeSync, openSync, readSync, writeSync } from "node:fs";
import type { Split, TokenDocument } from "@diffucoder/formats";

/** What is known of a document without its tokens. */
export interface SpilledHead extends Omit<TokenDocument, "tokens"> {
  readonly split: Split;
}

/**
 * Documents as tokens in one file on the disk, to be read again in any order and as often as a mixture asks for. In memory
 * stay 8 bytes for each, and the names of sources and languages.
 *
 * A record is the id (16 bytes), numbers of source, language and split and the count of tokens (uint32 each), the tokens
 * (uint32 each), and the path.
 */
export class TokenSpill {
  readonly #file: number;
  /** Where each record begins, and where the last one ends. */
  #offsets = new Float64Array(1 << 10);
  #length = 0;
  readonly #names: string[] = [];
  readonly #numberOf = new Map<string, number>();
  #buffer = Buffer.alloc(1 << 16);

  /** @param path of a file that is not there yet */
  constructor(path: string) {
    this.#file = openSync(path, "wx+");
  }

  get length(): number {
    return this.#length;
  }

  /** @param path within the source */
  append({ docId, source, language, split, tokens }: TokenDocument & SpilledHead, path: string): void {
    const start = this.#offsets[this.#length]!;
    const [pathStart, pathBytes] = [HEAD_BYTES + tokens.byteLength, Buffer.byteLength(path)];
    const record = this.#room(pathStart + pathBytes);
    record.write(docId, 0, "hex");
    [this.#number(source), this.#number(language), this.#number(split), tokens.length].forEach((value, i) => record.writeUInt32LE(value, 16 + 4 * i));
    record.set(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength), HEAD_BYTES);
    record.write(path, pathStart);
    for (let done = 0; done < record.length; ) done += writeSync(this.#file, record, done, record.length - done, start + done);
    if (++this.#length === this.#offsets.length) this.#offsets = doubled(this.#offsets);
    this.#offsets[this.#length] = start + record.length;
  }

  /** The document that came as the `index`-th. */
  read(index: number): TokenDocument {
    const record = this.#read(index, 0, this.#bytes(index));
    const head = this.#head(record);
    const tokens = new Uint32Array(record.readUInt32LE(28));
    new Uint8Array(tokens.buffer).set(record.subarray(HEAD_BYTES, HEAD_BYTES + tokens.byteLength));
    return { docId: head.docId, source: head.source, language: head.language, tokens };
  }

  head(index: number): SpilledHead {
    return this.#head(this.#read(index, 0, HEAD_BYTES));
  }

  path(index: number): string {
    const start = HEAD_BYTES + 4 * this.#read(index, 0, HEAD_BYTES).readUInt32LE(28);
    return this.#read(index, start, this.#bytes(index) - start).toString();
  }

  close(): void {
    closeSync(this.#file);
  }

  #head(record: Buffer): SpilledHead {
    const name = (at: number) => this.#names[record.readUInt32LE(at)]!;
    return { docId: record.toString("hex", 0, 16), source: name(16), language: name(20), split: name(24) as Split };
  }

  #bytes(index: number): number {
    return this.#offsets[index + 1]! - this.#offsets[index]!;
  }

  /** Part of a record; the next call overwrites it. */
  #read(index: number, from: number, length: number): Buffer {
    const bytes = this.#room(length);
    for (let done = 0; done < length; ) {
      const count = readSync(this.#file, bytes, done, length - done, this.#offsets[index]! + from + done);
      if (count === 0) throw new RangeError(`document ${index} of the spilled tokens: expected ${length} bytes at ${from}, found ${done}`);
      done += count;
    }
    return bytes;
  }

  #room(bytes: number): Buffer {
    if (bytes > this.#buffer.length) this.#buffer = Buffer.alloc(Math.max(bytes, 2 * this.#buffer.length));
    return this.#buffer.subarray(0, bytes);
  }

  #number(name: string): number {
    const known = this.#numberOf.get(name);
    if (known !== undefined) return known;
    this.#numberOf.set(name, this.#names.length);
    return this.#names.push(name) - 1;
  }
}

const HEAD_BYTES = 32;

function doubled(array: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(2 * array.length);
  larger.set(array);
  return larger;
}
