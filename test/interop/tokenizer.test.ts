import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tokenizer, trainTokenizer, type EncodeOptions } from "@diffucoder/tokenizer";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { npmPeer, runHuggingFace } from "./peers.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const FILES = 10_000;
const MINUTES = 60_000;

let folder: string;
let files: string[];
let texts: string[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tokenizer-"));
  const python = runHuggingFace<string[]>("library_folders.py", []);
  files = await realFiles([join(ROOT, "node_modules"), ...python]);
  texts = await Promise.all(files.map((file) => readFile(file, "utf8")));
}, 5 * MINUTES);
afterAll(() => rm(folder, { recursive: true }));

/** Sources and prose of this machine's Node and Python, spread evenly over the folders. */
async function realFiles(folders: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const root of folders) {
    for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
      if (entry.isFile() && /\.(py|js|ts|md)$/.test(entry.name)) found.push(join(entry.parentPath, entry.name));
    }
  }
  found.sort();
  const usable: string[] = [];
  const every = Math.max(1, Math.floor(found.length / (1.2 * FILES)));
  for (let i = 0; i < found.length && usable.length < FILES; i += every) {
    const bytes = await readFile(found[i]!);
    if (bytes.length < 200_000 && isUtf8(bytes)) usable.push(found[i]!);
  }
  return usable;
}

async function inFile(name: string, value: unknown): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, JSON.stringify(value));
  return path;
}

const digestOf = (ids: Uint32Array) => createHash("sha256").update(ids).digest("hex");

/** Names of files whose ids differ: empty, or something to look at. */
function differing(expected: readonly string[], tokenizer: Tokenizer, options: EncodeOptions = {}): string[] {
  expect(expected).toHaveLength(FILES);
  return files.filter((_, i) => digestOf(tokenizer.encode(texts[i]!, options)) !== expected[i]);
}

/** What Unicode 17 made a letter or number; the regular expressions of `tokenizers` know Unicode 16. */
let newInUnicode: Set<number>;

test("letters, numbers and white space are the same, but for what the newest Unicode added, and so is composition", { timeout: 2 * MINUTES }, () => {
  const { kinds, composed } = runHuggingFace<{ kinds: number[]; composed: Record<number, string> }>("tokenizer_peer.py", ["classes"]);
  newInUnicode = new Set();
  for (let point = 0; point < 0x110000; point++) {
    const character = String.fromCodePoint(point);
    if (/\p{Cs}/u.test(character)) continue;
    const kind = /\p{L}/u.test(character) ? 1 : /\p{N}/u.test(character) ? 2 : /\p{White_Space}/u.test(character) ? 3 : 0;
    if (kind !== kinds[point]) newInUnicode.add(point);
    expect(composed[point] ?? character).toBe(character.normalize("NFC"));
  }
  expect([...newInUnicode].filter((point) => kinds[point] !== 0)).toEqual([]);
  expect(newInUnicode.size).toBe(4657);
});

describe("a vocabulary of 16,000, learned from 1,000 real files", () => {
  const SIZE = 16_000;
  let path: string;
  let merges: [string, string][];
  beforeAll(async () => {
    path = join(folder, "learned.json");
    const sample = await inFile("sample.json", files.filter((_, i) => i % 10 === 0));
    merges = runHuggingFace("tokenizer_peer.py", ["train", sample, String(SIZE), path]);
  }, 5 * MINUTES);

  test("has the merges of Hugging Face's trainer, in their order", { timeout: 5 * MINUTES }, async () => {
    const tokenizer = await trainTokenizer(texts.filter((_, i) => i % 10 === 0), { vocabSize: SIZE + 6 });
    const { model, added_tokens } = JSON.parse(tokenizer.toJson()) as { model: { merges: unknown; vocab: unknown }; added_tokens: unknown };
    expect(merges).toHaveLength(SIZE - 256);
    expect(model.merges).toEqual(merges);
    const theirs = JSON.parse(await readFile(path, "utf8")) as { model: { vocab: unknown }; added_tokens: unknown };
    expect([model.vocab, added_tokens]).toEqual([theirs.model.vocab, theirs.added_tokens]);
  });

  test("gives the ids of Hugging Face on 10,000 real files", { timeout: 5 * MINUTES }, async () => {
    const theirs = runHuggingFace<string[]>("tokenizer_peer.py", ["digests", path, await inFile("files.json", files)]);
    expect(differing(theirs, Tokenizer.fromJson(await readFile(path, "utf8")), { specials: true })).toEqual([]);
  });

  test("gives the ids of Hugging Face on any text, with added tokens, and decodes to the same", { timeout: 5 * MINUTES }, async () => {
    const known = (text: string) => ![...text].some((character) => newInUnicode.has(character.codePointAt(0)!) || /\p{Cs}/u.test(character));
    const pieces = fc.oneof(
      fc.constantFrom("'s", "'S", "'ſ", "'LL", "'re", "'", " ", "  ", "\t", "\n", "\r\n", "\u0085", "\u00a0", "\u2028", "\u3000", "\ufeff", "<|mask|>", "<|im_end|>", "<|endoftext|", "|>"),
      fc.constantFrom("a", "é", "e\u0301", "o\u0323\u0302", "ﬁ", "Å", "\u212b", "각", "\u1100\u1161\u11a8", "\u0915\u093c", "ſ", "ß", "İ", "٣", "Ⅷ", "²", "7", "変", "😀", "👩‍💻", "\u{1d400}"),
      fc.stringMatching(/^[a-zA-Z0-9_(){}.,:;=+\-*/ \n"'#]{1,12}$/),
      fc.string({ unit: "binary", maxLength: 4 }),
      fc.string({ unit: "grapheme", maxLength: 6 }),
    );
    const text = fc.array(pieces, { maxLength: 16 }).map((parts) => parts.join("")).filter(known);
    const drawn = fc.sample(text, { numRuns: 20_000, seed: 1 });
    const theirs = runHuggingFace<number[][]>("tokenizer_peer.py", ["encode", path, await inFile("texts.json", drawn)]);
    const tokenizer = Tokenizer.fromJson(await readFile(path, "utf8"));
    drawn.forEach((value, i) => {
      expect([...tokenizer.encode(value, { specials: true })], JSON.stringify(value)).toEqual(theirs[i]);
    });
  });
});

describe("a published vocabulary of 100,256", () => {
  let ranks: string;
  let tokenizer: Tokenizer;
  let path: string;
  beforeAll(async () => {
    ranks = join(npmPeer("gpt-tokenizer", "4.0.0"), "data", "cl100k_base.tiktoken");
    path = join(folder, "published.json");
    runHuggingFace("tokenizer_peer.py", ["ranks", ranks, path]);
    tokenizer = Tokenizer.fromJson(await readFile(path, "utf8"));
  }, 5 * MINUTES);

  test("gives the ids of Hugging Face and of tiktoken on 10,000 real files", { timeout: 10 * MINUTES }, async () => {
    const list = await inFile("files.json", files);
    expect(differing(runHuggingFace("tokenizer_peer.py", ["digests", path, list]), tokenizer, { specials: true })).toEqual([]);
    expect(differing(runHuggingFace("tokenizer_peer.py", ["tiktoken", ranks, list]), tokenizer)).toEqual([]);
  });

  test("is the same again in the files that Dream has", async () => {
    const again = Tokenizer.fromFiles(tokenizer.toFiles());
    expect(again.toJson()).toBe(tokenizer.toJson());
  });
});
