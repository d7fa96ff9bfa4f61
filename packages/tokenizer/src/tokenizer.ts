import { CHARACTER_OF_ID, ID_OF_BYTE } from "./byte-alphabet.ts";
import { TokenizerError } from "./errors.ts";
import { Merger } from "./merger.ts";
import { wordEnd } from "./pre-tokenizer.ts";
import { formatTokenizerJson, parseTokenizerJson } from "./tokenizer-json.ts";
import { formatVocabularyFiles, parseVocabularyFiles, type VocabularyFiles } from "./vocabulary-files.ts";
import { bytesOfIds, learnedVocabulary, vocabularySize, withSpecialTokens, type Vocabulary } from "./vocabulary.ts";
import { WordTable } from "./word-table.ts";

/** Names as in Qwen2.5 and Dream; they close the vocabulary in this order. */
export const SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|beginoftext|>", "<|mask|>", "<|dlm_pad|>"] as const;

export interface EncodeOptions {
  /** Read added tokens in the text, such as `<|im_end|>`, as such; otherwise they are plain text. */
  readonly specials?: boolean;
}

export interface DecodeOptions {
  /**
   * What an id without a token reads as, which is refused otherwise. Models have more rows than their tokenizers tokens, and
   * may choose any of them: Qwen2.5 has 152,064 rows for 151,665 tokens.
   */
  readonly unknownAs?: string;
}

/** Byte-level BPE with Qwen2's pre-tokenizer and NFC normalisation. */
export class Tokenizer {
  readonly vocabSize: number;
  readonly #vocabulary: Vocabulary;
  readonly #merger: Merger;
  readonly #idOfByte: readonly number[];
  readonly #bytesOfId: readonly (Uint8Array | undefined)[];
  readonly #added: ReadonlyMap<string, number>;
  readonly #addedPattern: RegExp | undefined;
  readonly #known = new KnownWords();

  /** @param merges pairs of ids in the order learned; the k-th makes id 256 + k */
  constructor(merges: readonly (readonly [number, number])[], specialTokens?: readonly string[]);
  constructor(vocabulary: Vocabulary);
  constructor(given: Vocabulary | readonly (readonly [number, number])[], specialTokens: readonly string[] = SPECIAL_TOKENS) {
    const vocabulary = "names" in given ? given : learnedVocabulary(given, specialTokens);
    const idOfName = new Map(vocabulary.names.map((name, id) => [name, id]));
    this.#vocabulary = vocabulary;
    this.vocabSize = vocabularySize(vocabulary);
    this.#idOfByte = ID_OF_BYTE.map((base) => idOfName.get(CHARACTER_OF_ID[base])!);
    this.#merger = new Merger(vocabulary.merges.map(([left, right]) => [idOfName.get(left)!, idOfName.get(right)!, idOfName.get(left + right)!]));
    this.#bytesOfId = bytesOfIds(vocabulary);
    this.#added = new Map(vocabulary.added.map(({ content, id }) => [content, id]));
    this.#addedPattern = patternOf([...this.#added.keys()]);
  }

  /** Id of an added token. @throws TokenizerError `UnknownToken` */
  id(addedToken: string): number {
    const id = this.#added.get(addedToken);
    if (id !== undefined) return id;
    throw new TokenizerError("UnknownToken", `token: expected one of ${[...this.#added.keys()].join(" ")}, found ${addedToken}`);
  }

  encode(text: string, options: EncodeOptions = {}): Uint32Array {
    if (options.specials !== true || this.#addedPattern === undefined) return this.#encodePlain(text);
    const parts = text.split(this.#addedPattern).map((part) => {
      const id = this.#added.get(part);
      return id === undefined ? this.#encodePlain(part) : Uint32Array.of(id);
    });
    return joined(parts);
  }

  /** Undoes `encode` up to NFC; bytes that are not UTF-8 become U+FFFD. @throws TokenizerError `UnknownToken` */
  decode(ids: Iterable<number>, { unknownAs }: DecodeOptions = {}): string {
    const unknown = unknownAs === undefined ? undefined : Buffer.from(unknownAs);
    const parts: Uint8Array[] = [];
    for (const id of ids) {
      const bytes = this.#bytesOfId[id] ?? unknown;
      if (bytes === undefined) throw new TokenizerError("UnknownToken", `token id: expected one of the vocabulary's ${this.vocabSize}, found ${id}`);
      parts.push(bytes);
    }
    return Buffer.concat(parts).toString("utf8");
  }

  /** The same with those of the special tokens that it lacks, at the ids behind its last one: 151,666 for Qwen2.5's `<|mask|>`. */
  withSpecialTokens(specialTokens: readonly string[] = SPECIAL_TOKENS): Tokenizer {
    return new Tokenizer(withSpecialTokens(this.#vocabulary, specialTokens));
  }

  /** Hugging Face `tokenizer.json`. */
  toJson(): string {
    return formatTokenizerJson(this.#vocabulary);
  }

  /** @throws TokenizerError `TokenizerCorrupt` naming the key or token that is wrong */
  static fromJson(json: string): Tokenizer {
    return new Tokenizer(parseTokenizerJson(json));
  }

  /** The files that come without a `tokenizer.json`, as Dream's and DiffuCoder's do. */
  toFiles(): VocabularyFiles {
    return formatVocabularyFiles(this.#vocabulary);
  }

  /** @throws TokenizerError `TokenizerCorrupt` naming the file, and the key, line or token that is wrong */
  static fromFiles(files: Partial<VocabularyFiles>): Tokenizer {
    return new Tokenizer(parseVocabularyFiles(files));
  }

  #encodePlain(given: string): Uint32Array {
    // Only marks from U+0300 on compose with what stands before them.
    const text = MAY_COMPOSE.test(given) ? given.normalize("NFC") : given;
    const known = this.#known;
    let ids = new Uint32Array(16 + (text.length >> 1));
    let count = 0;
    for (let start = 0; start < text.length; ) {
      const end = wordEnd(text, start);
      let word = known.find(text, start, end);
      if (word < 0) word = known.add(text, start, end, this.#mergeWord(text.slice(start, end)));
      const first = known.starts[word]!;
      const behind = known.starts[word + 1]!;
      if (count + behind - first > ids.length) ids = resized(ids, 2 * ids.length + behind - first);
      for (let i = first; i < behind; i++) ids[count++] = known.ids[i]!;
      start = end;
    }
    return ids.slice(0, count);
  }

  #mergeWord(word: string): number[] {
    return this.#merger.merge(Array.from(Buffer.from(word), (byte) => this.#idOfByte[byte]!));
  }
}

const MAY_COMPOSE = /[\u0300-\uffff]/;

/** Ids of words that were encoded before. */
class KnownWords {
  ids = new Uint32Array(1 << 14);
  starts = new Uint32Array(1 << 12);
  #table = new WordTable();

  find(text: string, start: number, end: number): number {
    return this.#table.find(text, start, end);
  }

  /** Forgets all words when they get too many: those that matter come back at once. */
  add(text: string, start: number, end: number, ids: readonly number[]): number {
    if (this.#table.size === MAX_KNOWN_WORDS || this.starts[this.#table.size]! > MAX_KNOWN_IDS) this.#table = new WordTable();
    const word = this.#table.add(text, start, end);
    if (word + 1 === this.starts.length) this.starts = resized(this.starts, 2 * this.starts.length);
    const first = this.starts[word]!;
    const behind = first + ids.length;
    if (behind > this.ids.length) this.ids = resized(this.ids, Math.max(behind, 2 * this.ids.length));
    this.ids.set(ids, first);
    this.starts[word + 1] = behind;
    return word;
  }
}

const MAX_KNOWN_WORDS = 1 << 18;
const MAX_KNOWN_IDS = 1 << 22;

function resized(array: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(length);
  larger.set(array);
  return larger;
}

function joined(parts: readonly Uint32Array[]): Uint32Array {
  const whole = new Uint32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Finds any of the tokens, the longest where several begin. */
function patternOf(tokens: readonly string[]): RegExp | undefined {
  if (tokens.length === 0) return undefined;
  const literals = [...tokens].sort((a, b) => b.length - a.length).map((token) => token.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`(${literals.join("|")})`);
}
