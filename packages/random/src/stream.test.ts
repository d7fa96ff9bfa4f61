import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { philox4x32 } from "./philox.ts";
import { stream, type StreamKey } from "./stream.ts";

const KEY: StreamKey = { seed: 7, stage: "pretraining", step: 3, sample: 1, purpose: "noise" };

const take = <T>(count: number, draw: () => T): T[] => Array.from({ length: count }, draw);
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value) / values.length;

/** Pearson's statistic of counts against equal expectations. */
function chiSquare(counts: readonly number[]): number {
  const expected = mean(counts);
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

test("a stream is Philox over a counter, both named by the sha256 of its key", () => {
  // The four leading words of the digest, little-endian: two are the key, two the upper half of the counter.
  const digest = createHash("sha256").update('[7,"pretraining",3,1,"noise"]').digest();
  const word = (index: number) => digest.readUInt32LE(4 * index);
  const expected: number[] = [];
  for (let block = 0; block < 3; block++) {
    const out = new Uint32Array(4);
    philox4x32(Uint32Array.of(block, 0, word(2), word(3)), word(0), word(1), out);
    expected.push(...out);
  }
  const draws = stream(KEY);
  expect(take(12, () => draws.uint32())).toEqual(expected);
});

test("the numbers of a key never change: recorded results depend on them", () => {
  // Computed apart from this code, from the papers' definitions in Python integers.
  const draws = stream(KEY);
  expect(take(6, () => draws.uint32())).toEqual([1971335337, 2841841666, 3515809089, 4052786419, 171496644, 1880189782]);
  expect(stream(KEY).uniform()).toBe(0.45898727820566165);
  expect(stream(KEY).shuffle([0, 1, 2, 3, 4, 5, 6, 7])).toEqual([5, 2, 7, 0, 4, 3, 6, 1]);
});

test("uniform is 27 bits of one draw above 26 of the next", () => {
  const raw = stream(KEY);
  const [high, low] = [raw.uint32() >>> 5, raw.uint32() >>> 6];
  const draws = stream(KEY);
  expect(draws.uniform()).toBe((high * 2 ** 26 + low) / 2 ** 53);
  expect(draws.uint32()).toBe(raw.uint32()); // two draws were used
});

test("equal keys give equal numbers, and streams do not disturb each other", () => {
  const [a, b] = [stream(KEY), stream({ ...KEY })];
  const interleaved = take(50, () => [a.uint32(), b.uint32()]);
  for (const [first, second] of interleaved) expect(first).toBe(second);
});

test.each<Partial<StreamKey>>([{ seed: 8 }, { stage: "annealing" }, { step: 4 }, { sample: 2 }, { purpose: "order" }, { seed: Number.MAX_SAFE_INTEGER }, { seed: 0 }])(
  "another key is another stream: %o",
  (change) => {
    const [a, b] = [stream(KEY), stream({ ...KEY, ...change })];
    const pairs = take(1000, () => [a.uint32(), b.uint32()] as const);
    expect(pairs.filter(([first, second]) => first === second)).toEqual([]);
  },
);

test("an absent step or sample is none of the numbered ones, and parts do not run together", () => {
  const keys: StreamKey[] = [
    { seed: 1, stage: "s", purpose: "p" },
    { seed: 1, stage: "s", step: 0, purpose: "p" },
    { seed: 1, stage: "s", sample: 0, purpose: "p" },
    { seed: 1, stage: "s", step: 0, sample: 0, purpose: "p" },
    { seed: 1, stage: "s", step: -1, purpose: "p" },
    { seed: 1, stage: 's",null,null,"p', purpose: "" },
    { seed: 11, stage: "s", purpose: "p" },
  ];
  const firsts = keys.map((key) => stream(key).uint32());
  expect(new Set(firsts).size).toBe(keys.length);
});

test.each([-1, 0.5, NaN, Infinity, 2 ** 53])("seed %d is refused", (seed) => {
  expect(() => stream({ ...KEY, seed })).toThrow(new RangeError(`seed: expected a non-negative safe integer, found ${seed}`));
});

test.each([0.5, NaN, -Infinity, 2 ** 53])("step and sample %d are refused", (index) => {
  expect(() => stream({ ...KEY, step: index })).toThrow(new RangeError(`step: expected a safe integer, found ${index}`));
  expect(() => stream({ ...KEY, sample: index })).toThrow(new RangeError(`sample: expected a safe integer, found ${index}`));
});

test("uint32 and uniform spread evenly over their ranges", () => {
  const draws = stream({ ...KEY, purpose: "spread" });
  const counts = (draw: () => number) => {
    const bins = new Array<number>(64).fill(0);
    for (let i = 0; i < 64_000; i++) bins[Math.floor(draw())]!++;
    return bins;
  };
  // 63 degrees of freedom: 103.4 is exceeded once in a thousand, 35 is undercut as rarely; the keys are fixed.
  for (const statistic of [chiSquare(counts(() => draws.uint32() / 2 ** 26)), chiSquare(counts(() => draws.uniform() * 64))]) {
    expect(statistic).toBeGreaterThan(33);
    expect(statistic).toBeLessThan(103.4);
  }
});

test("each of the 32 bits is set half of the time", () => {
  const draws = stream({ ...KEY, purpose: "bits" });
  const values = take(20_000, () => draws.uint32());
  for (let bit = 0; bit < 32; bit++) {
    const share = mean(values.map((value) => (value >>> bit) & 1));
    expect(Math.abs(share - 0.5)).toBeLessThan(0.015); // over four standard deviations of 0.0035
  }
});

test("integer keeps within its limit and keeps only draws that give each value the same number of chances", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 0x100000000 }), fc.nat(), (limit, seed) => {
      const [draws, raw] = [stream({ ...KEY, seed }), stream({ ...KEY, seed })];
      const fair = 2 ** 32 - (2 ** 32 % limit); // the largest multiple of limit up to 2^32
      for (let i = 0; i < 8; i++) {
        let next = raw.uint32();
        while (next >= fair) next = raw.uint32();
        expect(draws.integer(limit)).toBe(next % limit);
      }
    }),
  );
});

test("integer has no modulo bias where the modulo alone would be far off", () => {
  // limit = 3 * 2^30: of the 2^32 draws the last 2^30 would fall on [0, 2^30) again, which would get 1/2 instead of 1/3.
  const limit = 3 * 2 ** 30;
  const draws = stream({ ...KEY, purpose: "bias" });
  const share = mean(take(9000, () => (draws.integer(limit) < 2 ** 30 ? 1 : 0)));
  expect(Math.abs(share - 1 / 3)).toBeLessThan(0.02); // four standard deviations of 0.005
});

test("integer refuses the first unfair draw itself", () => {
  const draws = stream(KEY); // 1971335337, 2841841666, 3515809089, 4052786419, 171496644, ...
  draws.uint32();
  draws.uint32();
  // For this limit the fair draws end at 3515809089, which is the next one; so is the one after it too large.
  expect(draws.integer(3515809089)).toBe(171496644);
});

test("integer reaches both ends of a small range and of the whole one", () => {
  const draws = stream(KEY);
  expect(new Set(take(200, () => draws.integer(3)))).toEqual(new Set([0, 1, 2]));
  expect(draws.integer(1)).toBe(0);
  const [whole, raw] = [stream(KEY), stream(KEY)];
  expect(take(20, () => whole.integer(2 ** 32))).toEqual(take(20, () => raw.uint32()));
});

test.each([0, -1, 1.5, NaN, 2 ** 32 + 1])("integer refuses the limit %d", (limit) => {
  expect(() => stream(KEY).integer(limit)).toThrow(new RangeError(`limit: expected an integer in [1, 2^32], found ${limit}`));
});

test("normal is Box-Muller over two uniforms a call", () => {
  const [draws, raw] = [stream(KEY), stream(KEY)];
  for (let i = 0; i < 20; i++) {
    const [u, v] = [raw.uniform(), raw.uniform()];
    expect(draws.normal()).toBe(Math.sqrt(-2 * Math.log(1 - u)) * Math.cos(2 * Math.PI * v));
  }
});

test("normal has mean 0, variance 1 and the tails of the bell curve", () => {
  const draws = stream({ ...KEY, purpose: "bell" });
  const values = take(40_000, () => draws.normal());
  expect(values.every(Number.isFinite)).toBe(true);
  expect(Math.abs(mean(values))).toBeLessThan(0.02); // four standard deviations of 0.005
  expect(Math.abs(mean(values.map((value) => value ** 2)) - 1)).toBeLessThan(0.03); // four of 0.0071
  expect(Math.abs(mean(values.map((value) => (Math.abs(value) < 1.96 ? 1 : 0))) - 0.95)).toBeLessThan(0.0044); // four of 0.0011
});

test("pick takes each element equally often, and refuses an empty list", () => {
  const draws = stream({ ...KEY, purpose: "pick" });
  const picked = take(3000, () => draws.pick(["a", "b", "c"]));
  // 2 degrees of freedom: 13.8 is exceeded once in a thousand.
  expect(chiSquare(["a", "b", "c"].map((value) => picked.filter((found) => found === value).length))).toBeLessThan(13.8);
  expect(() => draws.pick([])).toThrow(new RangeError("values: expected at least one, found none"));
});

test("shuffle returns the same elements in a new list", () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.nat(), (values, seed) => {
      const before = [...values];
      const shuffled = stream({ ...KEY, seed }).shuffle(values);
      expect(values).toEqual(before);
      expect(shuffled).not.toBe(values);
      const order = (a: number, b: number) => a - b;
      expect(shuffled.sort(order)).toEqual(before.sort(order));
    }),
  );
});

test("shuffle gives each of the 24 orders of four elements equally often", () => {
  const draws = stream({ ...KEY, purpose: "shuffle" });
  const counts = new Map<string, number>();
  for (let i = 0; i < 24_000; i++) {
    const order = draws.shuffle(["a", "b", "c", "d"]).join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  expect(counts.size).toBe(24);
  expect(chiSquare([...counts.values()])).toBeLessThan(49.7); // 23 degrees of freedom, once in a thousand
});
