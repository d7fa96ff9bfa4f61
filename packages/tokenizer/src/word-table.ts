/** Numbers words from 0 on, without making a string of each: a hash table over the texts' own UTF-16 units. */
export class WordTable {
  /** Number of words. */
  size = 0;
  /** Number of the word in each slot, plus 1; 0 is free. At most half of the slots are taken. */
  #slots = new Int32Array(1 << 12);
  #hashes = new Int32Array(1 << 11);
  /** Where each word begins among the units, and, one behind the last, where the units end. */
  #starts = new Int32Array((1 << 11) + 1);
  #units = new Uint16Array(1 << 14);

  /** Number of the word text[start, end), or -1. */
  find(text: string, start: number, end: number): number {
    const hash = hashOf(text, start, end);
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      const word = this.#slots[slot]! - 1;
      if (this.#hashes[word] === hash && this.#isAt(word, text, start, end)) return word;
    }
    return -1;
  }

  /** Gives the next number to a word that `find` does not know. */
  add(text: string, start: number, end: number): number {
    if (2 * (this.size + 1) > this.#slots.length) this.#grow();
    const word = this.size++;
    const at = this.#starts[word]!;
    const behind = at + end - start;
    if (behind > this.#units.length) this.#units = resized(this.#units, Math.max(behind, 2 * this.#units.length));
    for (let i = start; i < end; i++) this.#units[at + i - start] = text.charCodeAt(i);
    this.#starts[word + 1] = behind;
    this.#hashes[word] = hashOf(text, start, end);
    this.#place(word);
    return word;
  }

  word(number: number): string {
    return Buffer.from(this.#units.buffer, 2 * this.#starts[number]!, 2 * (this.#starts[number + 1]! - this.#starts[number]!)).toString("utf16le");
  }

  #isAt(word: number, text: string, start: number, end: number): boolean {
    const at = this.#starts[word]!;
    if (this.#starts[word + 1]! - at !== end - start) return false;
    for (let i = start; i < end; i++) if (this.#units[at + i - start] !== text.charCodeAt(i)) return false;
    return true;
  }

  #place(word: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.#hashes[word]! & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = word + 1;
  }

  #grow(): void {
    const slots = 2 * this.#slots.length;
    this.#hashes = resized(this.#hashes, slots / 2);
    this.#starts = resized(this.#starts, slots / 2 + 1);
    this.#slots = new Int32Array(slots);
    for (let word = 0; word < this.size; word++) this.#place(word);
  }
}

/** @source Fowler, Noll and Vo, FNV-1a, with a last mix so that low bits depend on all units */
function hashOf(text: string, start: number, end: number): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash ^ (hash >>> 15);
}

function resized<T extends Int32Array | Uint16Array>(array: T, length: number): T {
  const larger = new (array.constructor as new (length: number) => T)(length);
  larger.set(array);
  return larger;
}
