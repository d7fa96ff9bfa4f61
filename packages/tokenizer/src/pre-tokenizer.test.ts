import fc from "fast-check";
import { expect, it } from "vitest";
import { PRE_TOKEN, PUBLISHED_PATTERN } from "./pre-tokenizer.ts";

const split = (text: string, pattern = PRE_TOKEN) => [...text.matchAll(pattern)].map(([word]) => word);

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

it("splits any text as the published pattern does, with white space as Unicode has it", () => {
  const published = new RegExp(PUBLISHED_PATTERN.replaceAll("\\s", "\\p{White_Space}").replaceAll("\\S", "\\P{White_Space}"), "gu");
  const code = fc.stringMatching(/^[a-cA-S'sſ\d\s_().:\r\n\u0085\ufeffé]{0,30}$/u);
  const texts = fc.oneof(code, fc.string({ unit: "binary", maxLength: 30 }));
  fc.assert(
    fc.property(texts, (text) => {
      expect(split(text)).toEqual(split(text, published));
    }),
    { numRuns: 500 },
  );
});

it("loses nothing", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(split(text).join("")).toBe(text);
    }),
  );
});
