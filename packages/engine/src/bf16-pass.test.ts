import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { feeds, gated, started, step } from "../test/gated-program.ts";
import { loadBackend, resolveDtype } from "./backend.ts";
import { NARROW, roundMatrixProducts } from "./bf16-pass.ts";
import { DataType, Graph, type Attribute } from "./graph.ts";
import { nativeBackend } from "./native-backend.ts";
import { NativeProgram } from "./native-program.ts";
import type { ProgramSpec } from "./program.ts";
import { loadSession } from "./session.ts";

describe("bf16 pass", () => {
  it("rounds the operands of matrix products, each once, and widens the results", () => {
    const graph = new Graph();
    const float = { T: { type: DataType.float32 } };
    for (const name of ["x", "w", "split:1"]) graph.add("Placeholder", [], {}, name);
    graph.add("MatMul", ["x", "w"], { ...float, transpose_b: { b: true } }, "a");
    graph.add("BatchMatMulV2", ["x", "split:1"], float, "b");
    graph.add("BatchMatMul", ["a", "b"], float, "c");
    graph.add("Mul", ["a", "x"], float, "d");
    graph.add("DiffucoderAttention", ["d"], { heads: { i: 2 } }, "e");
    const rounded = roundMatrixProducts(graph);
    const bfloat16 = { T: { type: 14 } };
    const down = { SrcT: { type: 1 }, DstT: { type: 14 }, Truncate: { b: false } };
    const up = { SrcT: { type: 14 }, DstT: { type: 1 }, Truncate: { b: false } };
    expect(rounded.nodes.slice(3)).toEqual([
      { name: "x/bfloat16", op: "Cast", input: ["x"], attr: down },
      { name: "w/bfloat16", op: "Cast", input: ["w"], attr: down },
      { name: "a/product", op: "MatMul", input: ["x/bfloat16", "w/bfloat16"], attr: { ...bfloat16, transpose_b: { b: true } } },
      { name: "a", op: "Cast", input: ["a/product"], attr: up },
      { name: "split_1/bfloat16", op: "Cast", input: ["split:1"], attr: down },
      { name: "b/product", op: "BatchMatMulV2", input: ["x/bfloat16", "split_1/bfloat16"], attr: bfloat16 },
      { name: "b", op: "Cast", input: ["b/product"], attr: up },
      { name: "a/bfloat16", op: "Cast", input: ["a"], attr: down },
      { name: "b/bfloat16", op: "Cast", input: ["b"], attr: down },
      { name: "c/product", op: "BatchMatMul", input: ["a/bfloat16", "b/bfloat16"], attr: bfloat16 },
      { name: "c", op: "Cast", input: ["c/product"], attr: up },
      { name: "d", op: "Mul", input: ["a", "x"], attr: float },
      { name: "e", op: "DiffucoderAttention", input: ["d"], attr: { heads: { i: 2 }, rounded: { i: 1 } } },
    ]);
    expect(rounded.nodes.slice(0, 3)).toEqual(graph.nodes.slice(0, 3));
  });
});

let isFast = false;
beforeAll(async () => {
  expect(await loadBackend(), "these tests need libtensorflow: npm run setup").toBe("native");
  isFast = resolveDtype("auto") === "bf16";
});

describe("what kernels keep in bf16", () => {
  const [down, up] = [
    { SrcT: { type: DataType.float32 }, DstT: { type: DataType.bfloat16 }, Truncate: { b: false } },
    { SrcT: { type: DataType.bfloat16 }, DstT: { type: DataType.float32 }, Truncate: { b: false } },
  ];
  const [narrow, wide] = [{ type: DataType.bfloat16 }, { T: { type: DataType.float32 } }];

  it("is what all readers round, and products that all can read so", () => {
    const graph = new Graph();
    const own = (name: string, ...input: string[]) => graph.add("DiffucoderMatrixProduct", input, {}, name);
    for (const name of ["x", "w", "scale", "bias"]) graph.add("Placeholder", [], {}, name);
    graph.add("DiffucoderRmsNorm", ["x", "scale"], {}, "normed"); // read by products alone
    own("gate and up", "normed", "w"); // read by SwiGLU and its gradient
    graph.add("DiffucoderSwiGlu", ["gate and up"], {}, "gated"); // also read in fp32
    graph.add("Neg", ["gated"], wide, "negative");
    own("mixed", "gated", "w"); // read in fp32
    graph.add("Add", ["x", "mixed"], wide, "sum");
    graph.add("DiffucoderSwiGlu", ["x"], {}, "gated again"); // read by an operation that could take bf16, but does not round
    graph.add("DiffucoderSwiGluGradient", ["gate and up", "gated again"], {}, "slopes");
    own("gradient", "slopes", "normed"); // read by none
    expect(roundMatrixProducts(graph).nodes.slice(4)).toEqual([
      { name: "normed", op: "DiffucoderRmsNorm", input: ["x", "scale"], attr: { y_type: narrow } },
      { name: "gate and up", op: "DiffucoderMatrixProduct", input: ["normed", "w"], attr: { rounded: { i: 1 }, a_type: narrow, product_type: narrow } },
      { name: "gated", op: "DiffucoderSwiGlu", input: ["gate and up"], attr: { gate_up_type: narrow } },
      { name: "negative", op: "Neg", input: ["gated"], attr: wide },
      { name: "mixed", op: "DiffucoderMatrixProduct", input: ["gated", "w"], attr: { rounded: { i: 1 } } },
      { name: "sum", op: "Add", input: ["x", "mixed"], attr: wide },
      { name: "gated again", op: "DiffucoderSwiGlu", input: ["x"], attr: {} },
      { name: "slopes", op: "DiffucoderSwiGluGradient", input: ["gate and up", "gated again"], attr: { gate_up_type: narrow, d_gate_up_type: narrow } },
      { name: "gradient", op: "DiffucoderMatrixProduct", input: ["slopes", "normed"], attr: { rounded: { i: 1 }, a_type: narrow, b_type: narrow } },
    ]);
  });

  const [rows, width, heads, kvHeads] = [6, 37, 4, 2];
  const columns = (heads + 2 * kvHeads) * 6;
  const geometry = { heads: { i: heads }, kv_heads: { i: kvHeads }, length: { i: 3 } };
  const attended: number[][] = [[rows, columns], [columns], [3, 6], [3, 6], [3, 3]];
  /** Shapes of the inputs, whole numbers marked by `targets`; attributes; number of outputs. */
  const operations: Record<string, [inputs: (number[] | "targets")[], attr: Record<string, Attribute>, outputs: number]> = {
    DiffucoderMatrixProduct: [[[rows, width], [width, 41]], { rounded: { i: 1 } }, 1],
    DiffucoderRmsNorm: [[[rows, width], [width]], { epsilon: { f: 1e-6 } }, 2],
    DiffucoderRmsNormGradient: [[[rows, width], [width], [rows], [rows, width]], {}, 2],
    DiffucoderSwiGlu: [[[rows, 2 * width]], {}, 1],
    DiffucoderSwiGluGradient: [[[rows, 2 * width], [rows, width]], {}, 1],
    DiffucoderAttention: [attended, geometry, 2],
    DiffucoderAttentionGradient: [[...attended, [rows, heads * 6], [2, heads, 3], [rows, heads * 6]], geometry, 2],
    DiffucoderCrossEntropy: [[[rows, width], "targets"], {}, 2],
    DiffucoderCrossEntropyGradient: [[[rows, width], "targets", [rows], [rows]], {}, 1],
  };

  it.for(Object.keys(NARROW))("changes no bit of %s", (op, { skip }) => {
    const [inputs, attr, outputs] = operations[op]!;
    skip("rounded" in attr && !isFast, "this processor does not multiply bf16");
    const { inputs: narrowInputs, outputs: narrowOutputs } = NARROW[op]!;
    const feeds = inputs.map((shape, i) =>
      shape === "targets"
        ? { shape: [rows], dtype: DataType.int32, values: Int32Array.from({ length: rows }, (_, row) => 7 * row) }
        : { shape, dtype: DataType.float32, values: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, at) => 3 * Math.sin(at * (i + 1.7))) },
    );
    const { binding } = nativeBackend();
    const results = (isWithin: boolean) => {
      const graph = new Graph();
      const read = feeds.map(({ dtype, shape }, i) => {
        const node = graph.placeholder(`input_${i}`, dtype, shape);
        if (narrowInputs[i] === undefined) return node;
        const rounded = graph.add("Cast", [node], down, `rounded_${i}`);
        return isWithin ? rounded : graph.add("Cast", [rounded], up, `widened_${i}`);
      });
      const types = Object.fromEntries([...narrowInputs, ...narrowOutputs].filter((name) => name !== undefined).map((name) => [`${name}_type`, narrow]));
      graph.add(op, read, { ...attr, ...(isWithin ? types : {}) }, "kernel");
      const fetches = Array.from({ length: outputs }, (_, i) => {
        const output = i === 0 ? "kernel" : `kernel:${i}`;
        if (narrowOutputs[i] === undefined) return graph.add("Identity", [output], wide, `output_${i}`);
        return graph.add("Cast", [isWithin ? output : graph.add("Cast", [output], down, `output_${i}_bfloat16`)], up, `output_${i}`);
      });
      const session = loadSession(binding, graph);
      const ids = feeds.map(({ shape, dtype, values }) => binding.createTensor(shape, dtype, values));
      const made = binding.runSavedModel(session, ids, feeds.map((_, i) => `input_${i}:0`).join(), fetches.map((name) => `${name}:0`).join());
      const values = made.map(({ id }) => binding.tensorDataSync(id));
      for (const id of [...ids, ...made.map(({ id }) => id)]) binding.deleteTensor(id);
      binding.deleteSavedModel(session);
      return values;
    };
    expect(results(true)).toEqual(results(false));
  });
});

describe("bf16 program", () => {

  it("rounds in products only", ({ skip }) => {
    skip(!isFast, "this processor does not multiply bf16");
    const spec: ProgramSpec = {
      variables: { w: [2, 2] },
      dtype: "bf16",
      graphs: {
        g: {
          inputs: { x: { dtype: "float32", shape: [2, 2] } },
          build: ({ x }, { w }) => ({ product: tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D), elementwise: tf.mul(x!, w!) }),
        },
      },
    };
    const program = new NativeProgram(spec);
    program.writeVariables(new Map([["w", { shape: [2, 2], data: Float32Array.of(1, 0, 0, 1) }]]));
    // 1 + 2^-9 needs 9 bits behind the point; bfloat16 has 7, and rounds it to 1. 1 + 2^-7 is kept.
    const x = Float32Array.of(1 + 2 ** -9, 0, 0, 1 + 2 ** -7);
    expect(program.run("g", { x })).toEqual({ product: Float32Array.of(1, 0, 0, 1 + 2 ** -7), elementwise: x });
    program.dispose();
  });

  it("trains close to fp32, on weights that stay fp32", ({ skip }) => {
    skip(!isFast, "this processor does not multiply bf16");
    const [fp32, bf16] = [gated, { ...gated, dtype: "bf16" as const }].map((spec) => started(new NativeProgram(spec)));
    for (let number = 1; number <= 20; number++) {
      const [expected, actual] = [step(fp32!, number), step(bf16!, number)];
      expect(actual.loss).not.toBe(expected.loss);
      expect(Math.abs(actual.loss / expected.loss - 1)).toBeLessThan(0.02);
    }
    const toBfloat16 = (value: number) => new Float32Array(new Uint32Array([new Uint32Array(Float32Array.of(value).buffer)[0]! & 0xffff0000]).buffer)[0]!;
    expect(bf16!.readVariables().get("gate")!.data.some((value) => value !== toBfloat16(value))).toBe(true);
    expect(bf16!.run("fit", feeds(), ["values"], { likeTraining: true })).toEqual({ values: step(bf16!, 21).outputs.values });
    for (const program of [fp32, bf16]) program!.dispose();
  });
});
