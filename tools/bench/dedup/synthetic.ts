import type { NearDuplicateDocument } from "@diffucoder/corpus";

/** Words of a document. */
const WORDS = 120;
/** Every third document is a copy of the one before it with two words changed: 106 of 126 runs are shared, 0.84. */
const COPY_EVERY = 3;
const CHANGED = 2;
const VOCABULARY = Array.from({ length: 1 << 16 }, (_, i) => `${["get", "set", "item", "node", "key", "line", "path", "value"][i & 7]}_${i.toString(36)}`);

/** A stream of documents, each made of its number alone. */
export function* syntheticDocuments(count: number): Generator<NearDuplicateDocument> {
  for (let number = 0; number < count; number++) yield { id: number.toString(16).padStart(32, "0"), text: textOf(number) };
}

function textOf(number: number): string {
  const isCopy = number % COPY_EVERY === COPY_EVERY - 1;
  const first = (isCopy ? number - 1 : number) * WORDS;
  const words = Array.from({ length: WORDS }, (_, i) => VOCABULARY[mixed(first + i) >>> 16]!);
  if (isCopy) for (let i = 0; i < CHANGED; i++) words[20 + i * 60] = `changed_${number}_${i}`;
  return words.join(" ");
}

/** MurmurHash3's 32-bit finaliser. */
function mixed(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Copies among the first documents. */
export const copiesAmong = (count: number): number => Math.floor(count / COPY_EVERY);
