import { createHash } from "node:crypto";
import { canonicalJson } from "@diffucoder/lineage";
import type { MinHashScheme } from "./minhash-scheme.ts";
import type { SignUnit } from "./units.ts";

/** Documents whose texts are signed as one unit of work, in memory that threads share. */
export class TextBatch {
  #texts: Uint8Array<SharedArrayBuffer>;
  readonly #ends: number[] = [];
  #bytes = 0;

  constructor(capacity: number) {
    this.#texts = new Uint8Array(new SharedArrayBuffer(capacity));
  }

  get documents(): number {
    return this.#ends.length;
  }

  /** Whether a text is for the next batch; the first always has room. */
  isFullFor(text: string): boolean {
    return this.documents > 0 && (this.documents === MOST_DOCUMENTS || this.#bytes + Buffer.byteLength(text) > this.#texts.length);
  }

  add(text: string): void {
    const bytes = Buffer.byteLength(text);
    if (bytes > this.#texts.length) this.#texts = new Uint8Array(new SharedArrayBuffer(bytes));
    this.#bytes += Buffer.from(this.#texts.buffer).write(text, this.#bytes);
    this.#ends.push(this.#bytes);
  }

  /**
   * The unit reads the batch's memory: nothing may be added until it is done.
   *
   * @param outputOf path of the output, from a digest of all that decides it, so that the same texts are signed once
   */
  unit(scheme: MinHashScheme, outputOf: (digest: string) => string): SignUnit {
    const texts = this.#texts.subarray(0, this.#bytes);
    const ends = Uint32Array.from(this.#ends);
    const digest = createHash("sha256").update(canonicalJson({ ...scheme })).update(ends).update(Buffer.from(texts.buffer, 0, this.#bytes));
    return { kind: "sign", output: outputOf(digest.digest("hex").slice(0, 32)), scheme, texts, ends };
  }

  clear(): void {
    this.#ends.length = 0;
    this.#bytes = 0;
  }
}

/** Keeps the number of a document within its batch small, and memory for very short ones. */
const MOST_DOCUMENTS = 1 << 15;
