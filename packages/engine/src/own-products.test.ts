// Axes: M rows of a product, N columns, K depth.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend, resolveDtype } from "./backend.ts";
import { EagerProgram } from "./eager-program.ts";
import { DataType, Graph } from "./graph.ts";
import { hasNativeKernels, nativeKernelLevel, runNativeKernel } from "./native-kernels.ts";
import { nativeBackend } from "./native-backend.ts";
import { NativeProgram } from "./native-program.ts";
import { foldSums, withOwnProducts } from "./own-products.ts";
import { loadSession } from "./session.ts";

let isFastInBf16 = false;
beforeAll(async () => {
  await loadBackend();
  expect(hasNativeKernels(), "these tests need the native kernels: npm run setup").toBe(true);
  isFastInBf16 = resolveDtype("auto") === "bf16";
});

it("takes the place of libtensorflow's products of fp32", () => {
  const graph = new Graph();
  const [float, int] = [{ type: DataType.float32 }, { type: DataType.int32 }];
  graph.add("Placeholder", [], {}, "x");
  graph.add("MatMul", ["x", "x", "^first"], { T: float, transpose_a: { b: false }, transpose_b: { b: true } }, "a");
  graph.add("BatchMatMulV2", ["x", "a"], { T: float, adj_x: { b: true }, adj_y: { b: false } }, "b");
  graph.add("BatchMatMulV2", ["x", "b"], { T: int, adj_x: { b: true } }, "c");
  expect(withOwnProducts(graph).nodes).toEqual([
    graph.nodes[0],
    { name: "a", op: "DiffucoderMatrixProduct", input: ["x", "x", "^first"], attr: { transpose_a: { i: 0 }, transpose_b: { i: 1 } } },
    { name: "b", op: "DiffucoderMatrixProduct", input: ["x", "a"], attr: { transpose_a: { i: 1 }, transpose_b: { i: 0 } } },
    graph.nodes[3],
  ]);
});

describe("sums within operations", () => {
  it("take the place of additions of the same shape that alone read a result", () => {
    const graph = new Graph();
    const own = (name: string, ...input: string[]) => graph.add("DiffucoderMatrixProduct", input, {}, name);
    const add = (name: string, ...input: string[]) => graph.add("Add", input, {}, name);
    graph.add("Reshape", ["x"], {}, "hidden");
    own("a", "hidden", "w", "^first");
    add("a sum", "hidden", "a");
    graph.add("DiffucoderRmsNormGradient", ["a sum", "scale", "inverse", "dy"], {}, "slopes");
    add("slope sum", "slopes", "a sum");
    own("b", "slope sum", "w");
    add("broadcast", "b", "bias");
    own("c", "slopes:1", "w");
    add("read twice", "hidden", "c");
    graph.add("Neg", ["c"], {}, "reader");
    own("e", "w", "w");
    graph.add("Neg", ["w"], {}, "after");
    add("after sum", "after", "e"); // what was recorded later might depend on it
    const shapes = new Map<string, readonly number[]>([...["hidden", "a", "a sum", "slopes", "slope sum", "b", "broadcast", "c", "read twice", "e", "after", "after sum"].map((name) => [name, [2, 3]] as const), ["bias", [3]]]);
    expect(foldSums(graph, shapes).nodes).toEqual([
      { name: "hidden", op: "Reshape", input: ["x"], attr: {} },
      { name: "a", op: "DiffucoderMatrixProduct", input: ["hidden", "w", "hidden", "^first"], attr: { N: { i: 1 } } },
      { name: "slopes", op: "DiffucoderRmsNormGradient", input: ["a", "scale", "inverse", "dy", "a"], attr: { N: { i: 1 } } },
      { name: "b", op: "DiffucoderMatrixProduct", input: ["slopes", "w"], attr: {} },
      ...graph.nodes.slice(6),
    ]);
  });

  it("are those of eager execution, broadcast ones too", () => {
    const shape = [5, 5] as const;
    const spec = {
      variables: { w: shape, bias: [5] },
      dtype: "fp32" as const,
      graphs: {
        g: {
          inputs: { x: { dtype: "float32" as const, shape } },
          build: ({ x }: Record<string, tf.Tensor>, { w, bias }: Record<string, tf.Tensor>) => {
            const hidden = tf.add(tf.neg(x!), tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D));
            return { residual: tf.add(hidden, tf.matMul(hidden, w as tf.Tensor2D)), biased: tf.add(tf.matMul(hidden, w as tf.Tensor2D), bias!) };
          },
        },
      },
    };
    const values = (pace: number, length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i * pace));
    const [native, eager] = [new NativeProgram(spec), new EagerProgram(spec)].map((program) => {
      program.writeVariables(new Map([["w", { shape, data: values(1.3, 25) }], ["bias", { shape: [5], data: values(0.7, 5) }]]));
      const results = program.run("g", { x: values(0.9, 25) });
      program.dispose();
      return results;
    });
    for (const name of ["residual", "biased"]) native![name]!.forEach((value, i) => expect(Math.abs(value - eager![name]![i]!)).toBeLessThan(2e-6));
  });
});

interface Product {
  readonly a: tf.Tensor;
  readonly b: tf.Tensor;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly rounded?: boolean;
}

const multiply = ({ a, b, transposeA = false, transposeB = false, rounded = false }: Product): tf.Tensor =>
  runNativeKernel("DiffucoderMatrixProduct", [a, b], 1, { integers: { transpose_a: Number(transposeA), transpose_b: Number(transposeB), rounded: Number(rounded) } })[0]!;

const wave = (shape: number[], pace: number) => tf.tensor(Float32Array.from({ length: shape.reduce((x, y) => x * y, 1) }, (_, i) => Math.sin(i * pace)), shape);

/** The same in doubles, with the sum of magnitudes of each element's terms. */
function reference({ a, b, transposeA = false, transposeB = false, rounded = false }: Product): { value: number; magnitude: number }[] {
  const read = (tensor: tf.Tensor, isTransposed: boolean) => {
    const values = tensor.dataSync().map((value) => (rounded ? toBfloat16(value) : value));
    return (row: number, column: number) => values[isTransposed ? column * tensor.shape[1]! + row : row * tensor.shape[1]! + column]!;
  };
  const [left, right] = [read(a, transposeA), read(b, transposeB)];
  const [rows, depth] = transposeA ? [a.shape[1]!, a.shape[0]!] : [a.shape[0]!, a.shape[1]!];
  const columns = transposeB ? b.shape[0]! : b.shape[1]!;
  return Array.from({ length: rows * columns }, (_, i) => {
    const terms = Array.from({ length: depth }, (_, k) => left(Math.floor(i / columns), k) * right(k, i % columns));
    return { value: terms.reduce((x, y) => x + y, 0), magnitude: terms.reduce((x, y) => x + Math.abs(y), 0) };
  });
}

/** To the nearest, of two the even one. */
function toBfloat16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  bits[0] = (bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) & 0xffff0000;
  return new Float32Array(bits.buffer)[0]!;
}

describe("own matrix product", () => {
  it("is the one by hand", () => {
    tf.tidy(() => {
      const [a, b] = [tf.tensor2d([[1, 2], [3, 4]]), tf.tensor2d([[5, 6], [7, 8]])];
      expect([...multiply({ a, b }).dataSync()]).toEqual([19, 22, 43, 50]);
      expect([...multiply({ a, b, transposeA: true }).dataSync()]).toEqual([26, 30, 38, 44]);
      expect([...multiply({ a, b, transposeB: true }).dataSync()]).toEqual([17, 23, 39, 53]);
    });
  });

  it("is near the one in doubles, for any shape, transposed or not, rounded or not", () => {
    // Past a tile, a panel, a block of depth and a piece, and one short of them.
    const size = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constantFrom(1, 31, 32, 33, 127, 129));
    const depth = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constantFrom(1, 255, 256, 257, 384, 385, 511, 513, 1030));
    fc.assert(
      fc.property(size, size, depth, fc.boolean(), fc.boolean(), fc.boolean(), (m, n, k, transposeA, transposeB, rounds) => {
        tf.tidy(() => {
          const rounded = rounds && isFastInBf16;
          const product = { a: wave(transposeA ? [k, m] : [m, k], 1.3), b: wave(transposeB ? [n, k] : [k, n], 0.7), transposeA, transposeB, rounded };
          const result = multiply(product);
          expect(result.shape).toEqual([m, n]);
          const values = result.dataSync();
          reference(product).forEach(({ value, magnitude }, i) => expect(Math.abs(values[i]! - value)).toBeLessThanOrEqual(2 ** -24 * (k + 1) * magnitude));
        });
      }),
      { numRuns: 60 },
    );
  });

  it("has columns beyond one piece", () => {
    tf.tidy(() => {
      const product = { a: wave([3, 5], 1.3), b: wave([2100, 5], 0.7), transposeB: true };
      const values = multiply(product).dataSync();
      reference(product).forEach(({ value }, i) => expect(Math.abs(values[i]! - value)).toBeLessThan(1e-6));
    });
  });

  it("goes over leading axes, which repeat where they are 1", () => {
    const cases: [number[], number[]][] = [[[2, 3, 4], [2, 4, 5]], [[1, 3, 4], [2, 4, 5]], [[2, 1, 3, 4], [3, 4, 5]], [[3, 4], [2, 2, 4, 5]], [[2, 3, 1, 2, 4], [1, 3, 2, 4, 5]]];
    for (const [left, right] of cases) {
      tf.tidy(() => {
        const [a, b] = [wave(left, 1.3), wave(right, 0.7)];
        const [own, theirs] = [multiply({ a, b }), tf.matMul(a, b)];
        expect(own.shape).toEqual(theirs.shape);
        own.dataSync().forEach((value, i) => expect(Math.abs(value - theirs.dataSync()[i]!)).toBeLessThan(1e-6));
      });
    }
  });

  it("of nothing is nothing, and over no depth 0", () => {
    tf.tidy(() => {
      expect(multiply({ a: tf.zeros([0, 3]), b: tf.zeros([3, 2]) }).shape).toEqual([0, 2]);
      expect(multiply({ a: tf.zeros([2, 3]), b: tf.zeros([3, 0]) }).shape).toEqual([2, 0]);
      expect([...multiply({ a: tf.zeros([2, 0]), b: tf.zeros([0, 2]) }).dataSync()]).toEqual([0, 0, 0, 0]);
      expect(multiply({ a: tf.zeros([0, 2, 3]), b: tf.zeros([0, 3, 4]) }).shape).toEqual([0, 2, 4]);
    });
  });

  it.each([false, true])("keeps what is not a number in its row and column (rounded: %s)", (rounds) => {
    tf.tidy(() => {
      const rounded = rounds && isFastInBf16;
      const values = Float32Array.from({ length: 9 * 33 }, () => 1);
      values[2 * 33 + 32] = NaN;
      values[5 * 33 + 7] = Infinity;
      const b = Float32Array.from({ length: 33 * 3 }, () => 1);
      b[7 * 3 + 1] = 0; // infinity times 0 is not a number
      const result = multiply({ a: tf.tensor2d(values, [9, 33]), b: tf.tensor2d(b, [33, 3]), rounded }).dataSync();
      const expected = Array.from({ length: 9 * 3 }, (_, i) => {
        const [row, column] = [Math.floor(i / 3), i % 3];
        if (row === 2 || (row === 5 && column === 1)) return NaN;
        return row === 5 ? Infinity : column === 1 ? 32 : 33;
      });
      expect([...result]).toEqual(expected);
    });
  });

  it.each([
    { op: "DiffucoderMatrixProduct", inputs: [[40, 300], [300, 70]], attr: {}, shape: [40, 70] },
    { op: "DiffucoderRmsNormGradient", inputs: [[40, 70], [70], [40], [40, 70]], attr: {}, shape: [40, 70] },
  ])("$op adds what it is given, to the bits of an addition apart", ({ op, inputs, attr, shape }) => {
    const wide = { T: { type: DataType.float32 } };
    const feeds = [...inputs, shape].map((size, i) => ({ size, values: Float32Array.from({ length: size.reduce((a, b) => a * b) }, (_, at) => Math.sin(at * (i + 1.3))) }));
    const run = (isWithin: boolean, addendSize = shape) => {
      const graph = new Graph();
      const read = feeds.map(({ size }, i) => graph.placeholder(`input_${i}`, DataType.float32, i === inputs.length ? addendSize : size));
      graph.add(op, isWithin ? read : read.slice(0, -1), { ...attr, N: { i: Number(isWithin) } }, "kernel");
      graph.add(isWithin ? "Identity" : "Add", isWithin ? ["kernel"] : [read.at(-1)!, "kernel"], wide, "sum");
      const { binding } = nativeBackend();
      const session = loadSession(binding, graph);
      const ids = feeds.map(({ size, values }, i) => binding.createTensor(i === inputs.length ? addendSize : size, DataType.float32, values));
      try {
        const [sum] = binding.runSavedModel(session, ids, read.map((name) => `${name}:0`).join(), "sum:0");
        const values = binding.tensorDataSync(sum!.id);
        binding.deleteTensor(sum!.id);
        return values;
      } finally {
        for (const id of ids) binding.deleteTensor(id);
        binding.deleteSavedModel(session);
      }
    };
    expect(run(true)).toEqual(run(false));
    expect(() => run(true, [shape[1]!, shape[0]!])).toThrow("addend: expected the shape of the result, found another");
  });

  it("tells of operands that do not fit", () => {
    tf.tidy(() => {
      expect(() => multiply({ a: tf.zeros([2, 3]), b: tf.zeros([4, 2]) })).toThrow("matrix product: expected operands of one depth, found 3 and 4");
      expect(() => multiply({ a: tf.zeros([2, 1, 3]), b: tf.zeros([3, 3, 2]) })).toThrow("matrix product: expected leading axes that are equal or 1, found 2 and 3");
    });
  });

  it("rounds only where the CPU can", ({ skip }) => {
    skip(isFastInBf16, "this processor multiplies bf16");
    tf.tidy(() => {
      expect(() => multiply({ a: tf.zeros([2, 2]), b: tf.zeros([2, 2]), rounded: true })).toThrow("expected a CPU with AVX512_BF16");
    });
  });

  it("has the same bits with any number of threads and, in fp32, with either instruction set", async () => {
    const digests = async (env: Record<string, string>) => {
      const script = join(import.meta.dirname, "..", "test", "digest-products.ts");
      const { stdout } = await promisify(execFile)(process.execPath, ["--conditions=@diffucoder/source", script], { env: { ...process.env, DIFFUCODER_BACKEND: "native", ...env } });
      return JSON.parse(stdout.trim().split("\n").at(-1)!) as { readonly exact: string; readonly rounded: string | null };
    };
    const [one, three] = await Promise.all(["1", "3"].map((threads) => digests({ TF_NUM_INTRAOP_THREADS: threads })));
    expect(three).toEqual(one);
    expect(one!.rounded === null).toBe(!isFastInBf16);
    if (nativeKernelLevel() !== "x86-64-v3") expect(await digests({ DIFFUCODER_KERNELS: "x86-64-v3" })).toEqual({ exact: one!.exact, rounded: null });
  });
});
