import { stream, type StreamKey } from "./stream.ts";

/**
 * A random permutation of [0, size) as a pure function: nothing is stored, any position costs the same.
 *
 * A four-round Feistel network on the smallest even number of bits that holds `size`, walked until the
 * value falls inside the range (cycle walking; fewer than four rounds of walking on average). Below some twenty
 * elements the orders are not all equally likely: of 5, one position takes one value a third more often than its due.
 *
 * @param size number of elements, in [1, 2^32]
 * @source Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002, section 3
 * @throws RangeError when size or a position is out of range
 */
export function permutation(size: number, key: StreamKey): (position: number) => number {
  if (!Number.isInteger(size) || size < 1 || size > 0x100000000) {
    throw new RangeError(`size: expected an integer in [1, 2^32], found ${size}`);
  }
  const halfBits = Math.ceil(Math.log2(size) / 2);
  const half = 2 ** halfBits;
  const keys = stream(key);
  const roundKeys = Array.from({ length: ROUNDS }, () => keys.uint32());
  const encrypt = (value: number): number => {
    let left = Math.floor(value / half);
    let right = value % half;
    for (const roundKey of roundKeys) {
      [left, right] = [right, left ^ (mix(right, roundKey) % half)];
    }
    return left * half + right;
  };
  return (position) => {
    if (!Number.isInteger(position) || position < 0 || position >= size) {
      throw new RangeError(`position: expected an integer in [0, ${size}), found ${position}`);
    }
    let value = encrypt(position);
    while (value >= size) value = encrypt(value);
    return value;
  };
}

const ROUNDS = 4;

/** The 32-bit finaliser of MurmurHash3, keyed. */
function mix(value: number, key: number): number {
  let h = value ^ key;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
