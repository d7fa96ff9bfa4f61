import { stream } from "@diffucoder/random";
import fc from "fast-check";
import { expect, test } from "vitest";
import { MinHashKernel } from "./minhash-kernel.ts";
import { MINHASH_PRESETS, candidateProbability } from "./minhash-scheme.ts";

const kernel = new MinHashKernel(MINHASH_PRESETS.standard);
const runsOf = (text: string) => kernel.sign(Buffer.from(text)).runs.slice();
const bandsOf = (text: string, by = kernel) => by.sign(Buffer.from(text)).bands.slice();
const bytesOf = (text: string) => new Uint8Array(runsOf(text).buffer);
const numbered = (count: number, first = 0) => Array.from({ length: count }, (_, i) => `w${first + i}`);

/** Runs of five words as text: what the kernel hashes. */
function textRuns(text: string): Set<string> {
  const words = text.match(/\w+/g) ?? [text];
  return new Set(Array.from({ length: Math.max(1, words.length - 4) }, (_, i) => words.slice(i, i + 5).join(" ")));
}

function compare(a: string, b: string): { shared: number; union: number } {
  const [left, right] = [bytesOf(a), bytesOf(b)];
  kernel.hold(left);
  return kernel.compare(right);
}

test("a text of n words has n - 4 runs of five, each counted once", () => {
  expect(runsOf(numbered(5).join(" ")).length).toBe(1);
  expect(runsOf(numbered(6).join(" ")).length).toBe(2);
  expect(runsOf(numbered(100).join("\n")).length).toBe(96);
  expect(runsOf("a ".repeat(50)).length).toBe(1);
});

test("fewer than five words are one run, and a text without words stands for itself", () => {
  expect(runsOf("x = 1")).toEqual(runsOf("x(1)"));
  expect(runsOf("x = 1")).not.toEqual(runsOf("x = 2"));
  expect(runsOf("()\n").length).toBe(1);
  expect(runsOf("()\n")).not.toEqual(runsOf("[]\n"));
  expect(runsOf("").length).toBe(1);
  expect(runsOf("a b c d e")).not.toEqual(runsOf("a b c e d"));
});

test("words are runs of ASCII letters, digits and underscores, whatever stands between them", () => {
  for (let code = 1; code < 128; code++) {
    const joined = runsOf(`a${String.fromCharCode(code)}b`);
    expect([code, joined.join() === runsOf("a b").join()]).toEqual([code, !/\w/.test(String.fromCharCode(code))]);
  }
  expect(runsOf("naïve")).toEqual(runsOf("na ve"));
});

const word = fc.stringMatching(/^[a-c]{1,2}$/);
const text = fc.array(fc.oneof(word, fc.constantFrom(" ", "\n", "(", "é", "€", "𝕏")), { maxLength: 80 }).map((parts) => parts.join(" "));

test("shared and joined runs are those of the texts' own runs of words", () => {
  fc.assert(
    fc.property(text, text, (a, b) => {
      const [left, right] = [textRuns(a), textRuns(b)];
      const shared = [...left].filter((run) => right.has(run)).length;
      expect(compare(a, b)).toEqual({ shared, union: left.size + right.size - shared });
    }),
  );
});

test("a text much larger than what went before has room, and leaves its place to smaller ones", () => {
  const large = numbered(300_000).join(" ");
  expect(compare(large, numbered(300_000, 5).join(" "))).toEqual({ shared: 299_991, union: 300_001 });
  expect(compare("a b c d e f", "a b c d e g")).toEqual({ shared: 1, union: 3 });
  expect(() => kernel.sign(new Uint8Array(2 ** 27 + 1))).toThrow("text: expected at most 134217728 bytes, found 134217729");
});

test("signing lets go of what was held", () => {
  const runs = bytesOf("a b c d e f");
  kernel.hold(runs);
  expect(kernel.compare(runs)).toEqual({ shared: 2, union: 2 });
  kernel.sign(Buffer.from("a"));
  expect(() => kernel.compare(runs)).toThrow("compare: expected runs that are held, found none");
});

test("bands depend on the set of runs alone, and each on all of its rows", () => {
  expect(bandsOf("a b c d e f g")).toEqual(bandsOf("a\tb(c)d.e f, g"));
  expect(new Set(bandsOf("a b c d e f g")).size).toBe(16);
  const [other, rows7] = [new MinHashKernel({ wordsPerRun: 5, bands: 16, rows: 8 }), new MinHashKernel({ wordsPerRun: 5, bands: 16, rows: 7 })];
  expect(bandsOf("a b c d e f g", other)).toEqual(bandsOf("a b c d e f g"));
  expect(bandsOf("a b c d e f g", rows7)[0]).not.toBe(bandsOf("a b c d e f g")[0]);
});

test("the signature of a text is the same everywhere", () => {
  const { runs, bands } = kernel.sign(Buffer.from("def add(a, b):\n    return a + b\n"));
  // By hand with big integers: FNV-1a of each word, then rotate, xor, multiply over five, then the finaliser.
  expect([...runs].map((run) => run.toString(16))).toEqual(["ff2cef7baf110dbe", "281d736582d86e1", "5896e79eb6d8ec2a"]);
  expect([bands[0]!, bands[15]!].map((band) => band.toString(16))).toEqual(["6aa65919b4e4f6ba", "1153226ea0bbab30"]);
});

/** Two texts with `shared` common runs and (100 - shared) / 2 of either alone: similarity shared / 100. */
function pairAt(shared: number, draws: ReturnType<typeof stream>): [string, string] {
  const words = (count: number) => Array.from({ length: count }, () => `v${draws.uint32()}`);
  const head = words(shared + 4);
  return [[...head, ...words((100 - shared) / 2)].join(" "), [...head, ...words((100 - shared) / 2)].join(" ")];
}

test("least hashes agree as often as the texts are similar: unbiased, with the spread of independent draws", () => {
  // Of 128 hash functions a share s agrees, standard deviation sqrt(s (1 - s) / 128); over 400 pairs the mean within 3 sigma.
  const draws = stream({ seed: 3, stage: "test", purpose: "estimates" });
  for (const shared of [20, 50, 80]) {
    const errors = Array.from({ length: 400 }, () => {
      const [a, b] = pairAt(shared, draws).map((each) => (kernel.sign(Buffer.from(each)), kernel.leastHashes().slice())) as [BigInt64Array, BigInt64Array];
      return a.reduce((agree, hash, i) => agree + (hash === b[i] ? 1 : 0), 0) / a.length - shared / 100;
    });
    const expected = Math.sqrt(((shared / 100) * (1 - shared / 100)) / 128);
    const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
    const spread = Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / errors.length);
    expect(Math.abs(mean)).toBeLessThan((3 * expected) / 20);
    expect(spread / expected).toBeGreaterThan(0.88); // 3 sigma of 400 squares is 0.106
    expect(spread / expected).toBeLessThan(1.12);
  }
});

test.each([
  ["standard", 60],
  ["standard", 80],
  ["fineweb", 70],
  ["stack", 70],
] as const)("texts become candidates as often as the scheme promises: %s at %i in 100", (preset, shared) => {
  const scheme = MINHASH_PRESETS[preset];
  const own = new MinHashKernel(scheme);
  const draws = stream({ seed: 4, stage: "test", purpose: `candidates ${preset} ${shared}` });
  const trials = 400;
  let found = 0;
  for (let trial = 0; trial < trials; trial++) {
    const [a, b] = pairAt(shared, draws).map((each) => bandsOf(each, own)) as [BigUint64Array, BigUint64Array];
    if (a.some((band, i) => band === b[i])) found++;
  }
  const promised = candidateProbability(scheme, shared / 100);
  expect(Math.abs(found / trials - promised)).toBeLessThan(3.5 * Math.sqrt((promised * (1 - promised)) / trials));
});

test("the curve: nothing at 0, all at 1, and half where each scheme says", () => {
  for (const scheme of Object.values(MINHASH_PRESETS)) expect([candidateProbability(scheme, 0), candidateProbability(scheme, 1)]).toEqual([0, 1]);
  expect(candidateProbability(MINHASH_PRESETS.standard, 0.663)).toBeCloseTo(0.5, 1);
  expect(candidateProbability(MINHASH_PRESETS.standard, 0.8)).toBeCloseTo(0.947, 3);
  expect(candidateProbability(MINHASH_PRESETS.fineweb, 0.8)).toBeCloseTo(0.924, 3);
  expect(candidateProbability(MINHASH_PRESETS["refinecode-paper"], 0.975)).toBeCloseTo(0.48, 1);
  expect(candidateProbability(MINHASH_PRESETS["refinecode-swapped"], 0.722)).toBeCloseTo(0.5, 1);
});
