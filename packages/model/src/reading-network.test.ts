import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { backendInfo, createProgram, hasNativeKernels, loadBackend, resolveDtype } from "@diffucoder/engine";
import type { NamedTensor } from "@diffucoder/formats";
import type * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { SHAPES, networkConfig } from "../test/network-shapes.ts";
import { vividParameters } from "../test/tiny-model.ts";
import type { ModelConfig } from "./config.ts";
import { composedNetwork, readingNetwork, type ReadingNetwork } from "./reading-network.ts";

let canRound = false;

beforeAll(async () => {
  await loadBackend();
  canRound = resolveDtype("auto") === "bf16" && (await backendInfo()).libtensorflow.endsWith("+x86-64-v4");
  expect(hasNativeKernels(), "these tests need the native kernels: npm run setup").toBe(true);
});

interface Canvases {
  readonly tokens: Int32Array;
  readonly shape: readonly [number, number];
  readonly rows: Int32Array;
}

async function logitsOf(network: ReadingNetwork, parameters: ReadonlyMap<string, NamedTensor>, { tokens, shape, rows }: Canvases, dtype: "fp32" | "bf16"): Promise<Float32Array> {
  const program = await createProgram({
    variables: network.variables,
    dtype,
    graphs: {
      read: {
        inputs: { tokens: { dtype: "int32", shape }, rows: { dtype: "int32", shape: [rows.length] } },
        build: (inputs, variables) => ({ logits: network.logitsOf(inputs.tokens as tf.Tensor2D, inputs.rows as tf.Tensor1D, variables) }),
      },
    },
  });
  try {
    program.writeVariables(network.arrange(parameters));
    return program.run("read", { tokens, rows }).logits as Float32Array;
  } finally {
    program.dispose();
  }
}

interface Part extends Canvases {
  /** What the canvases are when what is around the part is cached. */
  readonly before: Int32Array;
  readonly spans: Int32Array;
}

/** Logits of an opening, then of each part in turn, on top of one cache. */
async function partLogitsOf(network: ReadingNetwork, parameters: ReadonlyMap<string, NamedTensor>, parts: readonly Part[], dtype: "fp32" | "bf16"): Promise<Float32Array[]> {
  const { shape, rows, before, spans } = parts[0]!;
  const cacheShapes = network.cacheShapes(...shape);
  const length = Math.max(...Array.from({ length: shape[0] }, (_, canvas) => spans[2 * canvas + 1]! - spans[2 * canvas]!));
  const shared = { tokens: { dtype: "int32", shape }, rows: { dtype: "int32", shape: [rows.length] } } as const;
  const program = await createProgram({
    variables: network.variables,
    dtype,
    graphs: {
      open: {
        inputs: shared,
        build: (inputs, variables) => {
          const { logits, cache } = network.opening(inputs.tokens as tf.Tensor2D, inputs.rows as tf.Tensor1D, variables);
          return { logits, ...cache };
        },
      },
      part: {
        inputs: { ...shared, spans: { dtype: "int32", shape: [shape[0], 2] }, ...Object.fromEntries(Object.entries(cacheShapes).map(([name, cacheShape]) => [name, { dtype: "float32", shape: cacheShape }])) },
        build: ({ tokens, rows: wanted, spans: within, ...cache }, variables) => ({ logits: network.logitsOfPart(tokens as tf.Tensor2D, wanted as tf.Tensor1D, within as tf.Tensor2D, cache, length, variables) }),
      },
    },
  });
  try {
    program.writeVariables(network.arrange(parameters));
    const { fetched, kept } = program.runKeeping("open", { tokens: before, rows }, { fetch: ["logits"], keep: Object.keys(cacheShapes) });
    const read = parts.map((part) => program.runKeeping("part", { tokens: part.tokens, rows, spans, ...kept }, { fetch: ["logits"], keep: [] }).fetched.logits as Float32Array);
    for (const tensor of Object.values(kept)) tensor.dispose();
    return [fetched.logits as Float32Array, ...read];
  } finally {
    program.dispose();
  }
}

/** Spans from even and odd positions on, at the ends of canvases and within, some as short as one position; tokens change within and around them. */
function partsOf(config: ModelConfig, batchSize: number, canvasLength: number): Part[] {
  const { tokens: before, shape } = canvasesOf(config, batchSize, canvasLength);
  const starts = Array.from({ length: batchSize }, (_, canvas) => Math.min(canvasLength - 1, [1, 0, 34, 2, 63][canvas]!));
  const ends = starts.map((start, canvas) => Math.min(canvasLength, start + [38, 1, 93, 33, 64][canvas]!));
  const spans = Int32Array.from(starts.flatMap((start, canvas) => [start, ends[canvas]!]));
  const rows = Int32Array.from(starts.flatMap((start, canvas) => Array.from({ length: ends[canvas]! - start }, (_, i) => canvas * canvasLength + start + i))).reverse();
  const changed = (by: number) => before.map((token, i) => (i % 3 === 0 ? token : (token + by) % config.vocabSize));
  return [before, changed(1), changed(2), before].map((tokens) => ({ shape, tokens, rows, before, spans }));
}

/** Tokens of all kinds, and rows out of order, some twice. */
function canvasesOf(config: ModelConfig, batchSize: number, canvasLength: number): Canvases {
  const count = batchSize * canvasLength;
  return {
    shape: [batchSize, canvasLength],
    tokens: Int32Array.from({ length: count }, (_, i) => (i * 13 + (i >> 3)) % config.vocabSize),
    rows: Int32Array.from({ length: count + 3 }, (_, i) => (i * 5) % count),
  };
}

const furthest = (a: Float32Array, b: Float32Array): number => a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

describe("the network in one operation", () => {
  it.each(SHAPES)("gives the logits of the composed one: $canvasLength tokens, hidden size $hiddenSize", async ({ batchSize, canvasLength, ...changes }) => {
    const config = networkConfig(changes, canvasLength);
    const [parameters, canvases] = [vividParameters(config), canvasesOf(config, batchSize, canvasLength)];
    const expected = await logitsOf(composedNetwork(config), parameters, canvases, "fp32");
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(furthest(await logitsOf(readingNetwork(config, "fp32"), parameters, canvases, "fp32"), expected)).toBeLessThan(2e-5 * largest);
  });

  it.for(SHAPES)("rounds to bf16 as the composed one does: $canvasLength tokens, hidden size $hiddenSize", async ({ batchSize, canvasLength, ...changes }, { skip }) => {
    skip(!canRound, "this processor, or the kernels in use, do not multiply bf16");
    const config = networkConfig(changes, canvasLength);
    const [parameters, canvases] = [vividParameters(config), canvasesOf(config, batchSize, canvasLength)];
    const exact = await logitsOf(composedNetwork(config), parameters, canvases, "fp32");
    const composed = await logitsOf(composedNetwork(config), parameters, canvases, "bf16");
    const packed = await logitsOf(readingNetwork(config, "bf16"), parameters, canvases, "bf16");
    expect(furthest(packed, exact)).toBeLessThan(1.5 * furthest(composed, exact));
    expect(furthest(packed, exact)).toBeGreaterThan(0);
  });

  it.each(SHAPES)("evaluates parts on top of a cache as the composed one does: $canvasLength tokens, hidden size $hiddenSize", async ({ batchSize, canvasLength, ...changes }) => {
    const config = networkConfig(changes, canvasLength);
    const [parameters, parts] = [vividParameters(config), partsOf(config, batchSize, canvasLength)];
    const expected = await partLogitsOf(composedNetwork(config), parameters, parts, "fp32");
    const found = await partLogitsOf(readingNetwork(config, "fp32"), parameters, parts, "fp32");
    const largest = expected[0]!.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expected.forEach((logits, i) => expect(furthest(found[i]!, logits), `evaluation ${i}`).toBeLessThan(2e-5 * largest));
    expect(furthest(found[1]!, found[2]!)).toBeGreaterThan(1e-3 * largest);
  });

  it.for((["fp32", "bf16"] as const).flatMap((dtype) => SHAPES.map((shape) => ({ dtype, ...shape }))))(
    "gives the same bytes whole, opened and in parts where nothing has changed, in $dtype: $canvasLength tokens",
    async ({ dtype, batchSize, canvasLength, ...changes }, { skip }) => {
      skip(dtype === "bf16" && !canRound, "this processor, or the kernels in use, do not multiply bf16");
      const config = networkConfig(changes, canvasLength);
      const [parameters, network, parts] = [vividParameters(config), readingNetwork(config, dtype), partsOf(config, batchSize, canvasLength)];
      const [opened, unchanged, , , again] = await partLogitsOf(network, parameters, parts, dtype);
      expect(opened).toEqual(await logitsOf(network, parameters, parts[0]!, dtype));
      expect(unchanged).toEqual(opened);
      expect(again).toEqual(opened);
    },
  );

  it("rounds parts to bf16 as the composed one does", async ({ skip }) => {
    skip(!canRound, "this processor, or the kernels in use, do not multiply bf16");
    const { batchSize, canvasLength, ...changes } = SHAPES[4];
    const config = networkConfig(changes, canvasLength);
    const [parameters, parts] = [vividParameters(config), partsOf(config, batchSize, canvasLength)];
    const exact = await partLogitsOf(composedNetwork(config), parameters, parts, "fp32");
    const composed = await partLogitsOf(composedNetwork(config), parameters, parts, "bf16");
    const packed = await partLogitsOf(readingNetwork(config, "bf16"), parameters, parts, "bf16");
    exact.forEach((logits, i) => expect(furthest(packed[i]!, logits), `evaluation ${i}`).toBeLessThan(1.5 * furthest(composed[i]!, logits)));
  });

  it("refuses spans and caches that do not fit, and rows outside of their span", async () => {
    const { batchSize, canvasLength, ...changes } = SHAPES[1];
    const config = networkConfig(changes, canvasLength);
    const [parameters, network, [part]] = [vividParameters(config), readingNetwork(config, "fp32"), partsOf(config, batchSize, canvasLength)];
    const [, logits] = await partLogitsOf(network, parameters, [{ ...part!, spans: Int32Array.of(0, 0, 0, 1, 32, 33), rows: Int32Array.of(0, 33, 98) }], "fp32");
    expect([...logits!.subarray(0, 75)]).toEqual(new Array(75).fill(0)); // of a canvas whose span is empty
    expect(logits!.subarray(75).every((value) => value !== 0)).toBe(true);
    const refused = (spans: number[]) => expect(partLogitsOf(network, parameters, [{ ...part!, spans: Int32Array.from(spans) }], "fp32")).rejects;
    await refused([1, 33, 0, 1, 31, 34]).toThrow("expected spans within 0 and 33, found 31 to 34");
    await refused([1, 33, 5, 4, 32, 33]).toThrow("expected spans within 0 and 33, found 5 to 4");
    await refused([1, 33, 0, 1, 31, 32]).toThrow("expected rows within the span of their canvas, found row 32 of canvas 2");
    const short = { ...network, cacheShapes: () => ({ cache: [5] }) };
    await expect(partLogitsOf(short, parameters, [part!], "fp32")).rejects.toThrow("elements, found 5");
  });

  it("leaves rows that are none at 0, and refuses tokens and rows that are not there", async () => {
    const { batchSize, canvasLength, ...changes } = SHAPES[1];
    const config = networkConfig(changes, canvasLength);
    const [parameters, network, canvases] = [vividParameters(config), readingNetwork(config, "fp32"), canvasesOf(config, batchSize, canvasLength)];
    const rows = Int32Array.of(5, network.noRow, 70);
    const logits = await logitsOf(network, parameters, { ...canvases, rows }, "fp32");
    expect([...logits.subarray(75, 150)]).toEqual(new Array(75).fill(0));
    const all = await logitsOf(network, parameters, { ...canvases, rows: Int32Array.from({ length: 99 }, (_, i) => i) }, "fp32");
    expect(logits.subarray(0, 75)).toEqual(all.subarray(5 * 75, 6 * 75));
    expect(logits.subarray(150)).toEqual(all.subarray(70 * 75, 71 * 75));
    await expect(logitsOf(network, parameters, { ...canvases, rows: Int32Array.of(99) }, "fp32")).rejects.toThrow("expected rows below 99, found 99");
    for (const token of [-1, 75]) {
      await expect(logitsOf(network, parameters, { ...canvases, tokens: canvases.tokens.with(50, token) }, "fp32")).rejects.toThrow(`expected tokens from 0 to 74, found ${token}`);
    }
  });

  // Threads that outnumber the cores lose them in the middle of their work.
  it.for(["fp32", "bf16"])("gives the same bytes each time, and with any number of threads, in %s", { timeout: 300_000 }, (dtype, { skip }) => {
    skip(dtype === "bf16" && !canRound, "this processor, or the kernels in use, do not multiply bf16");
    const run = (threads: number) =>
      execFileSync(process.execPath, [...process.execArgv, join(import.meta.dirname, "../test/network-digest.ts"), dtype, "20"], {
        env: { ...process.env, TF_NUM_INTRAOP_THREADS: String(threads) },
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }).trim();
    const alone = run(1);
    expect(alone).toMatch(/^[0-9a-f]{64}$/);
    expect(run(7)).toBe(alone);
  });
});
