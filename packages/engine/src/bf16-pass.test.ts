import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { feeds, gated, started, step } from "../test/gated-program.ts";
import { loadBackend, resolveDtype } from "./backend.ts";
import { NARROW, foldCasts, roundMatrixProducts } from "./bf16-pass.ts";
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

describe("casts folded into kernels", () => {
  const [down, up] = [
    { SrcT: { type: DataType.float32 }, DstT: { type: DataType.bfloat16 }, Truncate: { b: false } },
    { SrcT: { type: DataType.bfloat16 }, DstT: { type: DataType.float32 }, Truncate: { b: false } },
  ];
  const [narrow, wide] = [{ type: DataType.bfloat16 }, { T: { type: DataType.float32 } }];

  it("leaves what somebody reads in fp32 as it is", () => {
    const graph = new Graph();
    graph.add("Placeholder", [], {}, "x");
    graph.add("Cast", ["x"], up, "widened");
    for (const name of ["rounded only", "read twice"]) {
      graph.add("DiffucoderSwiGlu", ["widened"], {}, name);
      graph.add("Cast", [name], down, `${name}/bfloat16`);
      graph.add("MatMul", [`${name}/bfloat16`], { T: narrow }, `${name}/product`);
    }
    graph.add("Neg", ["read twice"], wide, "reader");
    expect(foldCasts(graph).nodes.slice(2)).toEqual([
      { name: "rounded only", op: "DiffucoderSwiGlu", input: ["x"], attr: { gate_up_type: narrow, y_type: narrow } },
      { name: "rounded only/product", op: "MatMul", input: ["rounded only"], attr: { T: narrow } },
      { name: "read twice", op: "DiffucoderSwiGlu", input: ["x"], attr: { gate_up_type: narrow } },
      { name: "read twice/bfloat16", op: "Cast", input: ["read twice"], attr: down },
      { name: "read twice/product", op: "MatMul", input: ["read twice/bfloat16"], attr: { T: narrow } },
      { name: "reader", op: "Neg", input: ["read twice"], attr: wide },
    ]);
  });

  const [rows, width, heads, kvHeads] = [6, 37, 4, 2];
  const columns = (heads + 2 * kvHeads) * 6;
  const geometry = { heads: { i: heads }, kv_heads: { i: kvHeads }, length: { i: 3 } };
  const attended: number[][] = [[rows, columns], [columns], [3, 6], [3, 6], [3, 3]];
  /** Shapes of the inputs, whole numbers marked by `targets`; attributes; number of outputs. */
  const operations: Record<string, [inputs: (number[] | "targets")[], attr: Record<string, Attribute>, outputs: number]> = {
    DiffucoderRmsNorm: [[[rows, width], [width]], { epsilon: { f: 1e-6 } }, 2],
    DiffucoderRmsNormGradient: [[[rows, width], [width], [rows], [rows, width]], {}, 2],
    DiffucoderSwiGlu: [[[rows, 2 * width]], {}, 1],
    DiffucoderSwiGluGradient: [[[rows, 2 * width], [rows, width]], {}, 1],
    DiffucoderAttention: [attended, geometry, 2],
    DiffucoderAttentionGradient: [[...attended, [rows, heads * 6], [2, heads, 3], [rows, heads * 6]], geometry, 2],
    DiffucoderCrossEntropy: [[[rows, width], "targets"], {}, 2],
    DiffucoderCrossEntropyGradient: [[[rows, width], "targets", [rows], [rows]], {}, 1],
  };

  it.each(Object.keys(NARROW))("changes no bit of %s", (op) => {
    const [inputs, attr, outputs] = operations[op]!;
    const graph = new Graph();
    const feeds = inputs.map((shape, i) => {
      const [dtype, values] = shape === "targets" ? [DataType.int32, Int32Array.from({ length: rows }, (_, row) => 7 * row)] : [DataType.float32, Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, at) => 3 * Math.sin(at * (i + 1.7)))];
      const node = graph.placeholder(`input_${i}`, dtype, shape === "targets" ? [rows] : shape);
      if (NARROW[op]!.inputs[i] === undefined) return { shape: shape === "targets" ? [rows] : shape, dtype, values, read: node };
      graph.add("Cast", [node], down, `rounded_${i}`);
      return { shape: shape as number[], dtype, values, read: graph.add("Cast", [`rounded_${i}`], up, `widened_${i}`) };
    });
    graph.add(op, feeds.map(({ read }) => read), attr, "kernel");
    const fetches = Array.from({ length: outputs }, (_, i) => {
      if (NARROW[op]!.outputs[i] === undefined) return graph.add("Identity", [i === 0 ? "kernel" : `kernel:${i}`], wide, `output_${i}`);
      graph.add("Cast", [i === 0 ? "kernel" : `kernel:${i}`], down, `output_${i}_bfloat16`);
      return graph.add("Cast", [`output_${i}_bfloat16`], up, `output_${i}`);
    });
    const folded = foldCasts(graph);
    const { binding } = nativeBackend();
    const [apart, within] = [graph, folded].map((each) => {
      const session = loadSession(binding, each);
      const ids = feeds.map(({ shape, dtype, values }) => binding.createTensor(shape, dtype, values));
      const results = binding.runSavedModel(session, ids, feeds.map((_, i) => `input_${i}:0`).join(), fetches.map((name) => `${name}:0`).join());
      const values = results.map(({ id }) => binding.tensorDataSync(id));
      for (const id of [...ids, ...results.map(({ id }) => id)]) binding.deleteTensor(id);
      binding.deleteSavedModel(session);
      return values;
    });
    expect(within).toEqual(apart);
    const { inputs: narrowInputs, outputs: narrowOutputs } = NARROW[op]!;
    expect(folded.nodes.find(({ name }) => name === "kernel")!.attr).toEqual({ ...attr, ...Object.fromEntries([...narrowInputs, ...narrowOutputs].filter((name) => name !== undefined).map((name) => [`${name}_type`, narrow])) });
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
