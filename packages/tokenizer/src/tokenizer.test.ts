import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PRE_TOKEN } from "./pre-tokenizer.ts";
import { SPECIAL_TOKENS, Tokenizer } from "./tokenizer.ts";
import { trainTokenizer } from "./train-tokenizer.ts";

const BASE = 256 + SPECIAL_TOKENS.length;
const text = "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a - b\n".repeat(3);
const trained = () => trainTokenizer([text], { vocabSize: BASE + 20 });
const words = (value: string) => [...value.matchAll(PRE_TOKEN)].map(([word]) => word);

describe("pre-tokenizer", () => {
  it.each([
    ["Hello world", ["Hello", " world"]],
    ["x = 1234", ["x", " =", " ", "1", "2", "3", "4"]],
    ["it's IT'S", ["it", "'s", " IT", "'S"]],
    ["'ſ", ["'ſ"]],
    ["a  b\n\n  c", ["a", " ", " b", "\n\n", " ", " c"]],
    ["f(x):\n    y", ["f", "(x", "):\n", "   ", " y"]],
    ["a\u0085b", ["a", "\u0085b"]],
    ["a \ufeff", ["a", " \ufeff"]],
  ])("splits %j", (value, expected) => {
    expect(words(value)).toEqual(expected);
  });
});

describe("training", () => {
  it("merges the most frequent pair first, ties to the lower ids", async () => {
    const tokenizer = await trainTokenizer(["abab ab", "cd"], { vocabSize: BASE + 2 });
    const ab = tokenizer.encode("ab");
    expect([...ab]).toEqual([256]);
    // "abab" + " ab": (ab, ab) and (space, ab) both occur once, (c, d) too; the lowest left id is c's.
    expect([...tokenizer.encode("cd")]).toEqual([257]);
  });

  it("gives equal merges for equal texts in any order", async () => {
    const lines = text.split("\n");
    const forwards = await trainTokenizer(lines, { vocabSize: BASE + 20 });
    const backwards = await trainTokenizer([...lines].reverse(), { vocabSize: BASE + 20 });
    expect(backwards.toJson()).toBe(forwards.toJson());
  });

  it("stops when no pair is left, and refuses a vocabulary that cannot hold the bytes", async () => {
    expect((await trainTokenizer(["ab"], { vocabSize: BASE + 50 })).vocabSize).toBe(BASE + 1);
    await expect(trainTokenizer([], { vocabSize: BASE - 1 })).rejects.toMatchObject({ code: "VocabularyTooSmall" });
  });
});

describe("tokenizer", () => {
  it("decodes what it encodes, up to NFC", async () => {
    const tokenizer = await trained();
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), (value) => {
        expect(tokenizer.decode(tokenizer.encode(value))).toBe(value.normalize("NFC"));
      }),
    );
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    expect(tokenizer.encode(text).length).toBeLessThan(text.length / 2);
  });

  it("survives tokenizer.json unchanged", async () => {
    const tokenizer = await trained();
    const again = Tokenizer.fromJson(tokenizer.toJson());
    expect(again.toJson()).toBe(tokenizer.toJson());
    expect([...again.encode(text)]).toEqual([...tokenizer.encode(text)]);
  });

  it("reads special tokens only when asked to", async () => {
    const tokenizer = await trained();
    const prompt = "<|im_start|>user\n<|im_end|>";
    expect([...tokenizer.encode(prompt, { specials: true })].at(0)).toBe(tokenizer.id("<|im_start|>"));
    expect([...tokenizer.encode(prompt)]).not.toContain(tokenizer.id("<|im_start|>"));
    expect(tokenizer.decode(tokenizer.encode(prompt, { specials: true }))).toBe(prompt);
    expect(SPECIAL_TOKENS.map((token) => tokenizer.id(token))).toEqual(SPECIAL_TOKENS.map((_, i) => tokenizer.vocabSize - 6 + i));
  });

  it("refuses what it cannot know", async () => {
    const tokenizer = await trained();
    expect(() => tokenizer.decode([tokenizer.vocabSize])).toThrow(`below ${tokenizer.vocabSize}`);
    expect(() => tokenizer.id("<|no|>")).toThrow("found <|no|>");
    expect(() => Tokenizer.fromJson("{")).toThrow("expected JSON");
    expect(() => Tokenizer.fromJson("{}")).toThrow("tokenizer.json");
    const json = JSON.parse(tokenizer.toJson()) as { model: { merges: unknown[]; vocab: Record<string, number> }; added_tokens: { id: number }[] };
    const altered = (change: (copy: typeof json) => void) => {
      const copy = structuredClone(json);
      change(copy);
      return () => Tokenizer.fromJson(JSON.stringify(copy));
    };
    expect(altered((copy) => copy.model.merges.reverse())).toThrow("expected id 256");
    expect(altered((copy) => delete copy.model.vocab["!"])).toThrow("expected merge part !");
    expect(altered((copy) => (copy.added_tokens[0]!.id += 100))).toThrow("vocabulary order");
  });
});
