import fc from "fast-check";
import { expect, test } from "vitest";
import { narrow, widen } from "./half-precision.ts";

const bytesOf = (...halves: number[]) => new Uint8Array(Uint16Array.from(halves).buffer);
const halvesOf = (bytes: Uint8Array) => [...new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)];

test.each(["BF16", "F16"] as const)("every %s value comes back from float32 to the bit, NaN as NaN", (dtype) => {
  const all = Uint16Array.from({ length: 0x10000 }, (_, half) => half);
  const wide = widen(new Uint8Array(all.buffer), dtype);
  const back = halvesOf(narrow(wide, dtype));
  const changed = [...all].filter((half, i) => back[i] !== half && !Number.isNaN(wide[i]));
  expect(changed).toEqual([]);
  const nans = [...all].filter((_, i) => Number.isNaN(wide[i]));
  expect(nans.length).toBe(dtype === "BF16" ? 2 * 127 : 2 * 1023);
  expect([...widen(bytesOf(...nans.map((half) => back[half]!)), dtype)].every(Number.isNaN)).toBe(true);
});

test("bfloat16 rounds to the nearest value, and to the even one of two", () => {
  // 1 is 3f80; its last place is 2^-7. Half a place up goes to the even 3f80, 3 halves to the even 3f82.
  const place = 2 ** -7;
  const values = [1, 1 + place / 2, 1 + place / 2 + 2 ** -20, 1 + (3 / 2) * place, 2 - place / 4, -1 - place / 2 - 2 ** -20, 3.4e38, NaN, Infinity, -0];
  expect(halvesOf(narrow(Float32Array.from(values), "BF16"))).toEqual([0x3f80, 0x3f80, 0x3f81, 0x3f82, 0x4000, 0xbf81, 0x7f80, 0x7fc0, 0x7f80, 0x8000]);
});

test("a NaN that tells of itself in its last bits alone does not become infinity", () => {
  const words = Uint32Array.of(0x7f800001, 0xff80ffff); // of which bfloat16 keeps the upper halves, those of infinities
  for (const dtype of ["BF16", "F16"] as const) expect([...widen(Uint8Array.from(narrow(new Float32Array(words.buffer), dtype)), dtype)]).toEqual([NaN, NaN]);
});

test("binary16 rounds likewise, down to subnormals and up to infinity", () => {
  const values = [1, 1 + 2 ** -11, 1 + 2 ** -11 + 2 ** -20, 2 ** -24, 2 ** -25, 65504, 65520, -0];
  expect(halvesOf(narrow(Float32Array.from(values), "F16"))).toEqual([0x3c00, 0x3c00, 0x3c01, 0x0001, 0x0000, 0x7bff, 0x7c00, 0x8000]);
});

test("no value of bfloat16 lies nearer than the one that is chosen", () => {
  fc.assert(
    fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
      const [half] = halvesOf(narrow(Float32Array.of(value), "BF16"));
      const distance = (bits: number) => Math.abs(widen(bytesOf(bits), "BF16")[0]! - value);
      if ((half! & 0x7fff) === 0x7f80) return; // above the largest value
      expect(distance(half!)).toBeLessThanOrEqual(Math.min(distance(half! + 1), (half! & 0x7fff) === 0 ? Infinity : distance(half! - 1)));
    }),
    { numRuns: 1000 },
  );
});

test("float32 is what it was, also as a view into a larger array", () => {
  const view = Float32Array.of(9, 1.5, -2, 9).subarray(1, 3);
  expect([...widen(Uint8Array.from(narrow(view, "F32")), "F32")]).toEqual([1.5, -2]);
  expect(halvesOf(narrow(view, "BF16"))).toEqual([0x3fc0, 0xc000]);
});
