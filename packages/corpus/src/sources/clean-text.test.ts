import fc from "fast-check";
import { expect, test } from "vitest";
import { cleanText } from "./clean-text.ts";

const clean = (content: string | readonly number[], largestBytes = 1000) =>
  cleanText(typeof content === "string" ? Buffer.from(content) : Uint8Array.from(content), largestBytes);

test.each([
  ["line feeds stay", "a\nb\n", "a\nb\n"],
  ["Windows line ends become line feeds", "a\r\nb\r\n", "a\nb\n"],
  ["old Mac line ends become line feeds", "a\rb\r", "a\nb\n"],
  ["a carriage return before a Windows line end is a line end of its own", "a\r\r\nb", "a\n\nb\n"],
  ["a missing last line end is added", "a", "a\n"],
  ["white space at the end is cut, also blank lines", "a \n\n \t\n", "a\n"],
  ["white space at the end of other lines and at the beginning stays", "\n  a  \nb", "\n  a  \nb\n"],
  ["a byte order mark goes", "\uFEFFa\n", "a\n"],
  ["a byte order mark that is not the first character stays", "a\uFEFFb\n", "a\uFEFFb\n"],
  ["letters of all kinds stay as they are, not normalised", "é e\u0301 漢 🙂\n", "é e\u0301 漢 🙂\n"],
])("%s", (_, content, text) => {
  expect(clean(content)).toEqual({ text });
});

test.each([
  ["nothing", "", "empty"],
  ["white space only", " \r\n\t\n", "empty"],
  ["a byte order mark only", "\uFEFF", "empty"],
  ["a null byte, whatever is around it", "text\0text", "binary"],
  ["a lone byte of Latin 1", [0x63, 0xe9, 0x0a], "not-utf8"],
  ["a character cut off at the end", [0x61, 0xe2, 0x82], "not-utf8"],
  ["an overlong encoding", [0xc0, 0xaf], "not-utf8"],
  ["a surrogate", [0xed, 0xa0, 0x80], "not-utf8"],
])("a file of %s is refused", (_, content, reason) => {
  expect(clean(content)).toEqual({ reason });
});

test("a file of the largest size is read, one byte more is not, and the size is told before anything else", () => {
  expect(clean("12345", 5)).toEqual({ text: "12345\n" });
  expect(clean("123456", 5)).toEqual({ reason: "too-large" });
  expect(clean("\0\0\0\0\0\0", 5)).toEqual({ reason: "too-large" });
});

test("cleaning a clean text changes nothing", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("a", " ", "\n", "\r", "\t", "\uFEFF", "é", "🙂", "\\"), { maxLength: 30 }), (parts) => {
      const once = clean(parts.join(""));
      fc.pre("text" in once);
      expect(once.text).toMatch(/^[^\r]*\S\n$/u);
      const twice = clean(once.text);
      // A second byte order mark is text to the first reading and a mark to the second.
      expect(twice).toEqual({ text: once.text.replace(/^\uFEFF/, "") });
    }),
  );
});
