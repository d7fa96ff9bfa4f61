/** Pairs of numbers below 2^32, the lesser first; grows by doubling, and forgets repetitions before it does. */
export class PairList {
  #words: Uint32Array;
  #length = 0;

  constructor(capacity = 1 << 10) {
    this.#words = new Uint32Array(capacity * 2);
  }

  get length(): number {
    return this.#length / 2;
  }

  clear(): void {
    this.#length = 0;
  }

  add(first: number, second: number): void {
    if (this.#length === this.#words.length) this.#makeRoom();
    // Little-endian words of one u64, so that pairs sort by their first number.
    this.#words[this.#length++] = second;
    this.#words[this.#length++] = first;
  }

  /** Sorted, each pair once, as u64: the first number above the second. A view that the next call may overwrite. */
  sorted(): BigUint64Array {
    const pairs = new BigUint64Array(this.#words.buffer, 0, this.#length / 2).sort();
    this.#length = 2 * keepDistinct(pairs);
    return pairs.subarray(0, this.#length / 2);
  }

  #makeRoom(): void {
    if (this.sorted().length * 4 < this.#words.length) return;
    const larger = new Uint32Array(this.#words.length * 2);
    larger.set(this.#words);
    this.#words = larger;
  }
}

/** Moves the distinct values of a sorted array to its front; returns how many there are. */
export function keepDistinct(sorted: BigUint64Array): number {
  const words = new Uint32Array(sorted.buffer, sorted.byteOffset, sorted.length * 2);
  let kept = 0;
  for (let i = 0; i < words.length; i += 2) {
    if (kept > 0 && words[i] === words[kept - 2] && words[i + 1] === words[kept - 1]) continue;
    words[kept++] = words[i]!;
    words[kept++] = words[i + 1]!;
  }
  return kept / 2;
}
