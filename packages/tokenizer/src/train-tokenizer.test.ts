import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { publishedWords } from "../test/published-words.ts";
import { ID_OF_BYTE } from "./byte-alphabet.ts";
import { TokenizerError } from "./errors.ts";
import { SPECIAL_TOKENS } from "./tokenizer.ts";
import { trainTokenizer } from "./train-tokenizer.ts";

const BASE = 256 + SPECIAL_TOKENS.length;

/** Merges as pairs of names, such as `a b`. */
async function mergesOf(texts: string[], count: number): Promise<string[]> {
  const tokenizer = await trainTokenizer(texts, { vocabSize: BASE + count });
  const { model } = JSON.parse(tokenizer.toJson()) as { model: { merges: [string, string][] } };
  return model.merges.map((parts) => parts.join(" "));
}

/** The definition itself: count every pair anew, merge the best one, start over. */
function naiveMerges(texts: readonly string[], count: number): [number, number][] {
  const words = texts.flatMap((text) => publishedWords(text.normalize("NFC"))).map((word) => [...Buffer.from(word)].map((byte) => ID_OF_BYTE[byte]!));
  const merges: [number, number][] = [];
  while (merges.length < count) {
    const pairs = new Map<string, { left: number; right: number; count: number }>();
    for (const ids of words) {
      for (let i = 0; i + 1 < ids.length; i++) {
        const [left, right] = [ids[i]!, ids[i + 1]!];
        const pair = pairs.get(`${left} ${right}`) ?? { left, right, count: 0 };
        pair.count++;
        pairs.set(`${left} ${right}`, pair);
      }
    }
    const [best] = [...pairs.values()].sort((a, b) => b.count - a.count || a.left - b.left || a.right - b.right);
    if (best === undefined) break;
    words.forEach((ids) => {
      for (let i = 0; i + 1 < ids.length; i++) if (ids[i] === best.left && ids[i + 1] === best.right) ids.splice(i, 2, 256 + merges.length);
    });
    merges.push([best.left, best.right]);
  }
  return merges;
}

describe("training", () => {
  it("merges as worked by hand", async () => {
    // aaabdaaabac: (a, a) occurs 4 times, counted with overlaps; merged from the left it is aa a b d aa a b a c.
    // Now (aa, a) and (a, b) occur twice; a has the lower id. aa ab d aa ab a c: (aa, ab) twice. aaab d aaab a c: all
    // pairs once, of which (a, c) has the lowest left id; then (d, aaab); then aaab stands left of two, of which
    // daaab (260) has the higher id than ac (259): aaab daaab ac, with (aaab, daaab) and (daaab, ac): aaab is 258.
    expect(await mergesOf(["aaabdaaabac"], 7)).toEqual(["a a", "a b", "aa ab", "a c", "d aaab", "aaab daaab", "aaabdaaab ac"]);
  });

  it("weighs a pair by how often its words occur, and never joins words", async () => {
    // (x, y) stands in a word that occurs three times, (a, b) twice in one word; (y, space) and the like do not exist.
    expect(await mergesOf(["xy", "abcab", "xy", "xy"], 2)).toEqual(["x y", "a b"]);
    expect(await mergesOf(["ab1ab1ab1", "cd cd"], 50)).toEqual(["a b", "c d", "Ġ cd"]);
  });

  it("breaks ties by the left id, then by the right", async () => {
    expect(await mergesOf(["cd ba bc ab"].flatMap((text) => text.split(" ")), 4)).toEqual(["a b", "b a", "b c", "c d"]);
  });

  it("gives the merges of the definition, for any texts in any order", async () => {
    const texts = fc.array(fc.stringMatching(/^[ab]{0,12}( [abé]{1,6}){0,3}$/), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(texts, async (drawn) => {
        const { model } = JSON.parse((await trainTokenizer(drawn, { vocabSize: BASE + 12 })).toJson()) as { model: { merges: [string, string][]; vocab: Record<string, number> } };
        expect(model.merges.map(([left, right]) => [model.vocab[left], model.vocab[right]])).toEqual(naiveMerges(drawn, 12));
        const turned = await trainTokenizer([...drawn].reverse(), { vocabSize: BASE + 12 });
        expect((JSON.parse(turned.toJson()) as { model: unknown }).model).toEqual(model);
      }),
      { numRuns: 200 },
    );
  });

  it("learns from composed characters, as it encodes them", async () => {
    // e with an acute accent, decomposed: composed it is the bytes c3 a9, and nothing of three bytes is learned.
    expect(await mergesOf(["e\u0301e\u0301"], 5)).toEqual(["Ã ©", "Ã© Ã©"]);
  });

  it("reads texts as they come", async () => {
    async function* texts() {
      yield "ab";
      yield "ab";
    }
    expect([...(await trainTokenizer(texts(), { vocabSize: BASE + 1 })).encode("ab")]).toEqual([256]);
  });

  it("takes the vocabulary size as the sum of bytes, merges and special tokens, and less when there is nothing left to merge", async () => {
    expect((await trainTokenizer(["abcd"], { vocabSize: BASE + 2 })).vocabSize).toBe(BASE + 2);
    expect((await trainTokenizer(["abcd"], { vocabSize: BASE + 50 })).vocabSize).toBe(BASE + 3);
    expect((await trainTokenizer([], { vocabSize: BASE })).vocabSize).toBe(BASE);
    const own = await trainTokenizer(["ab"], { vocabSize: 258, specialTokens: ["<|only|>"] });
    expect([own.vocabSize, own.id("<|only|>")]).toEqual([258, 257]);
  });

  it("refuses a size that cannot hold bytes and special tokens", async () => {
    const refusal = trainTokenizer([], { vocabSize: BASE - 1 });
    await expect(refusal).rejects.toThrow(TokenizerError);
    await expect(refusal).rejects.toMatchObject({ code: "VocabularyTooSmall", retryable: false, message: "vocabSize: expected at least 262, found 261" });
    await expect(trainTokenizer([], { vocabSize: 256, specialTokens: ["<|a|>"] })).rejects.toThrow("expected at least 257, found 256");
  });

  it("does not slow down on a word of many thousand letters", { timeout: 30_000 }, async () => {
    const word = Array.from({ length: 30_000 }, (_, i) => "acgt"[Math.imul(i ^ (i >>> 3), 0x9e3779b1) >>> 30]).join("");
    const tokenizer = await trainTokenizer([word], { vocabSize: BASE + 300 });
    expect(tokenizer.vocabSize).toBe(BASE + 300);
    const longer = word.repeat(4);
    expect(tokenizer.decode(tokenizer.encode(longer))).toBe(longer);
  });
});
