import { describe, expect, it } from "vitest";
import { CHARACTER_OF_ID } from "./byte-alphabet.ts";
import { TokenizerError } from "./errors.ts";
import { Tokenizer } from "./tokenizer.ts";
import { trainTokenizer } from "./train-tokenizer.ts";

const text = "def add(a, b):\n    return a + b\n# größe\n";
const tokenizer = await trainTokenizer([text, text], { vocabSize: 290 });

describe("files of a tokenizer", () => {
  it("are those of Qwen2's class", () => {
    const files = new Tokenizer([[64, 65], [220, 256]], ["<|endoftext|>", "<|mask|>"]).toFiles();
    expect(files["merges.txt"]).toBe("#version: 0.2\na b\nĠ ab\n");
    expect(JSON.parse(files["vocab.json"])).toMatchObject({ "!": 0, a: 64, ab: 256, Ġab: 257 });
    expect(JSON.parse(files["added_tokens.json"])).toEqual({ "<|endoftext|>": 258, "<|mask|>": 259 });
    const property = { lstrip: false, normalized: false, rstrip: false, single_word: false, special: true };
    expect(JSON.parse(files["tokenizer_config.json"])).toMatchObject({
      tokenizer_class: "Qwen2Tokenizer",
      added_tokens_decoder: { 258: { content: "<|endoftext|>", ...property }, 259: { content: "<|mask|>", ...property } },
      additional_special_tokens: ["<|endoftext|>", "<|mask|>"],
      eos_token: "<|endoftext|>",
      mask_token: "<|mask|>",
      pad_token: "<|endoftext|>",
    });
    expect(JSON.parse(tokenizer.toFiles()["tokenizer_config.json"])).toMatchObject({ pad_token: "<|dlm_pad|>" });
  });

  it("give the same tokenizer again, also when only one tells of the added tokens", () => {
    const { "added_tokens.json": added, "tokenizer_config.json": config, ...rest } = tokenizer.toFiles();
    for (const files of [tokenizer.toFiles(), { ...rest, "added_tokens.json": added }, { ...rest, "tokenizer_config.json": config }]) {
      expect(Tokenizer.fromFiles(files).toJson()).toBe(tokenizer.toJson());
    }
    expect(Tokenizer.fromFiles(rest).withSpecialTokens().toJson()).toBe(tokenizer.toJson());
  });

  it("may end lines as Windows does, and have no version", () => {
    const files = tokenizer.toFiles();
    const merges = files["merges.txt"].replace(/^#.*\n/, "").replaceAll("\n", "\r\n");
    expect(Tokenizer.fromFiles({ ...files, "merges.txt": merges }).toJson()).toBe(tokenizer.toJson());
  });

  it("may have a merge that begins like the version's line, further on", () => {
    const parts = [..."#version"].map((character) => CHARACTER_OF_ID.indexOf(character));
    const word = new Tokenizer([...parts.slice(1).map((part, i): [number, number] => [i === 0 ? parts[0]! : 255 + i, part]), [262, parts[4]!]]);
    expect(word.toFiles()["merges.txt"].split("\n").slice(-3)).toEqual(["#versio n", "#version s", ""]);
    expect(Tokenizer.fromFiles(word.toFiles()).encode("#versions")).toEqual(Uint32Array.of(263));
  });

  const altered = (name: "added_tokens.json" | "tokenizer_config.json", change: (json: Record<string, never>) => unknown) => {
    const json = JSON.parse(tokenizer.toFiles()[name]) as Record<string, never>;
    change(json);
    return { [name]: JSON.stringify(json) };
  };
  it.each<[string, Record<string, string | undefined>, string]>([
    ["lack the vocabulary", { "vocab.json": undefined }, "vocab.json: expected the file beside the others of the tokenizer, found none"],
    ["lack the merges", { "merges.txt": undefined }, "merges.txt: expected the file beside the others of the tokenizer, found none"],
    ["are not JSON", { "vocab.json": "{" }, "vocab.json: expected JSON, found Expected property name"],
    ["have an id that is no number", { "vocab.json": '{"a":"1"}' }, "vocab.json: ✖ Invalid input: expected number"],
    ["have an id in a key that is none", altered("tokenizer_config.json", (json) => Object.assign(json, { added_tokens_decoder: { 99999999: { content: "<|x|>" } } })), "at added_tokens_decoder.99999999"],
    ["have ids that are no object", { "added_tokens.json": "[]" }, "added_tokens.json: ✖ Invalid input: expected record, received array, found []"],
    ["were cut off behind a line", { "merges.txt": tokenizer.toFiles()["merges.txt"].split("\n").slice(0, 5).join("\n") }, "vocab.json: expected a merge that makes "],
    ["have a merge that is none", { "merges.txt": "#version: 0.2\na\n" }, 'merges.txt:2: expected a merge of two tokens, found "a"'],
    ["have a merge of what is no token", { "merges.txt": "a zz" }, "vocab.json: expected merge part zz in the vocabulary, found none"],
    ["are of another class", altered("tokenizer_config.json", (json) => Object.assign(json, { tokenizer_class: "LlamaTokenizer" })), "at tokenizer_class"],
    ["put a token in front", altered("tokenizer_config.json", (json) => Object.assign(json, { add_bos_token: true })), "at add_bos_token"],
    ["disagree about an added token", altered("added_tokens.json", (json) => Object.assign(json, { "<|mask|>": 500 })), `tokenizer_config.json: expected id 500 for <|mask|> as in added_tokens.json, found ${tokenizer.id("<|mask|>")}`],
  ])("are refused when they %s", (_, changes, message) => {
    const files = { ...tokenizer.toFiles(), ...changes } as Parameters<typeof Tokenizer.fromFiles>[0];
    expect(() => Tokenizer.fromFiles(files)).toThrow(TokenizerError);
    expect(() => Tokenizer.fromFiles(files)).toThrow(expect.objectContaining({ code: "TokenizerCorrupt", message: expect.stringContaining(message) as string }));
  });
});
