import fc from "fast-check";
import { expect, test } from "vitest";
import { advance, philox4x32 } from "./philox.ts";

/** @source Random123 1.14, tests/kat_vectors, lines "philox4x32 10": counter, key, answer */
const KNOWN_ANSWERS = [
  "00000000 00000000 00000000 00000000 00000000 00000000   6627e8d5 e169c58d bc57ac4c 9b00dbd8",
  "ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff   408f276d 41c83b0e a20bc7c6 6d5451fd",
  "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0   d16cfe09 94fdcceb 5001e420 24126ea1",
];

test.each(KNOWN_ANSWERS)("philox4x32-10 gives the published answer: %s", (line) => {
  const words = line.split(/\s+/).map((word) => Number.parseInt(word, 16));
  const counter = Uint32Array.from(words.slice(0, 4));
  const out = new Uint32Array(4);
  philox4x32(counter, words[4]!, words[5]!, out);
  expect([...out]).toEqual(words.slice(6));
  expect([...counter]).toEqual(words.slice(0, 4)); // only read
});

test("philox4x32-10 equals its definition in big integers, for any counter and key", () => {
  const word = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(
    fc.property(fc.array(word, { minLength: 4, maxLength: 4 }), word, word, (counter, key0, key1) => {
      const out = new Uint32Array(4);
      philox4x32(Uint32Array.from(counter), key0, key1, out);
      expect([...out]).toEqual(defined(counter, key0, key1));
    }),
    { numRuns: 300 },
  );
});

/** Ten rounds as section 3.3 of the paper writes them, with products of full width. */
function defined(counter: readonly number[], key0: number, key1: number): number[] {
  let [left0, right0, left1, right1] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
  for (let round = 0n; round < 10n; round++) {
    const product0 = 0xd2511f53n * left0;
    const product1 = 0xcd9e8d57n * left1;
    const roundKey0 = BigInt.asUintN(32, BigInt(key0) + round * 0x9e3779b9n);
    const roundKey1 = BigInt.asUintN(32, BigInt(key1) + round * 0xbb67ae85n);
    [left0, right0, left1, right1] = [
      (product1 >> 32n) ^ right0 ^ roundKey0,
      BigInt.asUintN(32, product1),
      (product0 >> 32n) ^ right1 ^ roundKey1,
      BigInt.asUintN(32, product0),
    ];
  }
  return [left0, right0, left1, right1].map(Number);
}

test.each([
  ["counts", [0, 0, 8, 9], [1, 0, 8, 9]],
  ["carries into the second word", [0xffffffff, 0, 8, 9], [0, 1, 8, 9]],
  ["stays below the words that name the stream", [0xffffffff, 0xffffffff, 8, 9], [0, 0, 8, 9]],
])("advance %s", (_, before, after) => {
  const counter = Uint32Array.from(before);
  advance(counter);
  expect([...counter]).toEqual(after);
});
