/** Pairs of ids that become one, in the order of their priority. */
export type Merge = readonly [left: number, right: number, merged: number];

/** Applies merges to a word: again and again the pair of highest priority, the leftmost of equal ones. */
export class Merger {
  /** Left, right and merged id of each rank. */
  readonly #ids: Int32Array;
  /** Hash table from a pair to its rank plus 1; 0 is free. At most half of the slots are taken. */
  readonly #slots: Int32Array;

  constructor(merges: readonly Merge[]) {
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * merges.length + 2)));
    this.#ids = new Int32Array(3 * merges.length);
    merges.forEach((merge, rank) => {
      this.#ids.set(merge, 3 * rank);
      let slot = hashOf(merge[0], merge[1]) & (this.#slots.length - 1);
      while (this.#slots[slot] !== 0) slot = (slot + 1) & (this.#slots.length - 1);
      this.#slots[slot] = rank + 1;
    });
  }

  /** Ids after all merges. Takes `n log n` steps for `n` ids, so that a word may be as long as a file. */
  merge(ids: Iterable<number>): number[] {
    const at = [...ids];
    // A merged pair lives on at its left place; the right one is bridged over.
    const next = at.map((_, i) => i + 1);
    const previous = at.map((_, i) => i - 1);
    const queue = new MinHeap();
    const offer = (place: number) => {
      if (place < 0 || next[place]! >= at.length) return;
      const rank = this.#rankOf(at[place]!, at[next[place]!]!);
      if (rank >= 0) queue.push(rank * PLACES + place);
    };
    for (let place = 0; place + 1 < at.length; place++) offer(place);
    for (let top = queue.pop(); top !== undefined; top = queue.pop()) {
      const [rank, place] = [Math.floor(top / PLACES), top % PLACES];
      const right = next[place]!;
      // Another merge may have taken either side since this one was queued.
      if (at[place] !== this.#ids[3 * rank] || right >= at.length || at[right] !== this.#ids[3 * rank + 1]) continue;
      at[place] = this.#ids[3 * rank + 2]!;
      at[right] = GONE;
      next[place] = next[right]!;
      if (next[place]! < at.length) previous[next[place]!] = place;
      offer(previous[place]!);
      offer(place);
    }
    return at.filter((id) => id !== GONE);
  }

  #rankOf(left: number, right: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = hashOf(left, right) & mask; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      const rank = this.#slots[slot]! - 1;
      if (this.#ids[3 * rank] === left && this.#ids[3 * rank + 1] === right) return rank;
    }
    return -1;
  }
}

const GONE = -1;

/** Rank and place share one number, so that the queue orders by rank, then by place: 2^23 ranks, 2^30 places. */
const PLACES = 2 ** 30;

function hashOf(left: number, right: number): number {
  const hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
  return hash ^ (hash >>> 15);
}

class MinHeap {
  readonly #keys: number[] = [];

  push(key: number): void {
    const keys = this.#keys;
    let child = keys.push(key) - 1;
    for (let parent = (child - 1) >> 1; child > 0 && keys[parent]! > key; parent = (child - 1) >> 1) {
      keys[child] = keys[parent]!;
      child = parent;
    }
    keys[child] = key;
  }

  pop(): number | undefined {
    const keys = this.#keys;
    const top = keys[0];
    const last = keys.pop();
    if (keys.length === 0 || last === undefined) return top;
    let parent = 0;
    for (let child = 1; child < keys.length; child = 2 * parent + 1) {
      if (child + 1 < keys.length && keys[child + 1]! < keys[child]!) child++;
      if (keys[child]! >= last) break;
      keys[parent] = keys[child]!;
      parent = child;
    }
    keys[parent] = last;
    return top;
  }
}
