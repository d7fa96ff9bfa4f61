import { z } from "zod";
import { BYTE_OF_ID, CHARACTER_OF_ID, ID_OF_BYTE } from "./byte-alphabet.ts";
import { TokenizerError } from "./errors.ts";
import { mergePair } from "./merge-pair.ts";
import { PRE_TOKEN, PUBLISHED_PATTERN } from "./pre-tokenizer.ts";

/** Names as in Qwen2.5 and Dream; they close the vocabulary in this order. */
export const SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|beginoftext|>", "<|mask|>", "<|dlm_pad|>"] as const;

export interface EncodeOptions {
  /** Read special tokens in the text as such; otherwise they are plain text. */
  readonly specials?: boolean;
}

/** Byte-level BPE with Qwen2's pre-tokenizer and NFC normalisation. */
export class Tokenizer {
  readonly vocabSize: number;
  readonly #merges: readonly (readonly [number, number])[];
  /** Merged id by left * vocabSize + right; a lower id was learned earlier and merges first. */
  readonly #mergedId = new Map<number, number>();
  readonly #bytesOfId: Uint8Array[];
  readonly #specials: ReadonlyMap<string, number>;
  readonly #specialPattern: RegExp | undefined;
  readonly #idsOfWord = new Map<string, readonly number[]>();

  /** @param merges pairs of ids in the order learned; the k-th makes id 256 + k */
  constructor(merges: readonly (readonly [number, number])[], specialTokens: readonly string[] = SPECIAL_TOKENS) {
    this.#merges = merges;
    this.vocabSize = BYTE_OF_ID.length + merges.length + specialTokens.length;
    this.#bytesOfId = BYTE_OF_ID.map((byte) => Uint8Array.of(byte));
    for (const [left, right] of merges) {
      this.#mergedId.set(left * this.vocabSize + right, this.#bytesOfId.length);
      this.#bytesOfId.push(Buffer.concat([this.#bytesOfId[left]!, this.#bytesOfId[right]!]));
    }
    const firstSpecial = this.#bytesOfId.length;
    this.#specials = new Map(specialTokens.map((token, i) => [token, firstSpecial + i]));
    this.#bytesOfId.push(...specialTokens.map((token) => Buffer.from(token)));
    const alternatives = specialTokens.map((token) => token.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    this.#specialPattern = alternatives.length === 0 ? undefined : new RegExp(`(${alternatives.join("|")})`);
  }

  /** Id of a special token. @throws TokenizerError `UnknownToken` */
  id(specialToken: string): number {
    const id = this.#specials.get(specialToken);
    if (id !== undefined) return id;
    throw new TokenizerError("UnknownToken", `token: expected one of ${[...this.#specials.keys()].join(" ")}, found ${specialToken}`);
  }

  encode(text: string, options: EncodeOptions = {}): Uint32Array {
    const ids: number[] = [];
    const parts = options.specials === true && this.#specialPattern !== undefined ? text.split(this.#specialPattern) : [text];
    for (const part of parts) {
      const special = options.specials === true ? this.#specials.get(part) : undefined;
      if (special !== undefined) ids.push(special);
      else for (const [word] of part.normalize("NFC").matchAll(PRE_TOKEN)) for (const id of this.#encodeWord(word)) ids.push(id);
    }
    return Uint32Array.from(ids);
  }

  /** Undoes `encode` up to NFC; bytes that are not UTF-8 become U+FFFD. @throws TokenizerError `UnknownToken` */
  decode(ids: Iterable<number>): string {
    const parts: Uint8Array[] = [];
    for (const id of ids) {
      const bytes = this.#bytesOfId[id];
      if (bytes === undefined) throw new TokenizerError("UnknownToken", `token id: expected one below ${this.vocabSize}, found ${id}`);
      parts.push(bytes);
    }
    return Buffer.concat(parts).toString("utf8");
  }

  /** Hugging Face `tokenizer.json`. */
  toJson(): string {
    const nameOf = (id: number) => [...this.#bytesOfId[id]!].map((byte) => CHARACTER_OF_ID[ID_OF_BYTE[byte]!]).join("");
    const vocab = Object.fromEntries(this.#bytesOfId.slice(0, BYTE_OF_ID.length + this.#merges.length).map((_, id) => [nameOf(id), id]));
    const added = [...this.#specials].map(([content, id]) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    }));
    const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
    const json = {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer: { type: "NFC" },
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [{ type: "Split", pattern: { Regex: PUBLISHED_PATTERN }, behavior: "Isolated", invert: false }, byteLevel],
      },
      post_processor: null,
      decoder: byteLevel,
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab,
        merges: this.#merges.map(([left, right]) => [nameOf(left), nameOf(right)]),
      },
    };
    return `${JSON.stringify(json)}\n`;
  }

  /** @throws TokenizerError `TokenizerCorrupt` naming the key that is wrong */
  static fromJson(json: string): Tokenizer {
    const parsed = tokenizerJson.safeParse(parseJson(json));
    if (!parsed.success) throw new TokenizerError("TokenizerCorrupt", `tokenizer.json: ${z.prettifyError(parsed.error)}`);
    const { model, added_tokens: added } = parsed.data;
    const vocabulary = new Map(Object.entries(model.vocab));
    const idOf = (name: string): number => {
      const id = vocabulary.get(name);
      if (id === undefined) throw new TokenizerError("TokenizerCorrupt", `tokenizer.json: expected merge part ${name} in the vocabulary, found none`);
      return id;
    };
    CHARACTER_OF_ID.forEach((character, id) => requireId(character, idOf(character), id));
    const merges = model.merges.map((merge, index): [number, number] => {
      const [left, right] = typeof merge === "string" ? merge.split(" ") : merge;
      const id = BYTE_OF_ID.length + index;
      requireId(`${left}${right}`, idOf(`${left}${right}`), id);
      const parts: [number, number] = [idOf(left!), idOf(right!)];
      if (Math.max(...parts) < id) return parts;
      throw new TokenizerError("TokenizerCorrupt", `tokenizer.json: expected merge ${index} to join tokens that come before it, found ${left} ${right}`);
    });
    const specials = [...added].sort((a, b) => a.id - b.id);
    specials.forEach(({ content, id }, index) => requireId(content, id, BYTE_OF_ID.length + merges.length + index));
    return new Tokenizer(
      merges,
      specials.map(({ content }) => content),
    );
  }

  #encodeWord(word: string): readonly number[] {
    const known = this.#idsOfWord.get(word);
    if (known !== undefined) return known;
    let ids: readonly number[] = [...Buffer.from(word)].map((byte) => ID_OF_BYTE[byte]!);
    for (let first = this.#firstMerge(ids); first !== undefined; first = this.#firstMerge(ids)) {
      // All at once: a pair that a merge brings about was learned later, so that none of those comes in between.
      ids = mergePair(ids, ...this.#merges[first - BYTE_OF_ID.length]!, first);
    }
    if (this.#idsOfWord.size < MAX_CACHED_WORDS) this.#idsOfWord.set(word, ids);
    return ids;
  }

  /** The id that was learned first among those that neighbours would merge to. */
  #firstMerge(ids: readonly number[]): number | undefined {
    let first = Infinity;
    for (let i = 0; i + 1 < ids.length; i++) {
      const merged = this.#mergedId.get(ids[i]! * this.vocabSize + ids[i + 1]!);
      if (merged !== undefined && merged < first) first = merged;
    }
    return first === Infinity ? undefined : first;
  }
}

const MAX_CACHED_WORDS = 1 << 18;

/** What decides ids. A tokenizer that splits or normalises in another way has other ids for the same vocabulary. */
const tokenizerJson = z.object({
  added_tokens: z.array(z.object({ id: z.int(), content: z.string() })),
  normalizer: z.object({ type: z.literal("NFC") }),
  pre_tokenizer: z.object({
    pretokenizers: z.tuple([z.object({ type: z.literal("Split"), pattern: z.object({ Regex: z.literal(PUBLISHED_PATTERN) }) }), z.object({ type: z.literal("ByteLevel"), add_prefix_space: z.literal(false) })]),
  }),
  model: z.object({
    type: z.literal("BPE"),
    vocab: z.record(z.string(), z.int()),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
});

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new TokenizerError("TokenizerCorrupt", "tokenizer.json: expected JSON, found something else");
  }
}

function requireId(token: string, found: number, expected: number): void {
  if (found === expected) return;
  throw new TokenizerError("TokenizerCorrupt", `tokenizer.json: expected id ${expected} for ${token}, found ${found}; vocabulary order must be bytes, merges, special tokens`);
}
