// Axes: N elements of a variable.
import { existsSync, readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { engineAssets } from "./assets.ts";
import { loadBackend, resolveDtype } from "./backend.ts";
import { EagerProgram } from "./eager-program.ts";
import { hasNativeKernels, loadNativeKernels, runNativeKernel } from "./native-kernels.ts";
import { NativeProgram } from "./native-program.ts";
import type { NamedTensor, Program, ProgramSpec } from "./program.ts";

beforeAll(async () => {
  await loadBackend();
  expect(hasNativeKernels(), "these tests need the native kernels: npm run setup").toBe(true);
});

const optimizer = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1, decays: (name: string) => name !== "bias", clipNorm: 1 };

function differing(build: ProgramSpec["graphs"][string]["build"], variables: Record<string, number[]>): (create: (spec: ProgramSpec) => Program) => Map<string, NamedTensor> {
  return (create) => {
    const program = create({ variables, dtype: "fp32", optimizer, graphs: { fit: { train: true, inputs: {}, build } } });
    program.writeVariables(new Map(Object.entries(variables).map(([name, shape], at) => [name, { shape, data: Float32Array.from({ length: shape[0]! }, (_, i) => Math.sin(i + at) + 2) }])));
    for (let step = 1; step <= 20; step++) program.trainStep("fit", {}, { learningRate: 0.05, step });
    const values = program.readVariables();
    program.dispose();
    return values;
  };
}

const furthest = (a: Map<string, NamedTensor>, b: Map<string, NamedTensor>) => Math.max(...[...a].flatMap(([name, { data }]) => [...data].map((value, i) => Math.abs(value - b.get(name)!.data[i]!))));

describe("the optimizer in one operation", () => {
  it("goes with the eager one, over variables of any length", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 3 }), (sizes) => {
        const variables = Object.fromEntries(["bias", "w", "x"].slice(0, sizes.length).map((name, i) => [name, [sizes[i]!]]));
        const run = differing((_, values) => ({ loss: tf.addN(Object.values(values).map((value) => tf.sum(tf.square(tf.sub(value, 1))))) }), variables);
        expect(furthest(run((spec) => new NativeProgram(spec)), run((spec) => new EagerProgram(spec)))).toBeLessThan(2e-5);
      }),
      { numRuns: 6 },
    );
  });

  it("reads a gradient that is another variable's own memory before it is written to", () => {
    const run = differing((_, { p, q }) => ({ loss: tf.sum(tf.mul(p!, q!)) }), { p: [50_000], q: [50_000] });
    expect(furthest(run((spec) => new NativeProgram(spec)), run((spec) => new EagerProgram(spec)))).toBeLessThan(2e-5);
  });

  it("gives an output that is a variable as it was before the update", () => {
    const variables = { w: [3] };
    const program = new NativeProgram({ variables, dtype: "fp32", optimizer, graphs: { fit: { train: true, inputs: {}, build: (_, { w }) => ({ loss: tf.sum(tf.square(w!)), w: w!, row: tf.reshape(w!, [1, 3]) }) } } });
    program.writeVariables(new Map([["w", { shape: [3], data: Float32Array.of(1, 2, 3) }]]));
    const { outputs } = program.trainStep("fit", {}, { learningRate: 0.5, step: 1 });
    expect([outputs.w, outputs.row]).toEqual([Float32Array.of(1, 2, 3), Float32Array.of(1, 2, 3)]);
    expect(program.readVariables().get("w")!.data[0]).toBeCloseTo(0.45, 5); // 1 - 0.5 * 0.1 - 0.5
    program.dispose();
  });

  it("updates a variable only once outputs have read it that take longer than the gradient", () => {
    const build = (_: unknown, { w }: Record<string, tf.Tensor>) => {
      const loss = tf.sum(tf.square(w!));
      let one = tf.div(loss, 14);
      for (let i = 0; i < 50; i++) one = tf.sqrt(one);
      return { loss, late: tf.mul(w!, one) };
    };
    const program = new NativeProgram({ variables: { w: [3] }, dtype: "fp32", optimizer, graphs: { fit: { train: true, inputs: {}, build } } });
    program.writeVariables(new Map([["w", { shape: [3], data: Float32Array.of(1, 2, 3) }]]));
    expect(program.trainStep("fit", {}, { learningRate: 0.5, step: 1 }).outputs.late).toEqual(Float32Array.of(1, 2, 3));
    program.dispose();
  });
});

describe("attention with rounded operands", () => {
  /** Mixed values, and gradients of the projections and the bias. */
  function results(rounded: 0 | 1, { length, width, canvases }: { length: number; width: number; canvases: number }): tf.Tensor[] {
    const [heads, kvHeads] = [4, 2];
    const wave = (shape: number[], pace: number) => tf.sin(tf.mul(tf.range(0, shape.reduce((a, b) => a * b, 1)), pace)).reshape(shape);
    const columns = (heads + 2 * kvHeads) * width;
    const operands = [wave([canvases * length, columns], 1.7), wave([columns], 0.3), wave([length, width], 0.2), wave([length, width], 0.1), wave([length, length], 0.7)];
    const integers = { heads, kv_heads: kvHeads, length, rounded };
    const [mixed, logSum] = runNativeKernel("DiffucoderAttention", operands, 2, { integers });
    return [mixed!, ...runNativeKernel("DiffucoderAttentionGradient", [...operands, mixed!, logSum!, wave([canvases * length, heads * width], 2.3)], 2, { integers })];
  }

  it("is near the exact one, for any shape", ({ skip }) => {
    skip(resolveDtype("auto") !== "bf16", "this processor does not multiply bf16");
    const cases = [{ length: 64, width: 32 }, { length: 65, width: 32 }, { length: 112, width: 32 }, { length: 130, width: 64 }, { length: 33, width: 10 }, { length: 1, width: 2 }, { length: 7, width: 16 }];
    for (const shape of cases) {
      tf.tidy(() => {
        const [exact, rounded] = [results(0, { ...shape, canvases: 3 }), results(1, { ...shape, canvases: 3 })];
        const relative = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]! / tf.max(tf.abs(b)).dataSync()[0]!;
        [0.02, 0.05].forEach((bound, i) => expect(relative(rounded[i]!, exact[i]!), `${JSON.stringify(shape)}, result ${i}`).toBeLessThan(bound));
        expect(relative(rounded[0]!, exact[0]!)).toBeGreaterThan(1e-5);
        const [, slopes, biasSlopes] = rounded;
        expect(tf.max(tf.abs(tf.sub(tf.sum(slopes!, 0), biasSlopes!))).dataSync()[0]! / tf.sum(tf.abs(slopes!)).dataSync()[0]!).toBeLessThan(1e-6);
      });
    }
  });

  it("is refused where the CPU has no such products", ({ skip }) => {
    skip(resolveDtype("auto") === "bf16", "this processor multiplies bf16");
    tf.tidy(() => {
      expect(() => results(1, { length: 4, width: 4, canvases: 1 })).toThrow("expected a CPU with AVX512_BF16");
    });
  });
});

describe("native kernels", () => {
  it("run fifty thousand times, their threads falling asleep and waking", () => {
    tf.tidy(() => {
      const [x, scale] = [tf.ones([1024, 1]), tf.ones([1])];
      for (let i = 0; i < 50_000; i++) tf.dispose(runNativeKernel("DiffucoderRmsNorm", [x, scale], 2, { reals: { epsilon: 3 } }));
      const [y] = runNativeKernel("DiffucoderRmsNorm", [x, scale], 2, { reals: { epsilon: 3 } });
      expect(tf.sum(y!).dataSync()[0]).toBe(512);
    });
  });

  it("have large results in pages of 2 MB, where Linux offers them", ({ skip }) => {
    const setting = "/sys/kernel/mm/transparent_hugepage/enabled";
    skip(!existsSync(setting) || readFileSync(setting, "utf8").includes("[never]"), "this system has no large pages");
    const megabytes = () => Number(/AnonHugePages:\s+(\d+) kB/.exec(readFileSync("/proc/self/smaps_rollup", "utf8"))![1]) / 1024;
    tf.tidy(() => {
      const operands = [tf.ones([32_768, 1024]), tf.ones([1024])]; // 128 MB
      const before = megabytes();
      runNativeKernel("DiffucoderRmsNorm", operands, 2, { reals: { epsilon: 1 } });
      expect(megabytes() - before).toBeGreaterThan(64);
    });
  });

  it("tell of bad input", () => {
    tf.tidy(() => {
      const run = () => runNativeKernel("DiffucoderCrossEntropy", [tf.zeros([2, 5]), tf.tensor1d([1, 5], "int32")], 2);
      expect(run).toThrow("target of row 1: expected 0 to 4, found 5");
    });
  });

  it("that were built from other sources are missed where the CPU could use them, unless none are wanted", () => {
    const missing = loadNativeKernels("avx512_bf16", undefined, "/nowhere");
    expect(missing).toMatch(/^TensorFlow's operations run in place of this project's own: expected those built from their present sources at \/nowhere\/[0-9a-f]{16}\/x86-64-v4\.node, found none$/);
    expect(loadNativeKernels("avx2", undefined, "/nowhere")).toContain("x86-64-v3.node");
    expect(loadNativeKernels("avx", undefined, "/nowhere")).toBeUndefined();
    expect(loadNativeKernels("avx2", "none", "/nowhere")).toBeUndefined();
    expect(() => loadNativeKernels("avx2", "x86-64-v3", "/nowhere")).toThrow(expect.objectContaining({ code: "BackendUnavailable" }) as Error);
  });

  it("are assets: their sources are part of what a result depends on", () => {
    expect(engineAssets.map((path) => path.split("/").at(-1))).toEqual(expect.arrayContaining(["graph.proto", "Makefile", "attention.cc", "vector.h"]));
    expect(engineAssets.some((path) => path.includes("/build"))).toBe(false);
  });
});
