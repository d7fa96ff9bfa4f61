import { stream } from "@diffucoder/random";
import type { MinHashScheme } from "./minhash-scheme.ts";
import { MINHASH_WASM } from "./minhash-wasm.ts";

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  hashWords(text: number, end: number, out: number): number;
  distinctRuns(words: number, count: number, width: number, table: number, mask: number, out: number): number;
  leastHashes(runs: number, count: number, multipliers: number, multiplierCount: number, out: number): void;
  bandKeys(hashes: number, bands: number, rows: number, out: number): void;
  fillTable(values: number, count: number, table: number, mask: number): void;
  countFound(values: number, count: number, table: number, mask: number): number;
}

/** The part of the interface that is used here; its types come with those of browsers, which are not loaded. */
const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: { readonly Module: new (bytes: Uint8Array) => object; readonly Instance: new (module: object) => { readonly exports: unknown } };
};

const compiled = new WebAssembly.Module(Buffer.from(MINHASH_WASM, "base64"));

/** What the kernel computes for a text; both are views that the next call overwrites. */
export interface Signature {
  /** Hashes of the distinct runs of words, in order of first occurrence. */
  readonly runs: BigUint64Array;
  /** One key for each band. */
  readonly bands: BigUint64Array;
}

/**
 * MinHash with 64-bit hashes, in WebAssembly with 128-bit vectors (`minhash.wat`).
 *
 * A text stands for the set of its runs of words: of the words there are when they are fewer, and of all its bytes when
 * there are none. Hash function i is multiplication by an odd 64-bit number, applied to runs that are hashed already.
 *
 * @source Broder, "On the resemblance and containment of documents", SEQUENCES 1997; banding of Leskovec, Rajaraman
 *   and Ullman, "Mining of Massive Datasets", section 3.4; multiplicative hashing of Dietzfelbinger et al., J. Algorithms 25 (1997)
 */
export class MinHashKernel {
  readonly #scheme: MinHashScheme;
  readonly #exports = new WebAssembly.Instance(compiled).exports as Exports;
  readonly #hashCount: number;
  readonly #hashes: number;
  readonly #bands: number;
  /** Where the layout of one call begins. */
  readonly #free: number;
  #heldCount = 0;
  #heldMask = 0;

  constructor(scheme: MinHashScheme) {
    this.#scheme = scheme;
    // The kernel takes hash functions eight at a time; those beyond bands * rows are computed and not looked at.
    this.#hashCount = Math.ceil((scheme.bands * scheme.rows) / 8) * 8;
    this.#hashes = MULTIPLIERS + this.#hashCount * 8;
    this.#bands = this.#hashes + this.#hashCount * 8;
    this.#free = aligned(this.#bands + scheme.bands * 8);
    this.#reserve(this.#free);
    const draws = stream({ seed: 0, stage: "corpus", purpose: "minhash multipliers" });
    const multipliers = new Uint32Array(this.#exports.memory.buffer, MULTIPLIERS, this.#hashCount * 2);
    for (let i = 0; i < multipliers.length; i++) multipliers[i] = i % 2 === 0 ? draws.uint32() | 1 : draws.uint32();
  }

  /** @param text UTF-8 */
  sign(text: Uint8Array): Signature {
    const { bands, rows } = this.#scheme;
    const { runs, count } = this.#distinctRuns(text);
    this.#exports.leastHashes(runs, count, MULTIPLIERS, this.#hashCount, this.#hashes);
    this.#exports.bandKeys(this.#hashes, bands, rows, this.#bands);
    const { buffer } = this.#exports.memory;
    return { runs: new BigUint64Array(buffer, runs, count), bands: new BigUint64Array(buffer, this.#bands, bands) };
  }

  /** Least hashes of the text signed last: `bands * rows` of them, for estimates. */
  leastHashes(): BigInt64Array {
    return new BigInt64Array(this.#exports.memory.buffer, this.#hashes, this.#scheme.bands * this.#scheme.rows);
  }

  /** Runs to compare others with, until the next call of `hold` or `sign`. */
  hold(runs: Uint8Array): void {
    this.#heldCount = runs.length / 8;
    const slots = slotsFor(this.#heldCount);
    this.#heldMask = slots - 1;
    const values = this.#free + slots * 8;
    this.#reserve(values + runs.length);
    new Uint8Array(this.#exports.memory.buffer).set(runs, values);
    this.#exports.fillTable(values, this.#heldCount, this.#free, this.#heldMask);
  }

  /**
   * How many runs are in both, and how many in either; their quotient is the Jaccard similarity.
   *
   * @throws RangeError when none are held
   */
  compare(runs: Uint8Array): { readonly shared: number; readonly union: number } {
    if (this.#heldCount === 0) throw new RangeError("compare: expected runs that are held, found none; `sign` lets go of them");
    const values = this.#free + (this.#heldMask + 1) * 8;
    this.#reserve(values + runs.length);
    new Uint8Array(this.#exports.memory.buffer).set(runs, values);
    const count = runs.length / 8;
    const shared = this.#exports.countFound(values, count, this.#free, this.#heldMask);
    return { shared, union: this.#heldCount + count - shared };
  }

  #distinctRuns(text: Uint8Array): { runs: number; count: number } {
    if (text.length > LARGEST_TEXT_BYTES) throw new RangeError(`text: expected at most ${LARGEST_TEXT_BYTES} bytes, found ${text.length}`);
    this.#heldCount = 0;
    const words = aligned(this.#free + text.length);
    const mostWords = (text.length >> 1) + 1;
    this.#reserve(words + mostWords * 8);
    new Uint8Array(this.#exports.memory.buffer).set(text, this.#free);
    const wordCount = this.#exports.hashWords(this.#free, this.#free + text.length, words) || this.#hashWholeText(text, words);
    const width = Math.min(this.#scheme.wordsPerRun, wordCount);
    const runs = words + wordCount * 8;
    const slots = slotsFor(wordCount);
    const table = runs + wordCount * 8;
    this.#reserve(table + slots * 8);
    return { runs, count: this.#exports.distinctRuns(words, wordCount, width, table, slots - 1, runs) };
  }

  /** A text without words is one word: its bytes, FNV-1a like the others. */
  #hashWholeText(text: Uint8Array, out: number): number {
    let hash = 0xcbf29ce484222325n;
    for (const byte of text) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
    new BigUint64Array(this.#exports.memory.buffer, out, 1)[0] = hash;
    return 1;
  }

  #reserve(bytes: number): void {
    const missing = bytes - this.#exports.memory.buffer.byteLength;
    if (missing > 0) this.#exports.memory.grow(Math.ceil(missing / PAGE));
  }
}

const MULTIPLIERS = 64;
const PAGE = 1 << 16;
/** With its words, runs and table it then fits the 4 GiB that WebAssembly can address. */
const LARGEST_TEXT_BYTES = 1 << 27;

const aligned = (address: number): number => Math.ceil(address / 64) * 64;

/** A power of two that leaves at least half of the table free. */
function slotsFor(count: number): number {
  return 2 ** Math.ceil(Math.log2(2 * count));
}
