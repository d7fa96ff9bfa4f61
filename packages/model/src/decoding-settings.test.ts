import { beforeAll, expect, test } from "vitest";
import { loadBackend } from "@diffucoder/engine";
import { z } from "zod";
import { tinyConfig } from "../test/tiny-model.ts";
import { decodeOptionsOf, decodingShape, openSampler, refineDecoding } from "./decoding-settings.ts";
import { isBlockSampler } from "./sampler.ts";

beforeAll(async () => {
  await loadBackend();
});

const schema = z.strictObject(decodingShape).superRefine(refineDecoding);
const TOKENS = { maskId: 9, padId: 10, endId: 3 };

test("nothing is on but what is asked for", () => {
  expect(schema.parse({})).toEqual({ steps: 24, algorithm: "entropy", topP: 1 });
  expect(decodeOptionsOf(schema.parse({}), TOKENS)).toEqual({ maskId: 9, steps: 24, algorithm: "entropy", topP: 1 });
});

test("every setting reaches the decoder", () => {
  const settings = { steps: 6, algorithm: "maskgit_plus", topP: 0.9, topK: 5, blockLength: 4, threshold: 0.8, stopAtEnd: true } as const;
  expect(decodeOptionsOf(schema.parse(settings), TOKENS)).toEqual({ maskId: 9, steps: 6, algorithm: "maskgit_plus", topP: 0.9, topK: 5, blockLength: 4, commit: { rule: "threshold", threshold: 0.8 }, stop: { endId: 3, fillId: 10 } });
  expect(decodeOptionsOf(schema.parse({ algorithm: "topk_margin", factor: 2 }), TOKENS).commit).toEqual({ rule: "factor", factor: 2 });
  expect(decodeOptionsOf(schema.parse({ positionTemperature: 0.5 }), TOKENS).positionTemperature).toBe(0.5);
  expect(decodeOptionsOf(schema.parse({ stopAtEnd: false }), TOKENS)).not.toHaveProperty("stop");
});

test.each<[Record<string, unknown>, string, string]>([
  [{ threshold: 0.9 }, "algorithm", "expected maskgit_plus or topk_margin with the commit rule threshold, found entropy"],
  [{ factor: 1 }, "algorithm", "expected maskgit_plus or topk_margin with the commit rule factor, found entropy"],
  [{ algorithm: "maskgit_plus", factor: 1, positionTemperature: 1 }, "positionTemperature", "expected 0 with the commit rule factor, found 1"],
  [{ algorithm: "maskgit_plus", factor: 1, threshold: 0.9 }, "factor", "expected threshold or factor, found both"],
  [{ cache: "dual" }, "blockLength", "expected a number with cache dual, found none"],
])("%j is refused at %s", (settings, key, message) => {
  expect(schema.safeParse(settings).error!.issues).toMatchObject([{ path: [key], message }]);
});

test.each([{ steps: 0 }, { steps: 1.5 }, { algorithm: "best" }, { topP: 0 }, { topP: 1.1 }, { topK: 0 }, { positionTemperature: -1 }, { blockLength: 0 }, { cache: "all" }, { threshold: 1.1 }, { factor: 0 }, { stopAtEnd: "yes" }, { blocks: 3 }])("%j is refused", (settings) => {
  expect(schema.safeParse(settings).success).toBe(false);
});

test("a cache is a block sampler's, its blocks no longer than the window", async () => {
  const shape = { batchSize: 1, canvasLength: 8, windowLength: 6, dtype: "fp32" } as const;
  const config = tinyConfig();
  const samplers = await Promise.all([openSampler(config, { blockLength: 4 }, shape), openSampler(config, { blockLength: 4, cache: "dual" }, shape), openSampler(config, { blockLength: 32, cache: "prefix" }, shape)]);
  expect(samplers.map((sampler) => (isBlockSampler(sampler) ? sampler.blockLength : undefined))).toEqual([undefined, 4, 6]);
  for (const sampler of samplers) sampler.dispose();
});
