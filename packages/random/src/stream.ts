import { hash } from "node:crypto";
import { advance, philox4x32 } from "./philox.ts";

/** What a stream is for. Two different keys never share a stream; equal keys always give equal numbers. */
export interface StreamKey {
  /** The run's seed, a non-negative safe integer. */
  readonly seed: number;
  readonly stage: string;
  readonly step?: number;
  readonly sample?: number;
  /** What the numbers decide, such as "noise-level" or "rollout". */
  readonly purpose: string;
}

/** A position in an endless, repeatable sequence of random numbers. */
export interface RandomStream {
  /** Uniform in [0, 2^32). */
  uint32(): number;
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number;
  /** Uniform integer in [0, limit); `limit` at most 2^32. Exact: no modulo bias. */
  integer(limit: number): number;
  /** Standard normal (Box-Muller, two uniforms a call). */
  normal(): number;
  /** One element of a non-empty list. */
  pick<T>(values: readonly T[]): T;
  /** A shuffled copy (Fisher-Yates). */
  shuffle<T>(values: readonly T[]): T[];
}

/**
 * Opens the stream of a key, at its beginning.
 *
 * @throws RangeError when the seed is not a non-negative safe integer, or a step or sample no safe integer
 */
export function stream(key: StreamKey): RandomStream {
  if (!Number.isSafeInteger(key.seed) || key.seed < 0) {
    throw new RangeError(`seed: expected a non-negative safe integer, found ${key.seed}`);
  }
  // JSON would write NaN as null, the mark of an absent step.
  for (const part of ["step", "sample"] as const) {
    const index = key[part] ?? 0;
    if (!Number.isSafeInteger(index)) throw new RangeError(`${part}: expected a safe integer, found ${index}`);
  }
  return new PhiloxStream(key);
}

class PhiloxStream implements RandomStream {
  readonly #counter = new Uint32Array(4);
  readonly #block = new Uint32Array(4);
  readonly #key0: number;
  readonly #key1: number;
  #used = 4;

  constructor(key: StreamKey) {
    const name = JSON.stringify([key.seed, key.stage, key.step ?? null, key.sample ?? null, key.purpose]);
    const digest = hash("sha256", name, "binary"); // a character a byte: no buffer is made for 16 bytes of it
    const word = (at: number) => digest.charCodeAt(at) | (digest.charCodeAt(at + 1) << 8) | (digest.charCodeAt(at + 2) << 16) | (digest.charCodeAt(at + 3) << 24);
    this.#key0 = word(0);
    this.#key1 = word(4);
    // The key is 64 bits; the upper half of the counter takes 64 more, so that distinct streams cannot meet.
    this.#counter[2] = word(8);
    this.#counter[3] = word(12);
  }

  uint32(): number {
    if (this.#used === 4) this.#refill();
    return this.#block[this.#used++]!;
  }

  #refill(): void {
    philox4x32(this.#counter, this.#key0, this.#key1, this.#block);
    advance(this.#counter);
    this.#used = 0;
  }

  uniform(): number {
    const high = this.uint32() >>> 5;
    const low = this.uint32() >>> 6;
    return (high * 0x4000000 + low) / 0x20000000000000;
  }

  integer(limit: number): number {
    if (!Number.isInteger(limit) || limit < 1 || limit > 0x100000000) {
      throw new RangeError(`limit: expected an integer in [1, 2^32], found ${limit}`);
    }
    const fair = 0x100000000 - (0x100000000 % limit);
    let draw = this.uint32();
    while (draw >= fair) draw = this.uint32();
    return draw % limit;
  }

  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  pick<T>(values: readonly T[]): T {
    if (values.length === 0) throw new RangeError("values: expected at least one, found none");
    return values[this.integer(values.length)]!;
  }

  shuffle<T>(values: readonly T[]): T[] {
    const shuffled = [...values];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
    }
    return shuffled;
  }
}
