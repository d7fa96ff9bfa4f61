import { loadBackend } from "@diffucoder/engine";
import { stream } from "@diffucoder/random";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { plainForward } from "../test/plain-forward.ts";
import { tinyConfig, vividParameters } from "../test/tiny-model.ts";
import { createBlockSampler, type CacheKind, type ModelBlockSampler } from "./block-sampler.ts";
import type { Architecture, ModelConfig } from "./config.ts";
import { decode } from "./decode.ts";
import { createSampler, type Reading } from "./sampler.ts";

beforeAll(async () => {
  await loadBackend();
});

const LENGTH = 12;
const KINDS: readonly CacheKind[] = ["prefix", "dual"];
const request = { temperature: 1 };

const configOf = (changes: Partial<Architecture> = {}): ModelConfig => ({ ...tinyConfig(changes), maxPositions: LENGTH });

async function open(config: ModelConfig, cache: CacheKind, shape: { batchSize?: number; windowLength?: number; blockLength?: number } = {}): Promise<ModelBlockSampler> {
  const sampler = await createBlockSampler(config, { batchSize: 2, canvasLength: LENGTH, windowLength: 10, blockLength: 4, dtype: "fp32", cache, ...shape });
  sampler.setParameters(vividParameters(config));
  return sampler;
}

/** Canvases of tokens at random. */
const canvasesOf = (seed: number, count = 2): number[][] => {
  const draws = stream({ seed, stage: "test", purpose: "tokens" });
  return Array.from({ length: count }, () => Array.from({ length: LENGTH }, () => draws.integer(11)));
};

function expectLogits(reading: Reading, canvas: number, positions: readonly number[], expected: (position: number) => readonly number[], digits = 3): void {
  for (const position of positions) {
    expected(position).forEach((logit, id) => expect(reading.get(canvas * LENGTH + position)![id]).toBeCloseTo(logit, digits));
  }
}

const range = (start: number, end: number) => Array.from({ length: end - start }, (_, i) => start + i);
const BLOCKS = [
  { start: 2, end: 6 },
  { start: 7, end: 10 },
];
const POSITIONS = Int32Array.from(BLOCKS.flatMap(({ start, end }, canvas) => range(start, end).map((position) => canvas * LENGTH + position)));

describe.each(KINDS)("block sampler with a %s cache", (cache) => {
  it.each([{}, { tied: false, kvHeads: 1 }, { kvHeads: 4 }])("gives what the whole model says while nothing has changed (%o)", async (changes) => {
    const config = configOf(changes);
    const sampler = await open(config, cache);
    const canvases = canvasesOf(1);
    const tokens = Int32Array.from(canvases.flat());
    for (const reading of [sampler.openBlocks(tokens, BLOCKS, POSITIONS, request), sampler.readBlocks(tokens, POSITIONS, request)]) {
      canvases.forEach((canvas, i) => {
        const logits = plainForward(config, vividParameters(config), canvas);
        expectLogits(reading, i, range(BLOCKS[i]!.start, BLOCKS[i]!.end), (position) => logits[position - 1]!);
      });
    }
    sampler.dispose();
    expect(() => sampler.openBlocks(tokens, BLOCKS, POSITIONS, request)).toThrow("disposed");
  });

  it("in one layer, whose keys depend on nothing but their own token, gives what the whole model says whatever changes in the block", async () => {
    const config = configOf({ layers: 1 });
    const sampler = await open(config, cache);
    const before = canvasesOf(1);
    sampler.openBlocks(Int32Array.from(before.flat()), BLOCKS, POSITIONS, request);
    for (const seed of [2, 3]) {
      const other = canvasesOf(seed);
      const after = before.map((canvas, i) => canvas.map((token, position) => (position >= BLOCKS[i]!.start && position < BLOCKS[i]!.end ? other[i]![position]! : token)));
      const reading = sampler.readBlocks(Int32Array.from(after.flat()), POSITIONS, request);
      after.forEach((canvas, i) => {
        const logits = plainForward(config, vividParameters(config), canvas);
        expectLogits(reading, i, range(BLOCKS[i]!.start, BLOCKS[i]!.end), (position) => logits[position - 1]!);
      });
    }
    sampler.dispose();
  });

  it("evaluates anew what its kind says, and nothing else", async () => {
    const sampler = await open(configOf(), cache);
    const [first, second] = canvasesOf(1);
    const readAfter = (changed: readonly number[]) => {
      sampler.openBlocks(Int32Array.from([...first!, ...second!]), BLOCKS, POSITIONS, request);
      const canvas = first!.map((token, position) => (changed.includes(position) ? (token + 1) % 11 : token));
      return [...sampler.readBlocks(Int32Array.from([...canvas, ...second!]), POSITIONS, request)];
    };
    const unchanged = readAfter([]);
    expect(readAfter([0])).toEqual(unchanged); // before the block, and before the row that predicts its first token
    expect(readAfter([1])).not.toEqual(unchanged);
    expect(readAfter([5])).not.toEqual(unchanged); // the block's last
    if (cache === "dual") expect(readAfter(range(6, LENGTH))).toEqual(unchanged);
    else expect(readAfter([LENGTH - 1])).not.toEqual(unchanged);
    sampler.dispose();
  });

  it("decodes as without a cache where the cache is exact, alone and in batches", async () => {
    const config = configOf({ layers: 1 });
    const prompts = [[1, 4], [2, 3, 3], [0, 5, 1, 2], [3, 3], [7, 1, 1]];
    const suffixes = [[], [4], [], [5, 5, 1], []];
    const decoding = { prompts, suffixes, maskId: config.maskId, steps: 9, algorithm: "maskgit_plus", temperature: 0.7, streamOf: (prompt: number) => ({ seed: 1, stage: "t", sample: prompt, purpose: "d" }) } as const;
    const rules = [{ rule: "schedule" }, { rule: "threshold", threshold: 0.4 }] as const;
    const plain = await createSampler(config, { batchSize: 2, canvasLength: LENGTH, windowLength: 10, dtype: "fp32" });
    plain.setParameters(vividParameters(config));
    const expected = rules.map((commit) => decode(plain, { ...decoding, commit, blockLength: 4 }));
    plain.dispose();
    for (const batchSize of [1, 2, 5]) {
      const sampler = await open(config, cache, { batchSize });
      rules.forEach((commit, rule) => {
        decode(sampler, { ...decoding, commit }).forEach(({ confidence, ...canvas }, i) => {
          const { confidence: expectedConfidence, ...rest } = expected[rule]![i]!;
          expect(canvas).toEqual(rest);
          expectedConfidence.forEach((value, offset) => expect(confidence[offset]).toBeCloseTo(value, 4));
        });
      });
      sampler.dispose();
    }
  });

  it("keeps the first pass of the first block, where without a cache it is kept of the whole answer", async () => {
    const config = configOf();
    const decoding = { prompts: [[1, 4], [2, 3, 3]], suffixes: [[], [4]], maskId: config.maskId, steps: 9, algorithm: "entropy", temperature: 0.7, keepFirstPass: true, streamOf: (sample: number) => ({ seed: 1, stage: "t", sample, purpose: "d" }) } as const;
    const plain = await createSampler(config, { batchSize: 2, canvasLength: LENGTH, windowLength: 10, dtype: "fp32" });
    plain.setParameters(vividParameters(config));
    const whole = decode(plain, { ...decoding, blockLength: 4 }).map(({ firstEntropy }) => [...firstEntropy!]);
    plain.dispose();
    const cached = await open(config, cache);
    const kept = decode(cached, decoding).map(({ firstEntropy }) => [...firstEntropy!]);
    cached.dispose();
    expect(whole.map(({ length }) => length)).toEqual([10, 8]);
    for (const entropies of whole) for (const entropy of entropies) expect(entropy).toSatisfy((nats: number) => nats > 0 && nats < Math.log(11));
    expect(kept).toEqual(whole.map((entropies) => entropies.map((entropy, offset) => (offset < 4 ? (expect.closeTo(entropy, 4) as number) : NaN))));
  });

  it("decodes a prompt to the same tokens alone and in a batch, and leaves no tensor behind", async () => {
    const config = configOf();
    const before = tf.memory().numTensors;
    const prompts = [[1, 1], [2, 3, 3, 3], [0, 2], [3, 3, 3], [7, 1, 5]];
    const decodeWith = async (batchSize: number) => {
      const sampler = await open(config, cache, { batchSize });
      const canvases = decode(sampler, { prompts, maskId: config.maskId, steps: 8, algorithm: "entropy", temperature: 0.8, streamOf: (prompt) => ({ seed: 1, stage: "t", sample: prompt, purpose: "d" }) });
      sampler.dispose();
      return canvases.map(({ tokens, trace, order }) => ({ tokens, trace, order }));
    };
    const together = await decodeWith(5);
    expect(await decodeWith(1)).toEqual(together);
    expect(await decodeWith(2)).toEqual(together);
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe("block sampler", () => {
  it("gives doubts of what is read, and the logits that are in question", async () => {
    const sampler = await open(configOf(), "dual");
    const tokens = Int32Array.from(canvasesOf(1).flat());
    const asked: number[] = [];
    const doubt = { name: "entropy", inQuestion: (doubts: Float32Array) => (asked.push(doubts.length), [5, 1]) } as const;
    const opened = sampler.openBlocks(tokens, BLOCKS, POSITIONS, { ...request, doubt });
    const read = sampler.readBlocks(tokens, POSITIONS, { ...request, doubt });
    expect(asked).toEqual([POSITIONS.length, POSITIONS.length]);
    expect([...opened.keys()]).toEqual([POSITIONS[5], POSITIONS[1]]);
    const all = sampler.readBlocks(tokens, POSITIONS, request);
    expect([...read]).toEqual([5, 1].map((index) => [POSITIONS[index], all.get(POSITIONS[index]!)]));
    sampler.dispose();
  });

  it("refuses blocks and windows that do not fit, and decoding in other blocks", async () => {
    const config = configOf();
    await expect(open(config, "dual", { blockLength: 11 })).rejects.toMatchObject({ code: "WrongShape", message: "block: expected 1 to 10 positions, found 11" });
    await expect(open(config, "dual", { windowLength: 12 })).rejects.toMatchObject({ code: "WrongShape", message: "window: expected 1 to 11 positions on a canvas of 12, found 12" });
    const sampler = await open(config, "dual");
    const streamOf = () => ({ seed: 1, stage: "t", purpose: "d" });
    expect(() => decode(sampler, { prompts: [[1, 2]], maskId: 9, steps: 4, algorithm: "entropy", temperature: 0, blockLength: 3, streamOf })).toThrow(
      expect.objectContaining({ code: "WrongOptions", message: "blockLength: expected the sampler's 4, found 3" }),
    );
    sampler.dispose();
  });
});
