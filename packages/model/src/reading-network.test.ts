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
