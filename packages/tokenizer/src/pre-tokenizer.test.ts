import fc from "fast-check";
import { expect, it } from "vitest";
import { publishedWords } from "../test/published-words.ts";
import { wordEnd } from "./pre-tokenizer.ts";

function split(text: string): string[] {
  const words: string[] = [];
  for (let start = 0; start < text.length; start = wordEnd(text, start)) words.push(text.slice(start, wordEnd(text, start)));
  return words;
}

it.each([
  ["words take the space before them", "Hello big world", ["Hello", " big", " world"]],
  ["digits stand one by one", "x = 1234", ["x", " =", " ", "1", "2", "3", "4"]],
  ["digits do not join letters", "v2x3.14", ["v", "2", "x", "3", ".", "1", "4"]],
  ["numerals of any script are digits", "٣²Ⅷ", ["٣", "²", "Ⅷ"]],
  ["contractions stand apart, in any case", "it's IT'S we'Re I'll don't I'M they've he'd", ["it", "'s", " IT", "'S", " we", "'Re", " I", "'ll", " don", "'t", " I", "'M", " they", "'ve", " he", "'d"]],
  ["the long s contracts like an s", "it'\u017fa", ["it", "'\u017f", "a"]],
  ["other letters behind an apostrophe take it with them", "rock'n d'accord", ["rock", "'n", " d", "'accord"]],
  ["a word takes one symbol before it, unless other symbols take that", "f(x)=_name(.get)", ["f", "(x", ")=_", "name", "(.", "get", ")"]],
  ["symbols take a space before and line ends behind them", "a :\n\n\nb;\r\nc", ["a", " :\n\n\n", "b", ";\r\n", "c"]],
  ["spaces before a line end go with it", "a  \n  \n\n  b", ["a", "  \n  \n\n", " ", " b"]],
  ["the last of several spaces goes to the word behind", "a    b", ["a", "   ", " b"]],
  ["indentation keeps its shape", "f(x):\n    y\n\tz", ["f", "(x", "):\n", "   ", " y", "\n", "\tz"]],
  ["spaces at the end stay together", "a   ", ["a", "   "]],
  ["the next-line control is white space, as in Unicode", "a\u0085 b", ["a", "\u0085", " b"]],
  ["the byte order mark is not, unlike in JavaScript", "a \ufeff", ["a", " \ufeff"]],
  ["letters of any script make words", "変数 = größe", ["変数", " =", " größe"]],
  ["nothing comes of nothing", "", []],
])("%s", (_, text, expected) => {
  expect(split(text)).toEqual(expected);
});

it("splits any text as the published pattern does", () => {
  const code = fc.stringMatching(/^[a-cA-S'sſ\d\s_().:\r\n\u0085\ufeffé]{0,30}$/u);
  const pieces = fc.constantFrom("'", "s", "ſ", "S", "L", "re", "VE", "ve", "x", "7", " ", "\t", "\n", "\r", "\u0085", "\u2028", "\u3000", "\ufeff", "\ud800", "\udc00", "+", "é", "\u{1d400}", "\u{1f600}", "\u{1d7d8}");
  const texts = fc.oneof(code, fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join("")), fc.string({ unit: "binary", maxLength: 30 }));
  fc.assert(
    fc.property(texts, (text) => {
      expect(split(text)).toEqual(publishedWords(text));
    }),
    { numRuns: 3000 },
  );
});

it("loses nothing", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(split(text).join("")).toBe(text);
    }),
  );
});
