import { stream } from "@diffucoder/random";
import xxhash from "xxhash-wasm";

const { h32 } = await xxhash();

/**
 * Finds near-duplicates among the texts it has been given, by word 5-grams.
 *
 * MinHash (128 hashes, 16 bands of 8 rows: a pair of similarity s becomes a candidate with probability
 * 1 - (1 - s^8)^16, 0.95 at 0.8) only proposes candidates; the Jaccard similarity of each is computed from all its runs.
 *
 * @source Broder, "On the resemblance and containment of documents", SEQUENCES 1997; banding of Leskovec, Rajaraman
 *   and Ullman, "Mining of Massive Datasets", section 3.4
 */
export class NearDuplicateIndex {
  readonly #threshold: number;
  readonly #shinglesOf = new Map<string, ReadonlySet<number>>();
  readonly #idsOfBand = new Map<string, string[]>();

  constructor(threshold: number) {
    this.#threshold = threshold;
  }

  /**
   * Compares a text with all that were kept, and keeps it when it is like none. Only a direct neighbour of a kept
   * text is dropped: likeness is not passed on through a third.
   *
   * @returns id and similarity of the kept text it repeats
   */
  addUnlessNear(id: string, text: string): { readonly id: string; readonly similarity: number } | undefined {
    const shingles = shinglesOf(text);
    const bands = bandsOf(shingles);
    const candidates = new Set(bands.flatMap((band) => this.#idsOfBand.get(band) ?? []));
    for (const candidate of candidates) {
      const similarity = jaccard(shingles, this.#shinglesOf.get(candidate)!);
      if (similarity >= this.#threshold) return { id: candidate, similarity };
    }
    this.#shinglesOf.set(id, shingles);
    for (const band of bands) {
      const ids = this.#idsOfBand.get(band);
      if (ids === undefined) this.#idsOfBand.set(band, [id]);
      else ids.push(id);
    }
    return undefined;
  }
}

const SHINGLE_WORDS = 5;
const BANDS = 16;
const ROWS = 8;

/** Hashes of all runs of five words; of the words there are when they are fewer, and of the text itself when there are none. */
export function shinglesOf(text: string): ReadonlySet<number> {
  const words = text.match(/\w+/g) ?? [text];
  const count = Math.max(1, words.length - SHINGLE_WORDS + 1);
  return new Set(Array.from({ length: count }, (_, i) => h32(words.slice(i, i + SHINGLE_WORDS).join(" "))));
}

export function jaccard(a: ReadonlySet<number>, b: ReadonlySet<number>): number {
  let shared = 0;
  for (const shingle of a) if (b.has(shingle)) shared++;
  return shared / (a.size + b.size - shared);
}

/** One seed for each hash function; fixed, so that equal texts give equal bands everywhere. */
const HASH_SEEDS = ((draws) => Uint32Array.from({ length: BANDS * ROWS }, () => draws.uint32()))(
  stream({ seed: 0, stage: "corpus", purpose: "minhash" }),
);

function bandsOf(shingles: ReadonlySet<number>): string[] {
  const smallest = new Uint32Array(BANDS * ROWS).fill(0xffffffff);
  for (const shingle of shingles) {
    for (let i = 0; i < smallest.length; i++) {
      // MurmurHash3's finaliser, keyed: one well-mixed hash function for each seed.
      let h = (shingle ^ HASH_SEEDS[i]!) >>> 0;
      h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
      h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
      h = (h ^ (h >>> 16)) >>> 0;
      if (h < smallest[i]!) smallest[i] = h;
    }
  }
  return Array.from({ length: BANDS }, (_, band) => `${band}:${smallest.subarray(band * ROWS, (band + 1) * ROWS).join()}`);
}
