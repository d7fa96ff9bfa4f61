import { expect, it } from "vitest";
import { BYTE_OF_ID, CHARACTER_OF_ID, ID_OF_BYTE } from "./byte-alphabet.ts";

it("is GPT-2's: printable characters stand for themselves, the rest for characters from U+0100 on", () => {
  const characterOf = (byte: number) => CHARACTER_OF_ID[ID_OF_BYTE[byte]!];
  expect(["!", "~", "\u00a1", "\u00ac", "\u00ae", "\u00ff"].map((character) => characterOf(character.charCodeAt(0)))).toEqual(["!", "~", "\u00a1", "\u00ac", "\u00ae", "\u00ff"]);
  // As they stand in published vocabularies: NUL, line feed, space, delete, and the soft hyphen as the last.
  expect([0x00, 0x0a, 0x20, 0x7f, 0xad].map(characterOf)).toEqual(["\u0100", "\u010a", "\u0120", "\u0121", "\u0143"]);
  expect([0x21, 0x7e, 0xa1, 0xff, 0x00, 0x0a, 0x20, 0xad].map((byte) => ID_OF_BYTE[byte])).toEqual([0, 93, 94, 187, 188, 198, 220, 255]);
});

it("has one id and one character for each byte", () => {
  expect([...BYTE_OF_ID].sort((a, b) => a - b)).toEqual(Array.from({ length: 256 }, (_, byte) => byte));
  expect(new Set(CHARACTER_OF_ID).size).toBe(256);
  expect(BYTE_OF_ID.map((byte) => ID_OF_BYTE[byte])).toEqual(Array.from({ length: 256 }, (_, id) => id));
});
