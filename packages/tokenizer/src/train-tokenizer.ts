import { ID_OF_BYTE } from "./byte-alphabet.ts";
import { TokenizerError } from "./errors.ts";
import { mergePair } from "./merge-pair.ts";
import { wordEnd } from "./pre-tokenizer.ts";
import { SPECIAL_TOKENS, Tokenizer } from "./tokenizer.ts";
import { WordTable } from "./word-table.ts";

export interface TrainTokenizerOptions {
  /** Bytes, merges and special tokens together. Fewer merges are learned when the text runs out of pairs. */
  readonly vocabSize: number;
  readonly specialTokens?: readonly string[];
}

/**
 * Learns byte-level BPE: repeatedly merges the most frequent pair of neighbours within pre-tokens. Ties go to the
 * pair with the lower left id, then the lower right id, so that equal texts give equal merges.
 *
 * @throws TokenizerError `VocabularyTooSmall` when not even the bytes and special tokens fit
 */
export async function trainTokenizer(texts: Iterable<string> | AsyncIterable<string>, options: TrainTokenizerOptions): Promise<Tokenizer> {
  const { vocabSize, specialTokens = SPECIAL_TOKENS } = options;
  const mergeCount = vocabSize - ID_OF_BYTE.length - specialTokens.length;
  if (mergeCount < 0) {
    throw new TokenizerError(
      "VocabularyTooSmall",
      `vocabSize: expected at least ${ID_OF_BYTE.length + specialTokens.length}, found ${vocabSize}`,
    );
  }
  return new Tokenizer(learnMerges(await countWords(texts), mergeCount), specialTokens);
}

async function countWords(texts: Iterable<string> | AsyncIterable<string>): Promise<Word[]> {
  const table = new WordTable();
  const counts: number[] = [];
  for await (const given of texts) {
    const text = given.normalize("NFC");
    for (let start = 0; start < text.length; ) {
      const end = wordEnd(text, start);
      const known = table.find(text, start, end);
      const word = known < 0 ? table.add(text, start, end) : known;
      counts[word] = (counts[word] ?? 0) + 1;
      start = end;
    }
  }
  return counts.map((count, word) => ({ ids: Array.from(Buffer.from(table.word(word)), (byte) => ID_OF_BYTE[byte]!), count }));
}

interface Word {
  ids: number[];
  readonly count: number;
}

interface Pair {
  readonly left: number;
  readonly right: number;
  count: number;
  /** Indices of words that hold the pair, or held it once. */
  readonly words: Set<number>;
}

function learnMerges(words: readonly Word[], mergeCount: number): [number, number][] {
  const pairs = new PairIndex();
  words.forEach((word, index) => pairs.addWord(word, index));
  const merges: [number, number][] = [];
  while (merges.length < mergeCount) {
    const best = pairs.takeMostFrequent();
    if (best === undefined) break;
    const merged = ID_OF_BYTE.length + merges.length;
    merges.push([best.left, best.right]);
    for (const index of best.words) {
      const word = words[index]!;
      pairs.removeWord(word);
      word.ids = mergePair(word.ids, best.left, best.right, merged);
      pairs.addWord(word, index);
    }
  }
  return merges;
}

/** Counts of neighbouring pairs, with the most frequent one at hand (a heap whose stale entries are dropped on the way). */
class PairIndex {
  readonly #pairs = new Map<number, Pair>();
  readonly #heap: { readonly pair: Pair; readonly count: number }[] = [];
  /** Pairs whose count may have grown since they were last put on the heap. */
  readonly #grown = new Set<Pair>();

  addWord(word: Word, index: number): void {
    this.#forPairs(word, (pair) => {
      pair.count += word.count;
      pair.words.add(index);
      this.#grown.add(pair);
    });
  }

  removeWord(word: Word): void {
    this.#forPairs(word, (pair) => {
      pair.count -= word.count;
    });
  }

  takeMostFrequent(): Pair | undefined {
    for (const pair of this.#grown) this.#push(pair);
    this.#grown.clear();
    for (let top = this.#pop(); top !== undefined; top = this.#pop()) {
      if (top.pair.count === 0) continue;
      if (top.count === top.pair.count) return top.pair;
      this.#push(top.pair);
    }
    return undefined;
  }

  #forPairs({ ids }: Word, visit: (pair: Pair) => void): void {
    for (let i = 0; i + 1 < ids.length; i++) {
      const left = ids[i]!;
      const right = ids[i + 1]!;
      const key = left * MAX_VOCABULARY + right;
      let pair = this.#pairs.get(key);
      if (pair === undefined) {
        pair = { left, right, count: 0, words: new Set() };
        this.#pairs.set(key, pair);
      }
      visit(pair);
    }
  }

  #push(pair: Pair): void {
    const heap = this.#heap;
    heap.push({ pair, count: pair.count });
    for (let child = heap.length - 1; child > 0; ) {
      const parent = (child - 1) >> 1;
      if (!comesBefore(heap[child]!, heap[parent]!)) return;
      [heap[child], heap[parent]] = [heap[parent]!, heap[child]!];
      child = parent;
    }
  }

  #pop(): { pair: Pair; count: number } | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    heap[0] = last;
    for (let parent = 0; ; ) {
      let first = parent;
      for (const child of [2 * parent + 1, 2 * parent + 2]) {
        if (child < heap.length && comesBefore(heap[child]!, heap[first]!)) first = child;
      }
      if (first === parent) return top;
      [heap[first], heap[parent]] = [heap[parent]!, heap[first]!];
      parent = first;
    }
  }
}

const MAX_VOCABULARY = 2 ** 24;

function comesBefore(a: { pair: Pair; count: number }, b: { pair: Pair; count: number }): boolean {
  if (a.count !== b.count) return a.count > b.count;
  if (a.pair.left !== b.pair.left) return a.pair.left < b.pair.left;
  return a.pair.right < b.pair.right;
}
