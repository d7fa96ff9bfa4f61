import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { publishedWords } from "../test/published-words.ts";
import { ID_OF_BYTE } from "./byte-alphabet.ts";
import { TokenizerError } from "./errors.ts";
import { PUBLISHED_PATTERN } from "./pre-tokenizer.ts";
import { SPECIAL_TOKENS, Tokenizer } from "./tokenizer.ts";
import { trainTokenizer } from "./train-tokenizer.ts";

const BASE = 256 + SPECIAL_TOKENS.length;
const text = "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a - b\n".repeat(3);
const trained = await trainTokenizer([text, "größe = 'ä'"], { vocabSize: BASE + 30 });

const byteId = (character: string) => ID_OF_BYTE[character.charCodeAt(0)]!;
const [a, b, c] = [byteId("a"), byteId("b"), byteId("c")];

describe("encoding", () => {
  it("starts from bytes", () => {
    const bytes = new Tokenizer([]);
    // Ids as in published vocabularies: ! is 0, a is 64, a space 220, a line feed 198.
    expect([...bytes.encode("!a \n")]).toEqual([0, 64, 220, 198]);
    expect([...bytes.encode("é")]).toEqual([ID_OF_BYTE[0xc3], ID_OF_BYTE[0xa9]]);
    expect([...bytes.encode("")]).toEqual([]);
  });

  it("merges what was learned first, not what comes first", () => {
    // Learned: bc (256), ab (257). In abc, bc goes first and ab is gone; ab alone merges.
    const tokenizer = new Tokenizer([[b, c], [a, b]]);
    expect([...tokenizer.encode("abc")]).toEqual([a, 256]);
    expect([...tokenizer.encode("abab")]).toEqual([257, 257]);
  });

  it("merges from the left, and merges of merges", () => {
    const tokenizer = new Tokenizer([[a, a], [256, a], [256, 256]]);
    expect([...tokenizer.encode("aaa")]).toEqual([257]);
    expect([...tokenizer.encode("aaaa")]).toEqual([258]);
    expect([...tokenizer.encode("aaaaa")]).toEqual([256, 257]);
  });

  it("never merges across words", () => {
    const tokenizer = new Tokenizer([[a, byteId("1")], [a, b]]);
    expect([...tokenizer.encode("a1")]).toEqual([a, byteId("1")]);
    expect([...tokenizer.encode("ab ab")]).toEqual([257, byteId(" "), 257]);
  });

  it("is what merging one pair at a time gives", () => {
    const { model } = JSON.parse(trained.toJson()) as { model: { merges: [string, string][]; vocab: Record<string, number> } };
    const ranks = new Map(model.merges.map(([left, right], rank) => [`${model.vocab[left]} ${model.vocab[right]}`, rank]));
    const oneByOne = (word: string) => {
      const ids = [...Buffer.from(word)].map((byte) => ID_OF_BYTE[byte]!);
      for (;;) {
        const candidates = ids.slice(1).flatMap((right, i) => ({ at: i, rank: ranks.get(`${ids[i]} ${right}`) ?? Infinity }));
        const [best] = candidates.filter(({ rank }) => rank < Infinity).sort((one, other) => one.rank - other.rank || one.at - other.at);
        if (best === undefined) return ids;
        ids.splice(best.at, 2, 256 + best.rank);
      }
    };
    fc.assert(
      fc.property(fc.stringMatching(/^[ab df\n,():rtuen+]{0,40}$/), (value) => {
        expect([...trained.encode(value)]).toEqual(publishedWords(value).flatMap(oneByOne));
      }),
    );
    expect(trained.encode(text).length).toBeLessThan(text.length / 2);
  });

  it("composes characters first", () => {
    expect(trained.encode("e\u0301")).toEqual(trained.encode("\u00e9"));
    expect(trained.decode(trained.encode("e\u0301"))).toBe("\u00e9");
  });

  it("gives more ids than letters where characters are of many bytes", () => {
    const bytes = new Tokenizer([]);
    for (const value of ["変数".repeat(100), "\u{1f600}".repeat(100)]) expect([...bytes.encode(value)]).toEqual([...Buffer.from(value)].map((byte) => ID_OF_BYTE[byte]));
  });

  it("answers alike once it has forgotten", () => {
    const before = trained.encode(text);
    expect(trained.encode("変".repeat(1_400_000))).toHaveLength(4_200_000); // more ids than it remembers
    expect(trained.encode(text)).toEqual(before);
  });

  it("answers alike when asked again", () => {
    const first = trained.encode(text);
    expect(trained.encode(text)).toEqual(first);
    first.fill(0);
    expect(trained.encode(text)).not.toEqual(first);
  });
});

describe("decoding", () => {
  it("undoes encoding, up to composition, for all of Unicode", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), (value) => {
        expect(trained.decode(trained.encode(value))).toBe(value.normalize("NFC"));
        expect(trained.decode(trained.encode(value, { specials: true }))).toBe(value.normalize("NFC"));
      }),
      { numRuns: 500 },
    );
    expect(trained.decode(trained.encode(text))).toBe(text);
    expect(trained.decode(trained.encode("\ufeff\0\u{10ffff}"))).toBe("\ufeff\0\u{10ffff}");
  });

  it("joins the bytes of a character over tokens, and marks what is not UTF-8", () => {
    const bytes = new Tokenizer([]);
    expect(bytes.decode(bytes.encode("größe 変数"))).toBe("größe 変数");
    expect(bytes.decode([ID_OF_BYTE[0xc3]!, a])).toBe("\ufffda");
    expect(bytes.decode(bytes.encode("\ud800"))).toBe("\ufffd"); // half a surrogate pair is no character
  });

  it("refuses an id that it has no token for", () => {
    expect(trained.decode([trained.vocabSize - 1])).toBe("<|dlm_pad|>");
    expect(() => trained.decode([a, trained.vocabSize])).toThrow(
      expect.objectContaining({ name: "UnknownToken", code: "UnknownToken", retryable: false, message: `token id: expected one of the vocabulary's ${trained.vocabSize}, found ${trained.vocabSize}` }),
    );
    expect(() => trained.decode([-1])).toThrow("found -1");
  });

  it("reads such an id as it is told to", () => {
    expect(trained.decode([a, trained.vocabSize, b], { unknownAs: "\ufffd" })).toBe("a\ufffdb");
  });
});

describe("special tokens", () => {
  it("close the vocabulary in their order", () => {
    expect(SPECIAL_TOKENS).toEqual(["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|beginoftext|>", "<|mask|>", "<|dlm_pad|>"]);
    expect(trained.vocabSize).toBe(BASE + 30);
    expect(SPECIAL_TOKENS.map((token) => trained.id(token))).toEqual([0, 1, 2, 3, 4, 5].map((i) => BASE + 30 - 6 + i));
    expect(() => trained.id("<|no|>")).toThrow(
      expect.objectContaining({ code: "UnknownToken", message: `token: expected one of ${SPECIAL_TOKENS.join(" ")}, found <|no|>` }),
    );
  });

  it("are read only when asked for", () => {
    const prompt = "<|im_start|>user\na<|mask|><|mask|>b<|im_end|>";
    const id = (token: string) => trained.id(token);
    expect([...trained.encode(prompt, { specials: true })]).toEqual([
      id("<|im_start|>"), ...trained.encode("user\na"), id("<|mask|>"), id("<|mask|>"), ...trained.encode("b"), id("<|im_end|>"),
    ]);
    const plain = trained.encode(prompt);
    expect(Math.max(...plain)).toBeLessThan(trained.vocabSize - SPECIAL_TOKENS.length);
    expect(trained.encode(prompt, { specials: false })).toEqual(plain);
    expect([...trained.encode("<|mask|>")]).toEqual(["<|", "mask", "|>"].flatMap((word) => [...trained.encode(word)]));
    const tokenizer = new Tokenizer([[byteId(" "), byteId("<")]]);
    expect([...tokenizer.encode(" <|mask|>")].slice(0, 2)).toEqual([256, byteId("|")]); // as one word, not cut where a special token begins
    for (const ids of [plain, trained.encode(prompt, { specials: true })]) expect(trained.decode(ids)).toBe(prompt);
  });

  it("are taken literally, whatever characters they are of", () => {
    const odd = new Tokenizer([], ["<|a.b|>", "[(*+?^${}\\)]"]);
    expect([...odd.encode("[(*+?^${}\\)]<|a.b|>", { specials: true })]).toEqual([257, 256]);
    expect(odd.encode("<|axb|>", { specials: true }).length).toBe(7);
    expect([...new Tokenizer([[a, b]], []).encode("ab", { specials: true })]).toEqual([256]); // without any, too
  });

  it("are found as the longest that fits", () => {
    const nested = new Tokenizer([], ["<|a", "<|a|>", "<|"]);
    expect([...nested.encode("<|a|><|a<|", { specials: true })]).toEqual([257, 256, 258]);
  });

  it("that are missing take the ids behind the last one, in their order", () => {
    const some = new Tokenizer([[a, b]], ["<|im_end|>", "<tool>", "<|endoftext|>"]).withSpecialTokens();
    expect(SPECIAL_TOKENS.map((token) => some.id(token))).toEqual([259, 260, 257, 261, 262, 263]);
    expect(some.vocabSize).toBe(264);
    expect(trained.withSpecialTokens().toJson()).toBe(trained.toJson());
  });

  it("do not compose with what stands beside them", () => {
    const marked = "a<|mask|>\u0301";
    expect(trained.decode(trained.encode(marked, { specials: true }))).toBe(marked);
  });
});

interface TokenizerJson {
  added_tokens: { id: number; content: string }[];
  normalizer: { type: string };
  pre_tokenizer: { pretokenizers: [{ pattern: { Regex: string } }, { add_prefix_space: boolean }] };
  model: { type: string; merges: (string | [string, string])[]; vocab: Record<string, number> };
}

/** What sets each value in a JSON document, containers among them. */
function spotsIn(json: unknown, path: readonly string[] = []): ((document: unknown, value: unknown) => void)[] {
  if (typeof json !== "object" || json === null) return [];
  return Object.entries(json).flatMap(([key, inner]) => [
    (document: unknown, value: unknown) => Object.assign(path.reduce((outer, step) => (outer as Record<string, object>)[step]!, document as object), { [key]: value }),
    ...spotsIn(inner, [...path, key]),
  ]);
}

describe("tokenizer.json", () => {
  it("is in the shape of Hugging Face", () => {
    const tokenizer = new Tokenizer([[a, b], [ID_OF_BYTE[0x20]!, 256]], ["<|x|>"]);
    const json = JSON.parse(tokenizer.toJson()) as TokenizerJson;
    expect({ ...json, model: { ...json.model, vocab: undefined } }).toEqual({
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: [{ id: 258, content: "<|x|>", single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }],
      normalizer: { type: "NFC" },
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          { type: "Split", pattern: { Regex: PUBLISHED_PATTERN }, behavior: "Isolated", invert: false },
          { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
        ],
      },
      post_processor: null,
      decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: undefined,
        merges: [["a", "b"], ["Ġ", "ab"]],
      },
    });
    expect(Object.keys(json.model.vocab)).toHaveLength(258);
    expect(json.model.vocab).toMatchObject({ "!": 0, a: 64, Ġ: 220, ab: 256, Ġab: 257 });
    expect(tokenizer.toJson().endsWith("}\n")).toBe(true);
  });

  it("comes back as the same tokenizer", () => {
    const again = Tokenizer.fromJson(trained.toJson());
    expect(again.toJson()).toBe(trained.toJson());
    expect(again.vocabSize).toBe(trained.vocabSize);
    expect(again.encode(`<|im_start|>${text}`, { specials: true })).toEqual(trained.encode(`<|im_start|>${text}`, { specials: true }));
  });

  /** `trained`'s JSON after a change. */
  const altered = (change: (json: TokenizerJson) => void) => {
    const json = JSON.parse(trained.toJson()) as TokenizerJson;
    change(json);
    return JSON.stringify(json);
  };

  it("may give ids in another order: special tokens first, as Hugging Face's trainer does, and bytes as they come", () => {
    const shifted = altered((json) => {
      const { vocab } = json.model;
      json.model.vocab = Object.fromEntries(Object.entries(vocab).map(([name, id]) => [name, 291 - id]));
      json.added_tokens.forEach((token, i) => (token.id = i));
      for (const { content, id } of json.added_tokens) json.model.vocab[content] = id;
    });
    const other = Tokenizer.fromJson(shifted);
    expect(other.vocabSize).toBe(292);
    expect([other.id("<|endoftext|>"), other.id("<|dlm_pad|>")]).toEqual([0, 5]);
    const ids = other.encode(`${text}<|mask|>größe`, { specials: true });
    const mapped = [...trained.encode(`${text}<|mask|>größe`, { specials: true })].map((id) => (id === trained.id("<|mask|>") ? 4 : 291 - id));
    expect([...ids]).toEqual(mapped);
    expect(other.decode(ids)).toBe(`${text}<|mask|>größe`);
    expect(Tokenizer.fromJson(other.toJson()).toJson()).toBe(other.toJson());
  });

  it("may leave ids out, which then stand for nothing", () => {
    const sparse = Tokenizer.fromJson(altered((json) => json.added_tokens.forEach((token) => (token.id += 100))));
    expect(sparse.vocabSize).toBe(trained.vocabSize + 100);
    expect(sparse.id("<|mask|>")).toBe(trained.id("<|mask|>") + 100);
    expect(() => sparse.decode([trained.id("<|mask|>")])).toThrow(expect.objectContaining({ code: "UnknownToken" }));
  });

  it("keeps what is added without being special", () => {
    const tool = Tokenizer.fromJson(altered((json) => Object.assign(json.added_tokens[0]!, { content: "<tool_call>", special: false })));
    expect(JSON.parse(tool.toJson())).toMatchObject({ added_tokens: [{ content: "<tool_call>", special: false }, { special: true }, {}, {}, {}, {}] });
    expect(tool.encode("<tool_call>", { specials: true })).toEqual(Uint32Array.of(BASE + 30 - 6));
  });

  it("is read or refused whatever one of its values is changed to; what is read still undoes its encoding", () => {
    const whole = JSON.parse(trained.toJson()) as TokenizerJson;
    const spots = spotsIn(whole);
    fc.assert(
      fc.property(fc.nat(spots.length - 1), fc.oneof(fc.constantFrom(undefined, null, "", "a", "\ud800", -1, 0, 0.5, 2 ** 31, 2 ** 53), fc.jsonValue({ maxDepth: 1 })), (spot, value) => {
        const json = structuredClone(whole);
        spots[spot]!(json, value);
        try {
          const read = Tokenizer.fromJson(JSON.stringify(json));
          expect(read.decode(read.encode(text))).toBe(text);
        } catch (error) {
          expect(error).toMatchObject({ code: "TokenizerCorrupt", message: expect.stringMatching(/^tokenizer\.json: /) as string });
        }
      }),
      { numRuns: 500 },
    );
  });

  it("may write merges in one string, and list special tokens in any order", () => {
    const older = altered((json) => {
      json.model.merges = json.model.merges.map((merge) => (merge as [string, string]).join(" "));
      json.added_tokens.reverse();
    });
    expect(Tokenizer.fromJson(older).toJson()).toBe(trained.toJson());
  });

  it("may be one that transformers 5 has saved again, whose template adds nothing", () => {
    const saved = altered((json) => {
      Object.assign(json, { post_processor: { type: "TemplateProcessing", single: [{ Sequence: { id: "A", type_id: 0 } }], pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }], special_tokens: {} } });
      Object.assign(json.model, { continuing_subword_prefix: "", end_of_word_suffix: "" });
    });
    expect(Tokenizer.fromJson(saved).toJson()).toBe(trained.toJson());
  });

  it.each<[string, string, string]>([
    ["is not JSON", "{", "tokenizer.json: expected JSON, found Expected property name"],
    ["is something else", "[]", "tokenizer.json: "],
    ["has no model", altered((json) => delete (json as Partial<TokenizerJson>).model), "model"],
    ["is of another kind of model", altered((json) => (json.model.type = "WordPiece")), "at model.type"],
    ["is of another normalisation", altered((json) => (json.normalizer.type = "NFKC")), "at normalizer.type"],
    ["splits words in another way", altered((json) => (json.pre_tokenizer.pretokenizers[0].pattern.Regex = "\\s+")), "at pre_tokenizer.pretokenizers[0].pattern.Regex"],
    ["puts a space in front", altered((json) => (json.pre_tokenizer.pretokenizers[1].add_prefix_space = true)), "at pre_tokenizer.pretokenizers[1].add_prefix_space"],
    ["lacks a byte", altered((json) => delete json.model.vocab["!"]), "expected byte ! in the vocabulary, found none"],
    ["has one id twice", altered((json) => (json.model.vocab["!"] = 1)), 'expected one token of id 1, found ! and "'],
    ["has an id below zero", altered((json) => (json.model.vocab["!"] = -1)), "at model.vocab[\"!\"]"],
    ["lacks a part of a merge", altered((json) => (json.model.merges[0] = ["constructor", "a"])), "expected merge part constructor in the vocabulary, found none"],
    ["lacks what a merge makes", altered((json) => (json.model.merges[0] = ["a", "!"])), "expected merge a! in the vocabulary, found none"],
    ["has a merge of one part", altered((json) => (json.model.merges[0] = "a")), 'expected a merge of two tokens, found "a"'],
    ["has a merge of three parts", altered((json) => (json.model.merges[0] = "a b c")), 'expected a merge of two tokens, found "a b c"'],
    ["marks words", altered((json) => Object.assign(json.model, { continuing_subword_prefix: "##" })), "at model.continuing_subword_prefix"],
    ["looks words up before it merges", altered((json) => Object.assign(json.model, { ignore_merges: true })), "at model.ignore_merges"],
    ["drops merges at random", altered((json) => Object.assign(json.model, { dropout: 0.1 })), "at model.dropout"],
    ["puts tokens in front", altered((json) => Object.assign(json, { post_processor: { type: "TemplateProcessing", single: [{ SpecialToken: { id: "<|im_start|>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }] } })), "at post_processor"],
    ["puts tokens behind", altered((json) => Object.assign(json, { post_processor: { type: "TemplateProcessing", single: [{ Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: "<|im_end|>", type_id: 0 } }] } })), "at post_processor"],
    ["has an added token that takes white space with it", altered((json) => Object.assign(json.added_tokens[0]!, { lstrip: true })), "at added_tokens[0].lstrip"],
    ["has an added token that is sought after normalisation", altered((json) => Object.assign(json.added_tokens[0]!, { normalized: true })), "at added_tokens[0].normalized"],
    ["has an id beyond any vocabulary", altered((json) => (json.model.vocab["!"] = 2 ** 32 - 2)), "found 4294967294\n  → at model.vocab[\"!\"]"],
    ["has a merge twice", altered((json) => json.model.merges.push(json.model.merges[0]!)), "once, found it again"],
    ["has a token that no merge makes", altered((json) => (json.model.vocab.zebra = 299)), "expected a merge that makes zebra, found none"],
    ["has two added tokens of one id", altered((json) => (json.added_tokens[1]!.id = json.added_tokens[0]!.id)), "for added token <|im_start|>, found it taken by <|endoftext|>"],
    ["has an added token with two ids", altered((json) => json.added_tokens.push({ ...json.added_tokens[0]!, id: 299 })), "expected one id for added token <|endoftext|>, found 286 and 299"],
    ["has an added token that is a token of another id", altered((json) => (json.added_tokens[0]!.content = "a")), "expected one id for added token a, found 64 and 286"],
    ["has half a surrogate pair", altered((json) => (json.added_tokens[0]!.content = "\ud800")), "at added_tokens[0].content"],
    ["gives an added token another's id", altered((json) => (json.added_tokens[0]!.id = 0)), "expected id 0 for added token <|endoftext|>, found it taken by !"],
  ])("is refused when it %s", (_, json, message) => {
    expect(() => Tokenizer.fromJson(json)).toThrow(TokenizerError);
    expect(() => Tokenizer.fromJson(json)).toThrow(expect.objectContaining({ code: "TokenizerCorrupt", message: expect.stringContaining(message) as string }));
  });
});
