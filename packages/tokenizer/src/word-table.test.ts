import fc from "fast-check";
import { expect, it } from "vitest";
import { WordTable } from "./word-table.ts";

it("numbers words in the order in which they come, as a map would", () => {
  const words = fc.array(fc.oneof(fc.constantFrom("a", "b", "aa", "ab", "ba", "ſ", "\ud800"), fc.string({ unit: "binary", maxLength: 5 })), { maxLength: 60 });
  fc.assert(
    fc.property(words, (drawn) => {
      const table = new WordTable();
      const map = new Map<string, number>();
      for (const word of drawn) {
        const text = `<${word}>`; // words lie within texts
        expect(table.find(text, 1, 1 + word.length)).toBe(map.get(word) ?? -1);
        if (map.has(word)) continue;
        expect(table.add(text, 1, 1 + word.length)).toBe(map.size);
        map.set(word, map.size);
      }
      expect(table.size).toBe(map.size);
      for (const [word, number] of map) expect(table.word(number)).toBe(word);
    }),
  );
});

it("finds each of many thousand words again, short and long", () => {
  const table = new WordTable();
  const words = Array.from({ length: 20_000 }, (_, i) => (i % 3 === 0 ? "x".repeat(i % 50) : "") + i.toString(36));
  words.forEach((word, i) => expect(table.add(word, 0, word.length)).toBe(i));
  expect(words.filter((word, i) => table.find(word, 0, word.length) !== i || table.word(i) !== word)).toEqual([]);
  expect(table.find("absent", 0, 6)).toBe(-1);
});
